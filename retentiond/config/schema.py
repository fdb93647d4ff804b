"""The shapes as JSON Schema (draft 2020-12), for editors that complete and check YAML.

An editor that knows a schema shows what each key means while somebody types it, and marks a key
that there is not. The schema is made of the shapes, so that it cannot forget one; what pydantic
cannot know is put right here: unions are written out (each way of `start` with its own companions),
defaults stand as a person would write them, and an empty value is never one of the choices.

It says less than `check`, never more: what the program accepts in the spelling of the documentation,
the schema accepts. It cannot know names (of stores, events, fields), zones, overlaps or promises.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal, get_args

from pydantic import Field

from retentiond.config.anchors import CommandAnchorShape, StoreAnchorShape
from retentiond.config.reading import Shape, Text
from retentiond.config.reading import schema as of_shape
from retentiond.config.shapes import Basis, CategoryShape, SettingsShape

DRAFT = "https://json-schema.org/draft/2020-12/schema"

_UNITS = "([Mm]inute|[Hh]our|[Dd]ay|[Ww]eek|[Mm]onth|[Yy]ear)s?"
_YES_OR_NO: Any = {"type": None, "enum": ["yes", "no", True, False], "default": "no"}
_PERIOD = {"pattern": rf"^\s*([Ii]mmediately|[Ff]orever|P[0-9TYMWDH]+|[0-9]+ ?{_UNITS}(\s+[0-9]+ ?{_UNITS})*)\s*$"}
_WAIT = {"pattern": _PERIOD["pattern"].replace("|[Ff]orever", "")}
_CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9]"
_DAYS = "(mon|tues|wednes|thurs|fri|satur|sun)day"
_EVERY = r"every\s+[1-9][0-9]*\s+(second|minute|hour|day)s?"
_SCHEDULE = {"pattern": rf"^\s*({_EVERY}|daily\s+at\s+{_CLOCK}|weekly\s+on\s+{_DAYS}\s+at\s+{_CLOCK})\s*$"}
_NAMED = {"propertyNames": {"pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$"}}
_EVERYTHING = {"pattern": r"^yes, every item in \S"}
_TEXTS = {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"type": "string", "minLength": 1}}
_PLACE = {"type": "string", "minLength": 1}
_SECRET = {"$ref": "#/$defs/secret"}
_HOST_KEY = {"type": "string", "pattern": r"^\s*(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521))\s+\S"}
_REPLICAS = {"type": "array", "items": _PLACE, "minItems": 1}
_REPLICAS_AND_LAG = {
    "type": "object",
    "properties": {
        "urls": {**_REPLICAS, "description": "Their addresses.", "examples": [["postgresql+psycopg://user@standby/database"]]},
        "lag": {"type": ["string", "number"], "description": "How far one may be behind; default: 5 s.", "examples": ["5 s"]},
    },
    "required": ["urls"],
    "additionalProperties": False,
}

_READ = ("zone", "unit")
_COMPANIONS: Mapping[str, tuple[str, ...]] = {
    "column": _READ,
    "metadata": _READ,
    "tag": _READ,
    "path": ("zone",),
    "header": ("zone",),
    "event": ("by",),
}
"""What may stand in a `start` beside each source of it; `by` must."""

_CLOCKS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("start", "retention_period"), ("generations", "forbid")),
    (("start", "generations"), ("forbid", "retention_period", "deletion_period")),
    (("forbid",), ("generations", "start", "retention_period", "deletion_period", "minimum")),
)
"""What tells a rule when an item may go: the keys that are needed for it, and those that mean nothing beside them."""

_COUNT = {"anyOf": [{"type": "integer", "minimum": 1}, {"enum": ["all"]}]}
_COUNTS = ("last", "hourly", "daily", "weekly", "monthly", "yearly")

_PUT_RIGHT: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("category", "lawful_basis"): {"enum": sorted({*get_args(Basis), *(b.replace("_", " ") for b in get_args(Basis))})},
    ("category", "events"): _NAMED,
    ("category", "rules"): {"minProperties": 1, **_NAMED},
    ("limit", "items"): {"type": "integer", "minimum": 1, "default": 10_000, "examples": [5000]},
    ("limit", "share"): {"pattern": "^([1-9][0-9]?|100) ?%$", "default": "25%"},
    ("limit", "bytes"): {"default": "100 GiB"},
    ("event", "settle"): _WAIT,
    ("event", "recorded"): _YES_OR_NO,
    ("rule", "bypass_governance"): _YES_OR_NO,
    ("identity", "several"): _YES_OR_NO,
    ("path selection", "everything"): _EVERYTHING,
    ("table selection", "everything"): _EVERYTHING,
    ("mail selection", "everything"): _EVERYTHING,
    ("mail selection", "from"): {"anyOf": [_PLACE, _TEXTS]},
    ("mail selection", "to"): {"anyOf": [_PLACE, _TEXTS]},
    ("mail selection", "header"): {"minProperties": 1, "propertyNames": {"pattern": "^[!-9;-~]+$"}},
    ("table selection", "where"): {"type": ["string", "integer", "boolean"]},
    ("table selection", "key"): {"anyOf": [{"type": "string", "minLength": 1}, _TEXTS]},
    ("table selection", "children"): {"anyOf": [{"enum": ["forbid", "reflect"]}, _TEXTS]},
    ("rule", "everything"): _EVERYTHING,
    ("action", "anonymise"): {
        "minProperties": 1,
        "additionalProperties": {"anyOf": [{"type": ["string", "integer"]}, {"enum": [None]}, {"$ref": "#/$defs/strategy"}]},
    },
    ("strategy", "hash"): {"type": "integer", "minimum": 4},
    ("strategy", "truncate"): {"anyOf": [{"type": "integer", "minimum": 1}, {"enum": ["year", "month"]}]},
    ("strategy", "mask"): {"type": "integer", "minimum": 0},
    ("category", "cooling_off"): _WAIT,
    ("rule", "cooling_off"): _WAIT,
    ("configuration file", "suppression"): _PERIOD,
    ("rule", "retention_period"): _PERIOD,
    ("rule", "deletion_period"): _PERIOD,
    ("rule", "minimum"): {"examples": [{"period": "6 years", "mandate": "Companies Act 2006 s. 388"}]},
    ("rule", "subject"): {"propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_.-]{0,63}$"}},
    **{("generations rule", key): _COUNT for key in _COUNTS},
    ("generations rule", "within"): _PERIOD,
    ("minimum", "period"): _PERIOD,
    ("schedule", "cron"): {"pattern": r"^\s*\S+(\s+\S+){4}\s*$"},
    ("configuration file", "stores"): {
        "minProperties": 1,
        **_NAMED,
        "additionalProperties": {
            "anyOf": [{"$ref": f"#/$defs/{name}-store"} for name in ("files", "sql", "mail", "sftp", "s3", "other")]
        },
    },
    ("configuration file", "identities"): {
        **_NAMED,
        "examples": [{"by-email": {"store": "pbx", "query": "SELECT id AS customer FROM customers WHERE email = :email"}}],
    },
    ("configuration file", "silence"): {"type": "integer", "minimum": 1, "default": 3, "examples": [3]},
    ("webhook", "webhook"): {"anyOf": [{"type": "string", "pattern": "^https?://"}, _SECRET]},
    ("webhook", "headers"): {
        "propertyNames": {"pattern": "^[A-Za-z0-9-]{1,64}$"},
        "additionalProperties": {"anyOf": [_PLACE, _SECRET]},
    },
    ("webhook", "secret"): {"anyOf": [_SECRET]},
    ("mail address", "port"): {"type": "integer", "minimum": 1, "maximum": 65_535},
    ("mail address", "password"): {"anyOf": [_SECRET]},
    ("apprise address", "apprise"): {"anyOf": [_SECRET]},
    ("audit setting", "anchors"): {
        "type": "array",
        "items": {"anyOf": [{"const": "journal"}, {"$ref": "#/$defs/store-anchor"}, {"$ref": "#/$defs/command-anchor"}]},
    },
    ("audit setting", "signing_key"): {"anyOf": [_PLACE, _SECRET]},
    ("audit setting", "reference_keys"): _PLACE,
    ("sql store", "password"): {"anyOf": [_SECRET]},
    ("state", "password"): {"anyOf": [_SECRET]},
    ("mail store", "password"): {"anyOf": [_SECRET]},
    ("mail store", "port"): {"type": "integer", "minimum": 1, "maximum": 65_535},
    ("mail store", "tls"): {"enum": ["yes", "starttls", "no", True, False]},
    ("path selection", "tags"): {"minProperties": 1, "additionalProperties": {"type": "string"}},
    ("s3 store", "access_key"): {"anyOf": [_SECRET]},
    ("s3 store", "secret_key"): {"anyOf": [_SECRET]},
    ("s3 store", "owner"): {"type": ["string", "integer"]},
    ("s3 store", "content_md5"): {"type": None, "enum": ["yes", "no", True, False], "default": "no"},
    ("s3 store", "conditional_deletes"): {"type": None, "enum": ["yes", "no", True, False], "default": "no"},
    ("s3 store", "legal_holds"): {"type": None, "enum": ["yes", "no", True, False], "default": "no"},
    ("sql store", "lock_timeout"): {"type": ["string", "number"]},
    ("sftp store", "port"): {"type": "integer", "minimum": 1, "maximum": 65_535},
    ("sftp store", "path"): {"pattern": "^/"},
    ("sftp store", "key"): {"anyOf": [_SECRET]},
    ("sftp store", "passphrase"): {"anyOf": [_SECRET]},
    ("sftp store", "password"): {"anyOf": [_SECRET]},
    ("sftp store", "host_key"): {"anyOf": [_HOST_KEY, {"type": "array", "items": _HOST_KEY, "minItems": 1}]},
    ("sftp store", "known_hosts"): _PLACE,
    ("sftp store", "timeout"): {"type": ["string", "number"]},
    ("sql store", "statement_timeout"): {"type": ["string", "number"]},
    ("sql store", "replicas"): {"anyOf": [_REPLICAS, _REPLICAS_AND_LAG]},
}
"""By kind of thing and key, what is said of it besides or instead; None takes a word away."""


class FilesStoreShape(Shape):
    """A tree of local files."""

    called: ClassVar[str] = "files store"
    type: Literal["files"] = Field(description="The kind of store.", examples=["files"])
    path: Text = Field(description="The root of the tree; no link, and not the root of a system.", examples=["/srv/desk"])
    location: Text = Field(description="The country in which the data lies.", examples=["GB"])
    quiet: Text = Field("", description="What has changed less than so long ago stays, in doubt.", examples=["10 minutes"])
    zone: Text = Field("", description="The zone of times without one.", examples=["Europe/London"])


class SqlStoreShape(Shape):
    """The tables of a database: SQLite, PostgreSQL, MariaDB or MySQL."""

    called: ClassVar[str] = "sql store"
    type: Literal["sql"] = Field(description="The kind of store.", examples=["sql"])
    url: Text = Field(
        description="The database: sqlite:///file, postgresql+psycopg://user@host/database or mysql+pymysql://user@host/database.",
        examples=["sqlite:///shop.db"],
    )
    location: Text = Field(description="The country in which the data lies.", examples=["GB"])
    password: Any = Field(None, description="The password of the user in `url`.", examples=[{"credential": "pbx"}])
    zone: Text = Field("", description="The zone of times without one.", examples=["UTC"])
    lock_timeout: Any = Field(None, description="How long to wait for what others have locked; default: 5 s.", examples=["5 s"])
    statement_timeout: Any = Field(
        None,
        description="The longest that one statement may take; default: 5 minutes on a server, no bound for a file.",
        examples=["30 s"],
    )
    replicas: Any = Field(
        None,
        description="Servers that follow, by their addresses: rows go only while none of them is far behind (lag, 5 s).",
        examples=[["postgresql+psycopg://user@standby/database"]],
    )


class MailStoreShape(Shape):
    """Messages in Maildirs or mbox files (`path`, `format`), or of a user on an IMAP server (`host`, `user`, `password`)."""

    called: ClassVar[str] = "mail store"
    type: Literal["mail"] = Field(description="The kind of store.", examples=["mail"])
    path: Text = Field("", description="The folder of the mailboxes, or one mbox; no link.", examples=["/var/mail/archive"])
    format: Literal["maildir", "mbox", "imap"] | None = Field(
        None, description="How the messages are kept; imap goes without saying.", examples=["maildir"]
    )
    host: Text = Field("", description="The IMAP server.", examples=["mail.example.org"])
    port: Any = Field(None, description="Its port; default: 993, without TLS from the first byte 143.", examples=[993])
    user: Text = Field("", description="The user whose folders they are.", examples=["archive"])
    password: Any = Field(None, description="The password of the user.", examples=[{"credential": "post"}])
    tls: Any = Field(None, description="Whether the way is encrypted; default: yes.", examples=["starttls"])
    ca: Text = Field("", description="A file with authorities of one's own.", examples=["/etc/retentiond/authority.pem"])
    folders: list[Text] = Field(default=[], description="The folders that are looked at; default: all.", examples=[["INBOX"]])
    location: Text = Field(description="The country in which the data lies.", examples=["GB"])
    zone: Text = Field("", description="The zone of times without one.", examples=["Europe/London"])


class SftpStoreShape(Shape):
    """Files on a server that is reached by SFTP."""

    called: ClassVar[str] = "sftp store"
    type: Literal["sftp"] = Field(description="The kind of store.", examples=["sftp"])
    host: Text = Field(description="The name or the address of the server.", examples=["files.internal"])
    port: Any = Field(22, description="The port of the server.", examples=[22])
    user: Text = Field(description="Who logs in.", examples=["retentiond"])
    path: Text = Field(description="The root, absolute, as the server sees it; no link.", examples=["/srv/support"])
    key: Any = Field(None, description="The private key of the user, without an agent.", examples=[{"credential": "sftp_key"}])
    passphrase: Any = Field(None, description="What the private key is encrypted with.", examples=[{"credential": "sftp_phrase"}])
    password: Any = Field(None, description="The password of the user.", examples=[{"credential": "sftp"}])
    host_key: Any = Field(
        None,
        description="The public key by which the server is known, or several; it is never learned.",
        examples=["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH0lOTyBzqJ2LtlVPzuvY4svpjL2eoj9jrKhJ4c3kp0V"],
    )
    known_hosts: Any = Field(None, description="A file with such keys, instead of `host_key`.", examples=["known_hosts"])
    timeout: Any = Field(None, description="The longest that an answer may take; default: 60 s.", examples=["60 s"])
    location: Text = Field(description="The country in which the data lies.", examples=["GB"])
    zone: Text = Field("", description="The zone of times without one.", examples=["Europe/London"])


class S3StoreShape(Shape):
    """Objects in a bucket of S3, or of a server that speaks it."""

    called: ClassVar[str] = "s3 store"
    type: Literal["s3"] = Field(description="The kind of store.", examples=["s3"])
    bucket: Text = Field(description="The bucket.", examples=["acme-calls"])
    prefix: Text = Field("", description="What every key begins with: a folder, so to speak.", examples=["inbound/"])
    region: Text = Field("", description="The region of the bucket; compared with its location.", examples=["eu-west-2"])
    endpoint: Text = Field("", description="The address of a server of one's own.", examples=["https://s3.internal:9000"])
    location: Text = Field(description="The country in which the data lies.", examples=["GB"])
    access_key: Any = Field(None, description="The access key; default: the usual chain.", examples=[{"credential": "s3_access"}])
    secret_key: Any = Field(None, description="The secret key beside it.", examples=[{"credential": "s3_secret"}])
    profile: Text = Field("", description="A profile of the usual chain.", examples=["retention"])
    owner: Any = Field(None, description="The account that the bucket must belong to.", examples=["123456789012"])
    content_md5: Any = Field("no", description="Also send the old checksum, for old servers.", examples=["yes"])
    conditional_deletes: Any = Field("no", description="That the server compares ETags while it deletes.", examples=["yes"])
    legal_holds: Any = Field("no", description="That holds are carried into the bucket as legal holds.", examples=["yes"])
    inventory: dict[str, Text] = Field(
        default={}, description="Reports that are read instead of a listing.", examples=[{"prefix": "reports/acme-calls/daily/"}]
    )
    zone: Text = Field("", description="The zone of times without one.", examples=["Europe/London"])


STORES: tuple[type[Shape], ...] = (FilesStoreShape, SqlStoreShape, MailStoreShape, SftpStoreShape, S3StoreShape)
"""The options of the kinds of store that come with the program; each kind judges its own when they are read."""

_FURTHER: Mapping[str, Any] = {
    "other-store": {
        "type": "object",
        "title": "other store",
        "description": "A kind of store that a plugin brings; it judges its own options.",
        "properties": {
            "type": {
                "type": "string",
                "not": {"enum": ["files", "sql", "s3", "sftp", "mail"]},
                "description": "The kind of store.",
                "examples": ["memory"],
            },
            "location": {"type": "string", "minLength": 1, "description": "The country of the data.", "examples": ["GB"]},
        },
        "required": ["type", "location"],
    },
    "secret": {
        "title": "secret",
        "description": "Where a secret is found; none is ever written down.",
        "anyOf": [
            {
                "type": "object",
                "properties": {kind: {"type": "string", "minLength": 1, "description": words, "examples": [example]}},
                "required": [kind],
                "additionalProperties": False,
            }
            for kind, words, example in (
                ("credential", "A name in systemd's credential directory.", "pbx"),
                ("env", "A variable of the environment.", "PBX_PASSWORD"),
                ("file", "A path.", "/etc/retentiond/pbx.password"),
            )
        ],
    },
}


def category() -> dict[str, Any]:
    """The schema of a category: of each `*.yaml` in the policies' folder."""
    return _whole(CategoryShape, "A category of retentiond")


def settings() -> dict[str, Any]:
    """The schema of `retentiond.yaml`."""
    found = _whole(SettingsShape, "The configuration of retentiond")
    stores = {_word(shape): _put_right(_tidy(of_shape(shape)), shape) for shape in STORES}
    anchors = {_word(shape): _put_right(_tidy(of_shape(shape)), shape) for shape in (StoreAnchorShape, CommandAnchorShape)}
    stores["mail-store"]["anyOf"] = [{"required": ["path", "format"]}, {"required": ["host", "user", "password"]}]
    stores["s3-store"] |= _any_of(["region", "endpoint"])
    found["$defs"] |= {**stores, **anchors, **_FURTHER}
    return found


def _whole(shape: type[Shape], title: str) -> dict[str, Any]:
    raw = of_shape(shape)
    shapes = {one.__name__: one for one in _shapes(Shape)}
    names = {name: _word(one) for name, one in shapes.items()}
    found = raw.pop("$defs", {})
    definitions = {names[name]: _put_right(_tidy(found[name]), shapes[name]) for name in found}
    top = _put_right(_tidy(raw), shape)
    _write_out(top, definitions)
    renamed: dict[str, Any] = _renamed({"$schema": DRAFT, **top, "title": title, "$defs": definitions}, names)
    return renamed


def _word(shape: type[Shape]) -> str:
    """What a kind of thing is called where no space may stand."""
    return shape.called.replace(" ", "-")


def _shapes(shape: type[Shape]) -> list[type[Shape]]:
    return [one for child in shape.__subclasses__() for one in (child, *_shapes(child))]


def _tidy(node: dict[str, Any]) -> dict[str, Any]:
    """A schema without made-up titles, without `null` among the choices, and without empty defaults."""
    tidy = {key: value for key, value in node.items() if key != "title"}
    if "default" in tidy and tidy["default"] in (None, "", [], {}, "**"):
        del tidy["default"]
    for key in ("items", "additionalProperties"):
        if isinstance(tidy.get(key), dict):
            tidy[key] = _tidy(tidy[key])
    if "properties" in tidy:
        tidy["properties"] = {key: _tidy(value) for key, value in tidy["properties"].items()}
    if "anyOf" in tidy:
        choices = [_tidy(choice) for choice in tidy.pop("anyOf") if choice != {"type": "null"}]
        tidy = choices[0] | tidy if len(choices) == 1 else {"anyOf": choices} | tidy
    return tidy


def _put_right(definition: dict[str, Any], shape: type[Shape]) -> dict[str, Any]:
    definition["title"] = shape.called
    for key, node in definition.get("properties", {}).items():
        right = _PUT_RIGHT.get((shape.called, key), {})
        node["description"] = shape.model_fields[key].description
        if "anyOf" in right or "enum" in right:
            node.pop("type", None)
        node.update(right)
        if any(choice.get("type") == "integer" for choice in node.get("anyOf", ())):
            node["examples"] = [int(e) if str(e).isdecimal() else e for e in node["examples"]]
        for word in [word for word, value in node.items() if value is None]:
            del node[word]
    return definition


def _write_out(top: dict[str, Any], definitions: dict[str, dict[str, Any]]) -> None:
    """The unions of a category, each alternative with the keys that it has and must have."""
    if "schedule" in definitions:
        for choice in top["properties"]["schedule"]["anyOf"]:
            if choice.get("type") == "string":
                choice.update(_SCHEDULE)
    if "start" in definitions:
        definitions["start"] = _starts(definitions["start"])
    if "event" in definitions:
        definitions["event"]["anyOf"] = [{"required": ["store", "query"]}, {"required": ["recorded"]}]
    if "rule" in definitions:
        known = definitions["rule"]["properties"]
        definitions["rule"]["anyOf"] = [
            {"required": list(keys), "not": _any_of(strangers)} for keys, strangers in _CLOCKS if known.keys() >= set(keys)
        ]
    for one_of in {"action", "strategy"} & definitions.keys():
        definitions[one_of] |= {"minProperties": 1, "maxProperties": 1}
    if "generations-rule" in definitions:
        definitions["generations-rule"] |= _any_of([*_COUNTS, "within"])


def _any_of(keys: Iterable[str]) -> dict[str, Any]:
    """That at least one of these keys is there."""
    return {"anyOf": [{"required": [key]} for key in keys]}


def _starts(definition: dict[str, Any]) -> dict[str, Any]:
    """Each source of a start by itself, with what may stand beside it."""
    known = definition["properties"]
    further = {key for companions in _COMPANIONS.values() for key in companions}
    alternatives = []
    for source in (key for key in known if key not in further):
        beside = _COMPANIONS.get(source, ("zone",))
        alternatives.append(
            {
                "type": "object",
                "description": known[source]["description"],
                "properties": {key: known[key] for key in (source, *beside)},
                "required": [source, *(key for key in beside if key == "by")],
                "additionalProperties": False,
            }
        )
    return {"title": definition["title"], "description": definition["description"], "anyOf": alternatives}


def _renamed(node: Any, names: Mapping[str, str]) -> Any:
    """The same with each reference to a shape under the name that people know the thing by."""
    if isinstance(node, dict):
        node = {key: _renamed(value, names) for key, value in node.items()}
        name = str(node.get("$ref", "")).removeprefix("#/$defs/")
        return node | {"$ref": f"#/$defs/{names[name]}"} if name in names else node
    return [_renamed(one, names) for one in node] if isinstance(node, list) else node
