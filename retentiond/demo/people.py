"""Invented people, with numbers and addresses that belong to nobody.

Telephone numbers are from the ranges that Ofcom reserves for drama, connections from the
blocks of RFC 5737, mail domains from RFC 2606.
"""

from __future__ import annotations

import random

_FIRST_NAMES = """
Ada Amir Bethan Callum Chipo Demelza Elowen Farah Gethin Hana Idris Jowan
Kerensa Lowenna Maya Nadia Owen Petroc Rhian Samir Tamsin Uma Wenna Yusuf
"""
_LAST_NAMES = """
Angove Bolitho Carne Davey Eddy Fowler Gilbert Hocking Ivey Jelbert Kitto Lobb
Moyle Nance Opie Pascoe Quick Rowe Symons Trewin Uren Vivian Warren Yelland
"""
_FIRST, _LAST = tuple(_FIRST_NAMES.split()), tuple(_LAST_NAMES.split())
_TRADES = ("Bakery", "Boatyard", "Dental Practice", "Garage", "Letting Agency", "Nursery", "Print Shop", "Surveyors")
_BLOCKS = ("192.0.2", "198.51.100", "203.0.113")
_DOMAINS = ("example.com", "example.net", "example.org")


def person(rng: random.Random) -> str:
    """A first and a last name."""
    return f"{rng.choice(_FIRST)} {rng.choice(_LAST)}"


def firm(rng: random.Random) -> str:
    """The name of a small firm."""
    return f"{rng.choice(_LAST)} {rng.choice(_TRADES)}"


def email(rng: random.Random, name: str, number: int) -> str:
    """An address for a name; the number makes it the only one."""
    return f"{name.lower().replace(' ', '.')}.{number}@{rng.choice(_DOMAINS)}"


def landline(rng: random.Random) -> str:
    """A number with an area code that no town has."""
    return f"+441632960{rng.randrange(1000):03d}"


def mobile(rng: random.Random) -> str:
    """A mobile number."""
    return f"+447700900{rng.randrange(1000):03d}"


def address(rng: random.Random) -> str:
    """An IPv4 address of a documentation block."""
    return f"{rng.choice(_BLOCKS)}.{rng.randrange(1, 255)}"
