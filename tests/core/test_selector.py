"""Which items a hold means, against an evaluation that looks nothing up."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retentiond.core.item import key_of
from retentiond.core.period import IMMEDIATELY
from retentiond.core.policy import Action, PathSelection, Rule, Start
from retentiond.core.registers import Hold
from retentiond.core.selector import FactsNeeded, HoldIndex, Predicate, uncovered

RULE = Rule(
    "old",
    "desk",
    PathSelection("**"),
    Start("modified"),
    IMMEDIATELY,
    IMMEDIATELY.plus_day(),
    Action("delete"),
    subject={"customer": "owner", "email": "mail"},
)
NOBODY = {"owner": [None], "mail": [None]}


def hold(id_="H1", **scope):
    return Hold(id_, "a claim", "court", **scope)


def covers(one, key="a/b/c.txt", **facts):
    known = {name: [facts.get(name)] for name in ("owner", "mail")}
    return HoldIndex([one], "calls", RULE).covered([key], known, [0]) == {0: one.id}


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        ({"everything": True}, True),
        ({}, True),  # the command refuses it; in doubt it covers
        ({"category": "calls"}, True),
        ({"category": "other"}, False),
        ({"store": "desk"}, True),
        ({"store": "pbx"}, False),
        ({"category": "calls", "store": "desk"}, True),
        ({"category": "calls", "store": "pbx"}, False),
        ({"category": "other", "store": "desk"}, False),
        ({"path": "a/b/c.txt"}, True),
        ({"path": "a/b"}, True),
        ({"path": "a"}, True),
        ({"path": "a/"}, True),
        ({"path": "/a"}, True),
        ({"path": "/"}, True),
        ({"path": ""}, True),
        ({"path": "b"}, False),
        ({"path": "a/b/c"}, False),
        ({"path": "a/*"}, True),
        ({"path": "**/c.txt"}, True),
        ({"path": "*.txt"}, False),
        ({"path": "{x}/b"}, True),
        ({"path": "{broken"}, True),  # what cannot be read covers
        ({"path": "x/{broken"}, True),
        ({"path": "a", "store": "pbx"}, False),
        ({"subjects": (("customer", "7"),)}, True),
        ({"subjects": (("email", "e@x"),)}, True),
        ({"subjects": (("customer", "8"), ("email", "e@x"))}, True),  # any one is enough
        ({"subjects": (("customer", "8"), ("email", "f@x"))}, False),
        ({"subjects": (("customer", "e@x"),)}, False),
        ({"subjects": (("phone", "7"),)}, False),  # this rule maps no telephone: listed as uncovered
        ({"subjects": (("phone", "7"), ("customer", "7"))}, True),
        ({"subjects": (("customer", "7"),), "path": "a"}, True),
        ({"subjects": (("customer", "7"),), "path": "b"}, False),
        ({"subjects": (("customer", "8"),), "path": "a"}, False),
        ({"subjects": (("customer", "7"),), "path": "a/*/c.txt", "category": "calls", "store": "desk"}, True),
    ],
)
def test_scopes_join_with_and_and_of_the_subjects_any_one_is_enough(scope, covered):
    assert covered == covers(hold(**scope), owner="7", mail="e@x")


@pytest.mark.parametrize(
    ("raw", "path", "covered"),
    [
        ("a/\udcff", "a", True),
        ("a/\udcff", key_of("a/\udcff"), True),  # by its key, as plans and explain print it
        ("\udcff/x", key_of("\udcff"), True),
        ("\udcff", key_of("\udcff/x"), False),
        ("b64:x", "b64:x", True),  # by its name
        ("b64:x/y", key_of("b64:x"), True),
        ("b64:*", key_of("b64:*"), True),
        ("b64:a", key_of("b64:*"), False),  # a star in a name is a star, where the key is given
        ("/a/b", "a", True),  # objects may begin with a slash
        ("/a/b", "/a", True),
        ("/a/b", "/a/*", True),
        ("/a/b", "*/a", True),
        ("a//b", "a//b", True),
        ("a//b", "a", True),
        ("a/", "a", True),
        ("ab", "a", False),
        ("A", "a", False),
        ("e\u0301", "\u00e9", False),
    ],
)
def test_paths_of_names_that_are_out_of_the_ordinary(raw, path, covered):
    assert covered == covers(hold(path=path), key_of(raw))


def test_what_is_no_key_is_covered_by_every_path():
    for path in ("somewhere/else", "x*", "b64:YjY0OmE="):
        assert covers(hold(path=path), "b64:no key")


@pytest.mark.parametrize("scope", [{}, {"path": "a"}, {"path": "a/*"}, {"where": "true", "path": "a"}])
def test_a_hold_by_subject_cannot_be_judged_without_the_field(scope):
    """It must not pass for a hold that does not cover."""
    index = HoldIndex([hold(subjects=(("customer", "7"),), **scope)], "calls", RULE)
    with pytest.raises(FactsNeeded, match="owner"):
        index.narrowed(["a/b"], {}) if "where" in scope else index.covered(["a/b"], {}, [0])


def test_where_no_hold_can_concern_a_rule_nothing_is_asked():
    index = HoldIndex([hold(category="other"), hold(store="pbx", where="true")], "calls", RULE)
    assert not index
    assert () == index.predicates == index.narrowed(["a"], {})
    assert {} == index.covered(["a"], {}, [0])
    assert HoldIndex([hold(path="x")], "calls", RULE)
    assert HoldIndex([hold(where="x")], "calls", RULE)
    assert HoldIndex([hold(everything=True)], "calls", RULE)


def test_thousands_of_paths_are_looked_up_and_each_finds_its_own():
    holds = [hold(f"H{n}", path=f"d{n % 100}/f{n}") for n in range(20_000)]
    keys = [f"d{n % 100}/f{n}" for n in range(0, 40_000, 7)]
    found = HoldIndex(holds, "calls", RULE).covered(keys, {}, range(len(keys)))
    assert {i: f"H{n}" for i, n in enumerate(range(0, 40_000, 7)) if n < 20_000} == found


def test_a_predicate_is_for_the_store_and_its_other_scopes_narrow_it():
    holds = [hold("P", where="a = 1"), hold("Q", where="b", path="a/*"), hold("R", where="c", path="zz"), hold("N", path="none")]
    index = HoldIndex(holds, "calls", RULE)
    assert (Predicate("P", "a = 1"), Predicate("Q", "b"), Predicate("R", "c")) == index.predicates
    assert (Predicate("P", "a = 1"), Predicate("Q", "b", frozenset({0, 2}))) == index.narrowed(["a/x", "b/x", "a/y"], {})
    assert {} == index.covered(["a/x"], {}, [0])


@pytest.mark.parametrize(
    ("reported", "key", "confirmed"),
    [
        ("P", "anywhere", "P"),
        ("Q", "a/x", "Q"),
        ("Q", "b/x", None),
        ("?", "b/x", "?"),  # a hold that the index does not know
    ],
)
def test_a_predicate_that_is_true_covers_only_within_the_other_scopes_of_its_hold(reported, key, confirmed):
    one = hold(reported, where="true", **({"path": "a"} if reported == "Q" else {}))
    index = HoldIndex([one] if reported != "?" else [], "calls", RULE)
    expected = {} if confirmed is None else {1: confirmed}
    assert expected == index.confirmed({1: reported, 2: reported}, ["x", key], {}, [0, 1])


def test_where_a_store_could_name_only_one_of_several_predicates_in_doubt_another_covers():
    """The store says `Q` and does not say whether `P`, too, is true; `P` would cover."""
    index = HoldIndex([hold("Q", where="q", path="a"), hold("P", where="p", path="b")], "calls", RULE)
    assert {0: "P", 1: "Q"} == index.confirmed(dict.fromkeys(range(3), "Q"), ["b/x", "a/x", "c/x"], {}, range(3))


names = st.sampled_from(["a", "b", "a/b", "a/b/c", "ab", "b/a", "/a", "a//b", "\udcff", "a/\udcff", "b64:a", "é"])
paths = st.none() | names | names.map(key_of) | st.sampled_from(["a/*", "**/b", "*", "/", "{x}/b", "a/", "a*", "{", "b64:*"])
subjects = st.lists(st.tuples(st.sampled_from(["customer", "email", "phone"]), st.sampled_from("xyz")), max_size=2).map(tuple)
holds = st.lists(
    st.builds(
        hold,
        st.sampled_from(["A", "B", "C", "D", "E"]),
        category=st.sampled_from([None, "calls", "other"]),
        store=st.sampled_from([None, "desk", "pbx"]),
        path=paths,
        subjects=subjects,
        where=st.sampled_from([None, None, "true"]),
        everything=st.booleans(),
    ),
    max_size=6,
    unique_by=lambda h: h.id,
)
items = st.lists(st.tuples(names, st.sampled_from(["x", "y", None]), st.sampled_from(["x", "z", None])), max_size=6)


def naive_path(path, raw):
    """Whether a path names a name or something above it, spelt letter by letter for these few patterns."""
    if path is None or path in ("/", "{"):
        return True
    wanted = {key_of(n): n for n in ("\udcff", "a/\udcff", "b64:a")}.get(path, path).strip("/")
    for whole in (raw, raw.lstrip("/")):
        parts = whole.split("/")
        above = ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
        named = {
            "a/*": lambda p: p.startswith("a/") and p.count("/") == 1,
            "**/b": lambda p: p == "b" or (p.endswith("/b") and "" not in p.split("/")),
            "*": lambda p: "/" not in p,
            "{x}/b": lambda p: p.endswith("/b") and p.count("/") == 1 and len(p) > 2,
            "a*": lambda p: p.startswith("a") and "/" not in p,
            "b64:*": lambda p: p.startswith("b64:") and "/" not in p,
        }.get(path, lambda p: p == wanted)
        if any(map(named, above)):
            return True
    return False


def naive(one, raw, owner, mail):
    """Whether all scopes but the predicate cover."""
    said = {("customer", owner), ("email", mail)}
    return (
        one.category in (None, "calls")
        and one.store in (None, "desk")
        and naive_path(one.path, raw)
        and (not one.subjects or any(s in said for s in one.subjects))
    )


@settings(max_examples=400)
@given(holds, items)
def test_an_index_says_what_each_hold_says_by_itself(some, rows):
    index = HoldIndex(some, "calls", RULE)
    keys = [key_of(raw) for raw, _, _ in rows]
    facts = {"owner": [o for _, o, _ in rows], "mail": [m for _, _, m in rows]}
    found = index.covered(keys, facts, range(len(rows)))
    narrowed = {p.hold: p.positions for p in index.narrowed(keys, facts)}
    for i, row in enumerate(rows):
        by_name = {h.id for h in some if h.where is None and naive(h, *row)}
        assert (found[i] in by_name) if by_name else (i not in found)
        by_predicate = {h.id for h in some if h.where is not None and naive(h, *row)}
        assert by_predicate == {id_ for id_, positions in narrowed.items() if positions is None or i in positions}
        for one in (h for h in some if h.where is not None and h in index._predicates):
            confirmed = index.confirmed({i: one.id}, keys, facts, range(len(rows)))
            assert (
                ({i: one.id} == confirmed) if one.id in by_predicate else (confirmed.keys() == ({i} if by_predicate else set()))
            )


def test_the_rules_that_a_hold_by_subject_cannot_protect_are_listed():
    other = Rule("raw", "pbx", PathSelection("**"), Start("modified"), IMMEDIATELY, IMMEDIATELY, Action("delete"))
    rules = [("calls", RULE), ("calls", other), ("mail", other)]
    assert [("calls", "raw"), ("mail", "raw")] == uncovered(hold(subjects=(("customer", "7"),)), rules)
    assert [("calls", "raw")] == uncovered(hold(subjects=(("customer", "7"),), category="calls"), rules)
    assert [] == uncovered(hold(subjects=(("customer", "7"),), store="desk"), rules)
    assert [("calls", "old"), ("calls", "raw"), ("mail", "raw")] == uncovered(hold(subjects=(("phone", "7"),)), rules)
    assert [] == uncovered(hold(subjects=(("phone", "7"), ("email", "e"))), [("calls", RULE)])
    assert [] == uncovered(hold(path="a"), rules)
    in_doubt = hold(subjects=(("phone", "7"),), unasked=(("by-phone", "it is down"),))
    assert [("calls", "raw"), ("mail", "raw")] == uncovered(in_doubt, rules), "whom a look-up may lead to, no rule says there"


def test_a_look_up_that_could_not_be_made_may_lead_to_whomever_an_item_names():
    in_doubt = {"subjects": (("phone", "7"),), "unasked": (("by-phone", "it is down"),)}
    assert covers(hold(**in_doubt))
    assert covers(hold(**in_doubt, path="a"))
    assert not covers(hold(**in_doubt, path="b"))
    nobodys = Rule("raw", "desk", PathSelection("**"), Start("modified"), IMMEDIATELY, IMMEDIATELY, Action("delete"))
    assert not HoldIndex([hold(**in_doubt)], "calls", nobodys).covered(["a"], {}, [0])
    assert HoldIndex([hold(**in_doubt)], "calls", nobodys).of_person(lambda _: False, ["a"], [0]) == {0: "H1"}
