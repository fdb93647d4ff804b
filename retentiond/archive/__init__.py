"""Copies elsewhere: encrypted on the way, read back where they come to, and only then may the original go.

- `recognise.py`, with `containers.py`, `openpgp.py` and `repositories.py`: what something is, by its bytes and never by its name.
"""
