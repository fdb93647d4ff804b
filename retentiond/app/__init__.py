"""The only place that puts parts together, and the only one that reads the clock.

One module for each thing a person may ask for: plan, apply, tell (holds, events, approvals),
explain, check, and the audit trail. Each takes a `House`: the configuration, the ledger and the
stores of one command, opened when they are first needed.
"""
