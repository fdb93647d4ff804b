"""Path patterns against a matcher that knows nothing of regular expressions."""

import re
from datetime import datetime
from functools import cache
from itertools import product

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from retentiond.core.pattern import PatternError, compile_pattern, date_of, glob_covers, is_plain

WIDTHS = {"%Y": 4, "%m": 2, "%d": 2, "%H": 2, "%M": 2, "%S": 2, "%j": 3, "%y": 2}


def tokens(pattern):
    """A pattern as the contract describes it: characters, stars, names, dates, `**/` and a trailing `**`."""
    found, i = [], 0
    while i < len(pattern):
        if pattern.startswith("**/", i):
            found, i = [*found, ("segments", None)], i + 3
        elif pattern.startswith("**", i):
            found, i = [*found, ("below", None)], i + 2
        elif pattern[i] == "*":
            found, i = [*found, ("star", None)], i + 1
        elif pattern[i] == "{":
            end = pattern.index("}", i)
            name, colon, form = pattern[i + 1 : end].partition(":")
            found, i = [*found, ("date", form) if colon else ("name", name)], end + 1
        else:
            found, i = [*found, ("char", pattern[i])], i + 1
    return tuple(found)


def dated(form, path, at):
    """Where a date of this form ends in the path, or None."""
    i = 0
    while i < len(form):
        directive = form[i : i + 2]
        if directive in WIDTHS:
            digits = path[at : at + WIDTHS[directive]]
            if len(digits) < WIDTHS[directive] or any(c not in "0123456789" for c in digits):
                return None
            i, at = i + 2, at + WIDTHS[directive]
        else:
            if path[at : at + 1] != form[i]:
                return None
            i, at = i + 1, at + 1
    return at


def matches(pattern, path):
    """Whether a pattern names a path: every way of reading it is tried."""
    wanted = tokens(pattern)

    @cache
    def rest(t, at):
        if t == len(wanted):
            return at == len(path)
        kind, value = wanted[t]
        if kind == "char":
            return path[at : at + 1] == value and rest(t + 1, at + 1)
        if kind == "below":
            return at < len(path)
        if kind == "date":
            end = dated(value, path, at)
            return end is not None and rest(t + 1, end)
        if kind == "segments":
            slash = path.find("/", at)
            return rest(t + 1, at) or (slash > at and rest(t, slash + 1))
        segment = path.find("/", at) if "/" in path[at:] else len(path)
        return any(rest(t + 1, end) for end in range(at + (kind == "name"), segment + 1))

    return rest(0, 0)


segment_parts = st.lists(
    st.sampled_from(
        ["a", "b", "ab", "*", ".", "?", "[a]", "\n", "é", "{x}", "{d:%Y-%m}", "{d:y%Y%m%d}", "{d:%Y}", "1", "2024", "-", "}"]
    ),
    min_size=1,
    max_size=4,
).map("".join)
slashed_dates = st.sampled_from(["{d:%Y/%m}", "{d:%Y/a%m/%d}", "a{d:x%Y/%j}b"])
segments = segment_parts | st.just("**") | slashed_dates
patterns = st.lists(segments, min_size=1, max_size=4).map("/".join)
path_segments = st.lists(
    st.sampled_from(
        [
            "a",
            "b",
            "ab",
            ".",
            "?",
            "[a]",
            "\n",
            "é",
            "1",
            "2024",
            "2024-01",
            "20240131",
            "y20240131",
            "x2024",
            "001",
            "01",
            "-",
            "٢",
            "}",
        ]
    ),
    min_size=1,
    max_size=3,
).map("".join)
paths = st.lists(path_segments, min_size=1, max_size=5).map("/".join)


def compiled(pattern):
    try:
        return compile_pattern(pattern)
    except PatternError:
        assume(False)


def path_for(pattern, draw):
    """A path that the pattern is likely to name."""
    out = []
    for kind, value in tokens(pattern):
        if kind == "char":
            out.append(value)
        elif kind == "date":
            out.append(re.sub("%.", lambda d: "2024"[: WIDTHS[d[0]]] if WIDTHS[d[0]] != 2 else "11", value))
        elif kind == "segments":
            out.append("".join(f"{s}/" for s in draw(st.lists(path_segments, max_size=2))))
        elif kind == "below":
            out.append(draw(paths))
        else:
            out.append(draw(path_segments if kind == "name" else path_segments | st.just("")))
    return "".join(out)


@st.composite
def pairs(draw):
    pattern = draw(patterns)
    return pattern, draw(paths) if draw(st.booleans()) else path_for(pattern, draw)


@settings(max_examples=500)
@given(pairs())
@example(("**/b", "a\n/b"))
@example(("a/**", "a/"))
@example(("*", ""))
def test_a_pattern_names_what_its_description_says(pair):
    pattern, path = pair
    assert matches(pattern, path) == (compiled(pattern).match(path) is not None)


@settings(max_examples=500)
@given(pairs())
@example(("a/b", "a/c"))
@example(("{d:%Y/%m}/f", "2024/01/f"))
@example(("{d:y%Y}/f", "y2024/f"))
@example(("{x}/**", "a/b/c"))
def test_what_is_said_of_a_directory_is_true_of_every_path_below_it(pair):
    """ "none" would lose an item, and "all" would take one that is not meant."""
    pattern, path = pair
    found = compiled(pattern)
    parts = path.split("/")
    assume(all(parts))
    for depth in range(len(parts)):
        said = found.below("/".join(parts[:depth]))
        assert not (said == "none" and matches(pattern, path))
        assert not (said == "all" and not matches(pattern, path))
        assert said in ("none", "some", "all")
        assert not (said == "all" and found.names)


def test_below_prunes_what_it_can_and_takes_whole_what_it_can():
    """Exhaustively over small trees, and with the answers that spare a walk."""
    small = ["/".join(p) for n in (1, 2, 3, 4) for p in product("ab", repeat=n)]
    for pattern in ("a", "a/b", "*/b", "a/*", "**", "a/**", "**/b", "a/**/b", "*/**", "**/a/**", "a*/**", "{x}/b", "{x}/**"):
        for directory in ("", *small):
            below = [p for p in small if not directory or p.startswith(directory + "/")]
            if below:
                some = [matches(pattern, p) for p in below]
                said = compile_pattern(pattern).below(directory)
                assert said == "some" or (said == "all" and all(some)) or (said == "none" and not any(some))
    said = [
        compile_pattern(p).below(d)
        for p, d in [("a/**", "a"), ("a/**", "a/b"), ("a/**", "b"), ("**", ""), ("a/b", "b"), ("a/b", "a/b")]
    ]
    assert ["all", "all", "none", "all", "none", "none"] == said
    assert "none" == compile_pattern("a/b/c").below("a/c")
    assert "none" == compile_pattern("{d:%Y/%m}/f").below("2024/x")
    assert "some" == compile_pattern("{d:%Y/%m}/f").below("2024/01")


def test_what_a_name_captures():
    found = compile_pattern("tickets/{ticket}/{day:%Y-%m-%d}_*.wav").match("tickets/42/2024-02-29_x.wav")
    assert {"ticket": "42", "day": "2024-02-29"} == found.groupdict()
    spanning = compile_pattern("{day:%Y/%m/%d}/**")
    assert ("day",) == spanning.names
    assert {"day": "%Y/%m/%d"} == dict(spanning.dates)
    assert "2024/02/29" == spanning.match("2024/02/29/a/b")["day"]


@pytest.mark.parametrize("path", ["ABC/x", "abc/x", "a/x", "AB/x", "ab"])
def test_a_pattern_is_about_segments_and_case_counts(path):
    """`ab/**` is not `abc/…`, as a prefix without a slash would be."""
    assert compile_pattern("ab/**").match(path) is None


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("", "empty pattern"),
        ("/a", "no slash at either end"),
        ("a/", "no slash at either end"),
        ("/", "no slash at either end"),
        ("a//b", "segments are not allowed"),
        (".", "segments are not allowed"),
        ("a/./b", "segments are not allowed"),
        ("../a", "segments are not allowed"),
        ("a/..", "segments are not allowed"),
        ("{d:%Y/../%m}", "segments are not allowed"),
        ("{d:/%Y}", "segments are not allowed"),
        ("a**", "stands alone"),
        ("**a/b", "stands alone"),
        ("a/***", "stands alone"),
        ("{x}/{x}", "{x} stands twice"),
        ("{x}/{x:%Y}", "{x} stands twice"),
        ("{x", "does not close"),
        ("{}", "does not close"),
        ("{1a}", "does not close"),
        ("{a-b}", "does not close"),
        ("{%Y}", "does not close"),
        ("{a{b}}", "does not close"),
        ("{d:}", "names no year"),
        ("{d:%m-%d}", "names no year"),
        ("{d:%%Y}", "names no year"),
        ("{d:%Y-%B}", "%B is not a form of date"),
        ("{d:%Y%}", "single '%'"),
        ("{d:%%%Y%%%}", "single '%'"),
        ("{d:%Y-%d}", "no stretch of time"),
        ("{d:%Y %H}", "no stretch of time"),
        ("{d:%Y-%m %M}", "no stretch of time"),
        ("{d:%Y-%m-%d %S}", "no stretch of time"),
        ("{d:%Y-%Y}", "no stretch of time"),
        ("{d:%Y-%y}", "no stretch of time"),
        ("{d:%Y-%m-%j}", "no stretch of time"),
        ("{d:%Y*}", "'*'"),
    ],
)
def test_why_a_pattern_cannot_be_used(pattern, why):
    with pytest.raises(PatternError, match=re.escape(why)):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    ("form", "text", "civil", "precision"),
    [
        ("%Y", "2024", datetime(2024, 1, 1), "year"),
        ("%Y-%m", "2024-02", datetime(2024, 2, 1), "month"),
        ("%Y%m%d", "20240229", datetime(2024, 2, 29), "day"),
        ("%y%m%d", "240229", datetime(2024, 2, 29), "day"),
        ("%d.%m.%Y", "29.02.2024", datetime(2024, 2, 29), "day"),
        ("%Y-%j", "2024-060", datetime(2024, 2, 29), "day"),
        ("%Y-%j %H", "2024-060 07", datetime(2024, 2, 29, 7), "hour"),
        ("%Y/%m/%d/%H", "2024/02/29/07", datetime(2024, 2, 29, 7), "hour"),
        ("%Y%m%dT%H%M", "20240229T0708", datetime(2024, 2, 29, 7, 8), "minute"),
        ("%Y%m%d%H%M%S", "20240229070809", datetime(2024, 2, 29, 7, 8, 9), "second"),
        ("%Y%%S", "2024%S", datetime(2024, 1, 1), "year"),
        ("%Y-%m%%d", "2024-02%d", datetime(2024, 2, 1), "month"),
    ],
)
def test_a_date_in_a_name_says_how_precise_it_is(form, text, civil, precision):
    """A year alone is a year: taken for its January, an archive of 2024 would go eleven months early."""
    captured = compile_pattern(f"{{day:{form}}}").match(text)
    assert captured is not None
    assert (civil, precision) == date_of(captured["day"], form)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%Y-%m-%d", "2023-02-29"),
        ("%Y-%m-%d", "2024-13-01"),
        ("%Y-%m-%d", "0000-01-01"),
        ("%Y-%j", "2023-366"),
        ("%Y%m%d%H", "2024022924"),
    ],
)
def test_a_name_with_a_date_that_does_not_exist_is_named_and_has_no_date(form, text):
    assert compile_pattern(f"{{day:{form}}}").match(text) is not None
    assert date_of(text, form) is None


between = st.sampled_from(["", "-", "T", "/", ".", "a", "%%", "%%Y", " ", "(", "٢"])
whole = st.sampled_from(["YmdHMS", "ymdHMS", "YjHMS", "yjHMS"])
letters = st.tuples(whole, st.integers(1, 6)).flatmap(lambda w: st.permutations(w[0][: w[1]]))
forms = st.tuples(letters, st.lists(between, min_size=7, max_size=7)).map(
    lambda f: f[1][6] + "".join(f"%{letter}{text}" for letter, text in zip(f[0], f[1], strict=False))
)


@settings(max_examples=500)
@given(forms, st.datetimes(datetime(1980, 1, 1), datetime(2060, 1, 1)))
def test_every_form_that_is_accepted_reads_what_it_writes(form, civil):
    """In any order of its parts, with anything between them; and as the standard library reads it."""
    assume("//" not in form and "/./" not in form)
    pattern = compile_pattern(f"d{{day:{form}}}d")
    text = civil.strftime(form)
    assert text == pattern.match(f"d{text}d")["day"]
    found, precision = date_of(text, form)
    kept = {"year": 1, "month": 2, "day": 3, "hour": 4, "minute": 5, "second": 6}[precision]
    assert civil.timetuple()[:kept] == found.timetuple()[:kept]
    assert (1, 1, 0, 0, 0)[kept - 1 :] == found.timetuple()[kept:6]
    assert found == datetime.strptime(text, form)


@settings(max_examples=500)
@given(forms, st.text("0123456789-/T.a% ", max_size=24))
def test_what_is_not_of_the_form_has_no_date(form, text):
    found = date_of(text, form)
    assert found is None or text == found[0].strftime(form)


@settings(max_examples=500)
@given(pairs(), paths)
def test_the_path_of_a_hold_covers_what_it_names_and_everything_below(pair, below):
    """Above all: what the pattern names is covered. Covering is never less than naming."""
    pattern, path = pair
    compiled(pattern)
    parts = path.split("/")
    expected = any(matches(pattern, "/".join(parts[:n])) for n in range(1, len(parts) + 1))
    assert expected == glob_covers(pattern, path)
    if expected:
        assert glob_covers(pattern, f"{path}/{below}")
        assert glob_covers(f"/{pattern}/", path)
        assert path.startswith("/") or glob_covers(pattern, f"/{path}")


@pytest.mark.parametrize(
    ("pattern", "path", "covers"),
    [
        ("a", "a", True),
        ("a", "a/b/c", True),
        ("a", "ab", False),
        ("a/", "a/b", True),
        ("/a", "a/b", True),
        ("a*", "ab/c", True),
        ("*/x", "a/x/y", True),
        ("*/x", "a/y/x", False),
        ("**/x", "x/y", True),
        ("a/**", "a", False),
        ("a[1]", "a[1]/b", True),
        ("a[1]", "a1", False),
        ("/", "anything/at/all", True),
        ("", "anything", True),
        ("{t}/x", "7/x/y", True),
        ("a", "a\nb", False),
        ("a", "a/\nb", True),
    ],
)
def test_what_the_path_of_a_hold_covers(pattern, path, covers):
    assert covers == glob_covers(pattern, path)


@settings(max_examples=500)
@given(segments, paths)
def test_a_path_without_wildcards_names_itself_alone(pattern, path):
    assert is_plain(path)
    assert matches(path, path)
    assert is_plain(pattern) == (tokens(pattern) == tuple(("char", c) for c in pattern))
