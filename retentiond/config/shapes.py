"""The shapes of the two kinds of file: every key with its meaning and an example.

This is the reference of the language as far as this version carries it out; what it does not
carry out stands in `not_yet`. Editors get the same as JSON Schema. Fields marked `Piece` are
read by their own shapes, so that a mistake in one hides none in its neighbours.
"""

from __future__ import annotations

import warnings
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from retentiond.config.copy_shapes import ArchiveShape, CopyShape, RequireShape
from retentiond.config.notify_shapes import AppriseShape, MailShape, WebhookShape
from retentiond.config.reading import Piece, Shape, Text, Texts, schema, words
from retentiond.config.schedule import cron, schedule
from retentiond.config.selections import MessageShape, PathShape, TableShape
from retentiond.config.words import Unreadable, period, share, size, wait, within
from retentiond.core.anonymise import LONGEST_HASH, SHORTEST_HASH
from retentiond.core.period import Period

warnings.filterwarnings("ignore", 'Field name "copy" in "RuleShape" shadows', UserWarning)
"""A word of the language that is the name of an old method of pydantic's, which nobody here calls."""

PeriodWords = Annotated[Period, *words(period, "3 months")]
WaitWords = Annotated[Period, *words(wait, "7 days")]
ScheduleWords = Annotated[Any, *words(schedule, "every 15 minutes")]
CronWords = Annotated[Any, *words(cron, "0 2 * * mon")]
SizeWords = Annotated[int, *words(size, "50 GiB", "string", "integer")]
ShareWords = Annotated[int, *words(share, "25%")]

Basis = Literal["consent", "contract", "legal_obligation", "vital_interests", "public_task", "legitimate_interests"]
"""The six lawful bases of Article 6(1) GDPR."""


def _basis(value: Any) -> Any:
    return "_".join(value.lower().split()) if isinstance(value, str) else value


def yes(value: Any) -> bool:
    """A word that is answered with yes or no."""
    answers = {"yes": True, "no": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in answers:
        return answers[value]
    raise Unreadable("neither yes nor no", "it is answered with one word", "write yes")


def _at_least_one(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise Unreadable("this is no number of items", "it is a whole number of 1 or more", "write for example 5000")
    return value


class PromiseShape(Shape):
    """What was promised, in the words of the published notice."""

    called: ClassVar[str] = "promise"
    text: Text = Field(description="The words of the notice.", examples=["deleted after three months"])
    source: Text = Field(description="The file of the notice.", examples=["notices/support.txt"])


class LimitsShape(Shape):
    """Bounds of one plan, for each rule; on by default."""

    called: ClassVar[str] = "limit"
    items: Annotated[int, *words(_at_least_one, "5000", "integer")] = Field(
        10_000, description="The most items that one plan disposes of.", examples=["5000"]
    )
    share: ShareWords = Field(25, description="The largest share of what the selection matches.", examples=["25%"])
    bytes: SizeWords = Field(100 * 2**30, description="The most bytes.", examples=["50 GiB"])


class EventShape(Shape):
    """Something that happens to a subject and starts a clock."""

    called: ClassVar[str] = "event"
    store: Text = Field("", description="The store that the query asks.", examples=["helpdesk"])
    query: Text = Field(
        "",
        description="Gives the columns `subject` and `at`.",
        examples=["SELECT id AS subject, resolved_at AS at FROM tickets WHERE status = 'resolved'"],
    )
    settle: WaitWords | None = Field(None, description="An event younger than this may still be withdrawn.", examples=["1 hour"])
    zone: Text = Field("", description="The zone of times without one.", examples=["Europe/London"])
    recorded: Annotated[bool, *words(yes, "yes", "string", "boolean")] = Field(
        False, description="Recorded by hand or by file drop.", examples=["yes"]
    )


class StartShape(Shape):
    """Where the clock starts: exactly one of `column`, `path`, `header`, `metadata`, `tag`, `event`."""

    called: ClassVar[str] = "start"
    column: Text = Field("", description="A column with a date or a time.", examples=["closed_at"])
    path: Text = Field("", description="A date captured from the path.", examples=["day"])
    header: Text = Field("", description="A header of a message with a date.", examples=["Date"])
    metadata: Text = Field("", description="A field of an object's own metadata.", examples=["recorded-at"])
    tag: Text = Field("", description="A tag of an object.", examples=["recorded"])
    event: Text = Field("", description="A declared event.", examples=["ticket-resolved"])
    by: Text = Field("", description="The field whose value is the event's subject.", examples=["ticket"])
    zone: Text = Field("", description="The zone of times without one.", examples=["Europe/London"])
    unit: Literal["s", "ms"] | None = Field(None, description="What a number counts since 1970.", examples=["s"])


class MinimumShape(Shape):
    """A statutory floor, which beats even an erasure request."""

    called: ClassVar[str] = "minimum"
    period: PeriodWords = Field(description="How long the law demands.", examples=["6 years"])
    mandate: Text = Field(description="The law that demands it.", examples=["Companies Act 2006 s. 388"])


def _count(value: Any) -> int | str:
    if value == "all":
        return "all"
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    do = "leave it out, and none is kept by it" if value == 0 else "write for example 7, or all"
    raise Unreadable("this is no count of generations", "it is a whole number of 1 or more, or all", do)


CountWords = Annotated[Any, *words(_count, "7", "integer", "string")]


class GenerationsShape(Shape):
    """Which of a line of backups stay: at least one count. What no rule of them keeps goes."""

    called: ClassVar[str] = "generations rule"
    last: CountWords = Field(None, description="The newest so many, or all.", examples=["3"])
    hourly: CountWords = Field(None, description="The newest of each of so many hours, or all.", examples=["24"])
    daily: CountWords = Field(None, description="The newest of each of so many days, or all.", examples=["7"])
    weekly: CountWords = Field(None, description="The newest of each of so many ISO weeks, or all.", examples=["4"])
    monthly: CountWords = Field(None, description="The newest of each of so many months, or all.", examples=["12"])
    yearly: CountWords = Field(None, description="The newest of each of so many years, or all.", examples=["5"])
    within: PeriodWords | None = Field(None, description="Everything so long before the newest.", examples=["14 days"])
    group_by: Text = Field("", description="Each value of this field has its own generations.", examples=["host"])
    set_by: Text = Field("", description="Items of one value of this field stand and fall together.", examples=["day"])


class UnlessShape(Shape):
    """What allows an item that must not exist otherwise."""

    called: ClassVar[str] = "exception"
    event: Text = Field(description="A declared event.", examples=["consent"])
    by: Text = Field(description="The field whose value is the event's subject.", examples=["call"])


class ForbidShape(Shape):
    """Items that must not exist: a violation at once, and disposed of by the action."""

    called: ClassVar[str] = "forbid rule"
    unless: Annotated[UnlessShape, Piece()] = Field(
        description="The event that allows an item.", examples=[{"event": "consent", "by": "call"}]
    )


def _hash_length(value: Any) -> int:
    return within(value, SHORTEST_HASH, LONGEST_HASH, "the length of a hash", "16")


def _kept(value: Any) -> int:
    return within(value, 0, 10_000, "how many characters stay", "2")


def _truncated(value: Any) -> int | str:
    if value in ("year", "month"):
        return str(value)
    bits = within(value, 1, 128, "how many bits stay, or year, or month", "24")
    if bits in (32, 128):
        raise Unreadable("this keeps a whole address", f"an address has no more than {bits} bits", "write for example 24")
    return bits


class StrategyShape(Shape):
    """What a column becomes: exactly one of the keys."""

    called: ClassVar[str] = "strategy"
    hash: Annotated[Any, *words(_hash_length, "16", "integer")] = Field(
        None, description="A keyed hash: `#` and hexadecimal digits, so many characters in all.", examples=[16]
    )
    truncate: Annotated[Any, *words(_truncated, "24", "integer", "string")] = Field(
        None,
        description="An address without its last bits (so many of IPv4 stay), or a date cut to its year or month.",
        examples=[24],
    )
    mask: Annotated[Any, *words(_kept, "2", "integer")] = Field(
        None, description="So many characters stay, each other one becomes a star.", examples=[2]
    )


class ActionShape(Shape):
    """What happens to an item that is due; the actions with words of their own."""

    called: ClassVar[str] = "action"
    archive: Annotated[ArchiveShape | None, Piece()] = Field(
        None, description="Written to another store, verified there, and then deleted.", examples=[{"to": "vault"}]
    )
    anonymise: Annotated[dict[str, str | int | StrategyShape | None], Piece()] = Field(
        default={},
        description="For each column what it becomes: a value, null, or a strategy.",
        examples=[{"sender_name": "removed", "sender_email": None, "ip": {"truncate": 24}, "ref": {"hash": 16}}],
    )


class ExemptShape(Shape):
    """That the items of a rule are not erased on request, and on which ground."""

    called: ClassVar[str] = "exemption"
    ground: Literal["a", "b", "c", "d", "e"] = Field(description="The letter of Art. 17(3) GDPR.", examples=["d"])
    because: Text = Field(description="Why it applies.", examples=["statistics required by the regulator"])


class RuleShape(Shape):
    """How a category is disposed of in one store."""

    called: ClassVar[str] = "rule"
    store: Text = Field(description="A declared store.", examples=["uploads"])
    select: Annotated[PathShape | TableShape | MessageShape, Piece()] = Field(
        description="Which items.", examples=[{"path": "tickets/{ticket}/**"}]
    )
    start: Annotated[Literal["created", "modified"] | StartShape | None, Piece()] = Field(
        None, description="Where the clock starts.", examples=["modified"]
    )
    retention_period: PeriodWords | None = Field(None, description="Keep at least this long.", examples=["3 months"])
    deletion_period: PeriodWords | None = Field(
        None, description="Must be gone by then; default: a day longer.", examples=["4 months"]
    )
    generations: Annotated[GenerationsShape | None, Piece()] = Field(
        None, description="How many generations stay, instead of a period.", examples=[{"last": 3, "daily": 7}]
    )
    forbid: Annotated[ForbidShape | None, Piece()] = Field(
        None,
        description="That such items must not exist, instead of a period.",
        examples=[{"unless": {"event": "consent", "by": "call"}}],
    )
    minimum: Annotated[MinimumShape | None, Piece()] = Field(
        None, description="What a law demands.", examples=[{"period": "6 years"}]
    )
    action: Annotated[Literal["delete", "review", "keep"] | ActionShape, Piece()] = Field(
        description="What happens to what is due.", examples=["delete"]
    )
    __annotations__["copy"] = Annotated[CopyShape | None, Piece()]
    vars()["copy"] = Field(None, description="Where every item is copied to.", examples=[{"to": "offsite"}])  # a word of pydantic
    require: Annotated[RequireShape | None, Piece()] = Field(
        None, description="What has to be true of every item.", examples=[{"encrypted": "any"}]
    )
    cooling_off: WaitWords | None = Field(
        None, description="How long items wait that a change of the rule has made due.", examples=["7 days"]
    )
    exempt: Annotated[ExemptShape | None, Piece()] = Field(
        None,
        description="That erasure requests are refused.",
        examples=[{"ground": "d", "because": "statistics required by the regulator"}],
    )
    by: Literal["lifecycle"] | None = Field(
        None, description="Who deletes: the bucket itself, by a lifecycle rule that is installed there.", examples=["lifecycle"]
    )
    bypass_governance: Annotated[bool, *words(yes, "yes", "string", "boolean")] = Field(
        False, description="A lock in governance mode may be passed, if a person says so.", examples=["yes"]
    )
    subject: dict[str, Text] = Field(default={}, description="Identifier kind: field.", examples=[{"email": "sender_email"}])
    link: Text = Field("", description="The field that joins items of several rules to sets.", examples=["call_id"])
    everything: Text = Field("", description="Says that all of it is meant.", examples=["yes, every item in uploads"])


class CronShape(Shape):
    """A schedule in cron's five fields."""

    called: ClassVar[str] = "schedule"
    cron: CronWords = Field(description="Minute, hour, day, month, weekday by name.", examples=["0 2 * * mon"])


class CategoryShape(Shape):
    """A body of personal data processed for one purpose: one file in `policies.d/`."""

    called: ClassVar[str] = "category"
    category: Text = Field(description="The category's name.", examples=["support-files"])
    title: Text = Field(description="What people call it.", examples=["Files obtained for support"])
    promise: Annotated[PromiseShape | None, Piece()] = Field(None, description="What the notice says.", examples=[{"text": "…"}])
    purpose: Texts = Field(description="What the data is for.", examples=[["resolving the customer's issue"]])
    lawful_basis: Annotated[Basis, BeforeValidator(_basis)] = Field(description="Article 6(1) GDPR.", examples=["contract"])
    data: Texts = Field(description="Kinds of data.", examples=[["files sent by the customer"]])
    subjects: Texts = Field(description="Whose data.", examples=[["customers"]])
    recipients: list[Text] = Field(default=[], description="Who gets it.", examples=[["couriers"]])
    owner: Text = Field(description="Who answers for it.", examples=["dpo@example.org"])
    locations: Texts = Field(description="Where it may be.", examples=[["GB", "IE"]])
    schedule: Annotated[ScheduleWords | CronShape, Piece()] = Field(
        description="When it is looked at.", examples=["every 15 minutes"]
    )
    approval: Literal["none", "first", "always"] = Field(
        "first", description="What the daemon may do by itself.", examples=["first"]
    )
    limits: Annotated[LimitsShape | None, Piece()] = Field(None, description="Bounds of one plan.", examples=[{"items": 5000}])
    cooling_off: WaitWords | None = Field(
        None, description="The same for every rule that does not say it for itself.", examples=["7 days"]
    )
    events: Annotated[dict[str, EventShape], Piece()] = Field(
        default={}, description="What starts clocks.", examples=[{"contract-ended": {"recorded": "yes"}}]
    )
    rules: Annotated[dict[str, RuleShape], Piece()] = Field(
        description="At least one rule.", examples=[{"uploads": {"store": "uploads"}}]
    )


class StateShape(Shape):
    """Where the program keeps what it remembers."""

    called: ClassVar[str] = "state"
    directory: Text = Field(description="A directory.", examples=["/var/lib/retentiond"])
    database: Text = Field(
        "",
        description="A file of SQLite, or a database of PostgreSQL; default: state.db in the directory.",
        examples=["postgresql+psycopg://retentiond@db/retentiond"],
    )
    password: Annotated[Any, Piece()] = Field(
        None, description="Where to find the password of the database.", examples=[{"credential": "state"}]
    )


class IdentityShape(Shape):
    """How one identifier leads to others."""

    called: ClassVar[str] = "identity"
    store: Text = Field(description="The store that the query asks.", examples=["pbx"])
    query: Text = Field(
        description="Takes `:kind`, gives further kinds.", examples=["SELECT id AS customer FROM customers WHERE email = :email"]
    )
    several: Annotated[bool, *words(yes, "yes", "string", "boolean")] = Field(
        False, description="One may lead to many, such as the calls of a customer.", examples=["yes"]
    )


class AuditShape(Shape):
    """The audit trail."""

    called: ClassVar[str] = "audit setting"
    origin: Text = Field(description="The log's name.", examples=["audit.example.org/retentiond"])
    anchors: Annotated[Any, Piece()] = Field(
        None, description="Where every checkpoint is handed to somebody else.", examples=[["journal", {"store": "offsite"}]]
    )
    signing_key: Annotated[Any, Piece()] = Field(
        None, description="A path, or a reference to a secret; default: <state>/keys.", examples=["/etc/retentiond/signing.key"]
    )
    reference_keys: Annotated[Any, Piece()] = Field(
        None, description="A folder, with a key for each year; default: <state>/keys.", examples=["/etc/retentiond/keys"]
    )


def _periods(value: Any) -> int:
    return within(value, 1, 10_000, "how many periods of a schedule pass", "3")


class SettingsShape(Shape):
    """`retentiond.yaml`."""

    called: ClassVar[str] = "configuration file"
    organisation: Text = Field(description="Who promises.", examples=["Example Telephony Ltd"])
    timezone: Text = Field(description="Where civil dates and periods are counted.", examples=["Europe/London"])
    state: Annotated[Text | StateShape, Piece()] = Field(
        description="Where the program keeps what it remembers.", examples=["/var/lib/retentiond"]
    )
    policies: Text = Field(description="The folder of the categories.", examples=["policies.d"])
    stores: Annotated[dict[str, dict[str, Any]], Piece()] = Field(
        description="Where data is.", examples=[{"desk": {"type": "files", "path": "/srv/desk", "location": "GB"}}]
    )
    identities: Annotated[dict[str, IdentityShape], Piece()] = Field(
        default={}, description="One identifier leads to others.", examples=[{}]
    )
    audit: Annotated[AuditShape, Piece()] = Field(
        description="The audit trail: its name and its keys.", examples=[{"origin": "audit.example.org/retentiond"}]
    )
    notify: Annotated[list[WebhookShape | MailShape | AppriseShape], Piece()] = Field(
        default=[], description="Whom to tell when something is wrong.", examples=[[{"webhook": {"credential": "hook"}}]]
    )
    silence: Annotated[int, *words(_periods, "3", "integer")] = Field(
        3, description="After so many periods of its schedule without effect a category is reported as silent.", examples=["3"]
    )
    suppression: PeriodWords | None = Field(
        None,
        description="For so long an erasure is obeyed again, after a restore or an import; default: 2 years.",
        examples=["2 years"],
    )
    engine: Annotated[Literal["local"], Piece()] = Field("local", description="Where lanes run.", examples=["local"])


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schemas of both kinds of file, for editors."""
    return {"retentiond.yaml": schema(SettingsShape), "policies.d/*.yaml": schema(CategoryShape)}
