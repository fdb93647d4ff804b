"""What it remembers: state and evidence in one database, changed in the same transaction.

The ledger's rule: nothing changes without an entry, and both commit together. The published
audit log is derived from the entries, so it can be made again, byte for byte. The state is one
directory; its lock files say who is at work.
"""
