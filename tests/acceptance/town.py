"""Two people in a shop: Ada is customer 7, Bob is customer 8."""

from tests.acceptance.shop import NEW

WHO = "email=ada@example.org"
ASKED = ("--request", "R-1", "--reason", "she asked by mail")
PEOPLE = 'identities:\n  customer-by-email: {store: till, query: "SELECT id AS customer FROM people WHERE email = :email"}\n'
FILES = """\
  tickets:
    store: desk
    select: {path: "tickets/{customer}/**"}
    start: modified
    retention_period: 2 years
    action: delete
    subject: {customer: customer}
"""


def people(shop):
    """What there is of both, as a restore would bring it back."""
    at = f"{NEW:%Y-%m-%d %H:%M:%S}"
    shop.sql("DELETE FROM sales")
    shop.sale((1, at, "7", "ada@example.org"), (2, at, "7", "other@example.org"), (3, at, "8", "bob@example.org"))
    for customer in ("7", "8"):
        for name in ("a.txt", "deep/b.txt"):
            shop.file(f"tickets/{customer}/{name}", NEW)


def erase(shop, *args, who=(WHO,), code=0):
    return shop.json("erase", *who, *ASKED, *args, code=code)
