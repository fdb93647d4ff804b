"""How it is told: strict YAML with positions, the files' shapes, and what they compile to.

Guarantee: what is loaded is what was written. Nothing is guessed, coerced or silently left out;
every problem of every file is reported at once, as `file:line:column: what; why; what to do`.
The front door is `retentiond.config.load`. No store is opened here and no secret is read.
"""
