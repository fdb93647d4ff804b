"""How the tables of a state became what they are, step by step; run by `ledger/migrating.py`."""
