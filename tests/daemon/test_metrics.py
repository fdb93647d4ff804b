"""Metrics say what a standing says, in a form that Prometheus reads, and name no item and no person."""

import re
import stat

import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from retentiond.app.house import House
from retentiond.app.standing import standing
from retentiond.daemon.metrics import exposition, write_textfile
from tests.acceptance.shop import LETTERS, OPEN_LIMITS, SALES, Shop
from tests.docs.test_readme import ROOT

PAGE = ROOT / "docs" / "operations.md"
NONE = f"{OPEN_LIMITS}\napproval: none"


@pytest.fixture
def shop(tmp_path):
    """Ten letters of which one is under a hold, looked at once; and sales that nobody looked at."""
    shop = Shop(tmp_path / "shop")
    shop.category("post", LETTERS, head=NONE)
    shop.category("trade", SALES, head=NONE)
    shop.letters(10)
    place = ("--reason", "mrs-smith", "--mandate", "mrs-smith", "--path", "letters/00003.txt", "--review-on", "2020-01-01")
    shop.told("hold", "place", "SMITH-7", *place)
    shop.told("apply", "--category", "post")
    return shop


def taken(shop):
    with House(str(shop.config)) as house:
        return standing(house)


def samples(shop):
    """Every sample by its name and the values of its labels."""
    text = exposition(taken(shop))[0].decode()
    families = text_string_to_metric_families(text)
    return {(s.name, *(s.labels[name] for name in sorted(s.labels))): s.value for f in families for s in f.samples}


def test_what_became_of_items_is_counted_by_category(shop):
    found = samples(shop)
    assert found["retentiond_outcomes_total", "post", "disposed"] == 9
    assert found["retentiond_held_items", "post"] == 1
    assert found["retentiond_overdue_items", "post"] == 0
    shop.letters(2, first=50)
    shop.told("apply", "--category", "post")
    assert samples(shop)["retentiond_outcomes_total", "post", "disposed"] == 11, "a counter goes on where it was"


def test_what_is_overdue_has_a_number_and_an_age(shop):
    shop.letters(3, first=50)
    shop.told("plan", "post")
    found = samples(shop)
    assert found["retentiond_overdue_items", "post"] == 3
    assert found["retentiond_overdue_oldest_age_seconds", "post"] == pytest.approx(400 * 86_400, abs=3600)


def test_what_nobody_has_seen_is_not_said_to_be_nothing(shop):
    found = samples(shop)
    for name in (
        "overdue_items",
        "overdue_oldest_age_seconds",
        "violations",
        "undetermined_items",
        "last_look_timestamp_seconds",
        "last_seen_timestamp_seconds",
    ):
        assert (f"retentiond_{name}", "post") in found
        assert (f"retentiond_{name}", "trade") not in found


def test_instants_are_seconds_since_1970(shop):
    found, now = samples(shop), taken(shop).at.timestamp()
    for key in (
        ("retentiond_last_effective_timestamp_seconds", "post"),
        ("retentiond_last_look_timestamp_seconds", "post"),
        ("retentiond_audit_checkpoint_timestamp_seconds",),
        ("retentiond_standing_timestamp_seconds",),
    ):
        assert found[key] == pytest.approx(now, abs=300)


def test_the_house_itself_is_measured(shop):
    (shop.folder / "state" / "stop").touch()
    found = samples(shop)
    wanted = {"stop_file": 1, "daemon_running": 0, "clock_trusted": 1, "holds_active": 1, "holds_to_review": 1, "open_intents": 0}
    assert {name: found[(f"retentiond_{name}",)] for name in wanted} == wanted
    assert found[("retentiond_audit_entries",)] == len(shop.entries())
    assert found[("retentiond_audit_unpublished_entries",)] == 0


def test_a_store_that_is_down_makes_a_category_no_better(shop):
    shop.letters(3, first=50)
    shop.told("plan", "post")
    effective = samples(shop)["retentiond_last_effective_timestamp_seconds", "post"]
    (shop.folder / "desk").rename(shop.folder / "away")
    shop.told("apply", "--category", "post", code=5)
    found = samples(shop)
    assert found["retentiond_overdue_items", "post"] == 3
    assert found["retentiond_last_effective_timestamp_seconds", "post"] == effective
    assert found["retentiond_last_look_timestamp_seconds", "post"] > effective


@pytest.mark.parametrize(
    ("accept", "kind", "read"),
    [
        ("", "text/plain; version=0.0.4", text_string_to_metric_families),
        ("text/plain;version=nonsense", "text/plain; version=0.0.4", text_string_to_metric_families),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "application/openmetrics-text", openmetrics_families),
    ],
)
def test_both_forms_are_read_by_their_readers(shop, accept, kind, read):
    body, said = exposition(taken(shop), accept)
    assert said.startswith(kind)
    families = list(read(body.decode()))
    assert len(families) > 20
    for family in families:
        assert family.name.startswith("retentiond_")
        assert family.documentation.endswith(".")
        assert all(s.name.endswith("_total") for s in family.samples) == (family.type == "counter" or not family.samples)
        assert {label for s in family.samples for label in s.labels} <= {"category", "outcome"}


def test_a_metric_names_no_item_no_person_and_no_place(shop):
    text = exposition(taken(shop))[0].decode().lower()
    for word in ("smith", "letters/", ".txt", "desk", str(shop.folder).lower(), "owner", "dpo"):
        assert word not in text


def test_a_textfile_is_whole_and_may_be_read_by_whoever_collects_it(shop, tmp_path):
    file = tmp_path / "collector" / "retentiond.prom"
    file.parent.mkdir()
    file.write_text("old")
    write_textfile(file, taken(shop))
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert len(list(text_string_to_metric_families(file.read_text()))) > 20
    assert [p.name for p in file.parent.iterdir()] == ["retentiond.prom"]


def test_a_textfile_that_cannot_be_written_leaves_nothing_behind(shop, tmp_path):
    taken_name = tmp_path / "collector" / "retentiond.prom"
    (taken_name / "a folder").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        write_textfile(taken_name, taken(shop))
    assert [p.name for p in taken_name.parent.iterdir()] == ["retentiond.prom"]


# --- the page


def test_the_page_has_every_metric_and_no_other(shop):
    page = PAGE.read_text(encoding="utf-8")
    rows = "\n".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `retentiond_"))
    shown = set(re.findall(r"retentiond_[a-z_]+", rows))
    text = exposition(taken(shop))[0].decode()
    assert shown == set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))


def test_the_alarms_of_the_page_ask_for_metrics_that_there_are(shop):
    rules = yaml.safe_load(
        re.search(r"^```yaml\n(groups:.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)[1]
    )
    asked = {name for rule in rules["groups"][0]["rules"] for name in re.findall(r"retentiond_[a-z_]+", rule["expr"])}
    assert len(asked) > 8
    assert asked <= set(re.findall(r"^# TYPE (\S+)", exposition(taken(shop))[0].decode(), re.MULTILINE))
