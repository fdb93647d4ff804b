"""What it means: the nouns and rules of retention, as pure values.

Guarantee: standard library only, and nothing here reads a clock, a file, a network or a log.
The same arguments give the same answer, on any machine, at any time. Import the modules, not
this package: `from retentiond.core.period import Period`.
"""
