"""From files to a rulebook: the front door of the configuration.

Guarantee: `load` either gives settings and a rulebook that mean what the files say, or raises
`ConfigurationError` with every problem of every file, in the order of files and lines. It opens
no store, reads no secret and changes nothing. Only `*.yaml` in the policies' folder counts;
dot files and what editors leave behind are no policies.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from retentiond.config.category import Compiled, compile_category
from retentiond.config.copies import unencrypted
from retentiond.config.overlap import Placed, overlaps, told_apart
from retentiond.config.places import absolute, shown
from retentiond.config.reading import Part
from retentiond.config.secrets import Secret
from retentiond.config.settings import Settings, Surroundings, read_settings
from retentiond.config.strict_yaml import BROKEN_VALUES, LARGEST, parse
from retentiond.core.policy import Rulebook
from retentiond.engine.ports import StoreType
from retentiond.errors import ConfigurationError, Problem

USUAL = ("retentiond.yaml", "/etc/retentiond/retentiond.yaml")
_LARGEST_NOTICE = 2**24


@dataclass(frozen=True, slots=True)
class Loaded:
    """Everything that was told, and what `check` should say about it all the same.

    `files` names the file of each category; `parts` has each category as it was written.
    """

    settings: Settings
    rulebook: Rulebook
    warnings: list[Problem]
    files: Mapping[str, str]
    parts: Mapping[str, Part] = field(repr=False)
    settings_part: Part = field(repr=False)


def find(explicit: str | None, environ: Mapping[str, str]) -> str:
    """The path of `retentiond.yaml`: `--config`, `$RETENTIOND_CONFIG`, here, `/etc`; `ConfigurationError` if there is none."""
    chosen = explicit or environ.get("RETENTIOND_CONFIG")
    if chosen:
        return chosen
    for path in USUAL:
        if os.path.isfile(path):
            return path
    why = f"neither --config nor $RETENTIOND_CONFIG names one, and there is none at {' or '.join(USUAL)}"
    raise ConfigurationError([Problem("no configuration file", why, "write one with: retentiond init")])


def load(path: str, types: Mapping[str, StoreType]) -> Loaded:
    """Reads `retentiond.yaml` and all its categories; `ConfigurationError` lists all that is wrong with them."""
    found: list[Problem] = []
    warnings: list[Problem] = []
    file = os.path.abspath(path)
    part = _part(file, os.path.dirname(file), found)
    if part is None:
        raise ConfigurationError(found)
    settings, around = read_settings(part, file, types, found)
    compiled = _categories(around, found, warnings)
    found += _duplicates(compiled)
    found += overlaps(_placed(compiled))
    whole = {one.name: one for one in compiled if one.category}
    found += unencrypted({n: one.category for n, one in whole.items() if one.category}, {n: one.part for n, one in whole.items()})
    if found or settings is None:
        raise ConfigurationError(_in_order(found, part.document.file))
    categories = told_apart({one.name: one.category for one in compiled if one.category})
    return Loaded(
        settings,
        Rulebook(settings.timezone, categories, settings.stores),
        _in_order(warnings, part.document.file),
        {one.name: one.part.document.file for one in compiled},
        {one.name: one.part for one in compiled},
        part,
    )


def _part(path: str, folder: str, found: list[Problem]) -> Part | None:
    """A file as its outermost part; None where it cannot be read at all."""
    name = shown(path, folder)
    try:
        if not os.path.isfile(path):
            raise OSError("it is no file" if os.path.exists(path) else "there is no such file")
        with open(path, "rb") as stream:
            raw = stream.read(LARGEST + 1)
    except OSError as error:
        found.append(
            Problem("the file cannot be read", error.strerror or str(error), "check its name and its permissions", name, 1, 1)
        )
        return None
    document, problems = parse(raw, name)
    found += problems
    return Part(document, (), document.data) if document else None


def _categories(around: Surroundings, found: list[Problem], warnings: list[Problem]) -> list[Compiled]:
    """Every category file, compiled as far as it can be."""
    if around.policies is None:
        return []
    folder = absolute(around.folder, around.policies.data)
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        why = error.strerror or "it is no folder"
        found.append(around.policies.problem("the policies' folder cannot be read", why, "create it, or correct its name"))
        return []
    for name in names:
        if name.endswith((".yml", ".YAML", ".YML")) and not name.startswith("."):
            file = shown(os.path.join(folder, name), around.folder)
            warnings.append(Problem("a file that is not read", "categories are in *.yaml files only", "rename it", file, 1, 1))
    files = [name for name in names if name.endswith(".yaml") and not name.startswith(".")]
    if not files:
        found.append(around.policies.problem("no category files", "the folder has no *.yaml file", "write one"))
    parts = [_part(os.path.join(folder, name), around.folder, found) for name in files]
    return [compile_category(part, around, found, warnings) for part in parts if part]


def _duplicates(compiled: list[Compiled]) -> list[Problem]:
    first: dict[str, Compiled] = {}
    found = []
    for one in compiled:
        if not one.name:
            continue
        other = first.setdefault(one.name, one)
        if other is not one:
            why, where = f"{other.part.document.file} has it too", one.part.at("category")
            found.append(where.problem(f"the category '{one.name}' stands in two files", why, "rename one of them"))
    return found


def _placed(compiled: list[Compiled]) -> list[Placed]:
    return [Placed(one.name, rule, one.part.at("rules").at(rule.name).at("select")) for one in compiled for rule in one.rules]


def _in_order(problems: list[Problem], first: str) -> list[Problem]:
    """By file and place, the settings first. What is no proper YAML is said once, not again of the value that came of it."""
    yaml = {(p.file, p.line, p.column) for p in problems if p.what in BROKEN_VALUES}
    kept = [p for p in problems if p.what in BROKEN_VALUES or (p.file, p.line, p.column) not in yaml]
    return sorted(kept, key=lambda p: (p.file != first, p.file, p.line, p.column))


def promise_findings(loaded: Loaded) -> list[Problem]:
    """Promises whose words are no longer in their notice (white space folded), or whose notice is missing."""
    found = []
    for name, category in loaded.rulebook.categories.items():
        if category.promise is None:
            continue
        part = loaded.parts[name].at("promise")
        try:
            with open(category.promise.source, "rb") as stream:
                notice = _folded(stream.read(_LARGEST_NOTICE).decode("utf-8", "replace"))
        except OSError as error:
            found.append(
                part.at("source").problem("the notice cannot be read", error.strerror or "", "correct the name of its file")
            )
            continue
        if _folded(category.promise.text) not in notice:
            why = f"the notice {part.data['source']} no longer says so"
            found.append(
                part.at("text").problem(
                    "the promise is not in its notice", why, "bring the two together: which of them is meant?"
                )
            )
    return found


def recipient_findings(loaded: Loaded) -> list[Problem]:
    """Categories of which somebody can be erased, and whose recipients would not hear of it (Art. 19 GDPR)."""
    if any("erasure" in address.on for address in loaded.settings.notify):
        return []
    return [
        loaded.parts[name]
        .at("recipients")
        .problem(
            "these recipients receive the data, and nobody would be told when a person is erased",
            "no address of `notify` takes messages of the kind erasure",
            "name one in retentiond.yaml; or tell them yourself, as the certificate of each erasure says",
        )
        for name, category in loaded.rulebook.categories.items()
        if category.recipients and any(rule.subject for rule in category.rules)
    ]


def place_of(loaded: Loaded, category: str, rule: str, word: str, store: str = "") -> tuple[str, int, int]:
    """Where a word of a rule stands, or of its category's events; without one, where a store (the rule's own) is declared."""
    whole = loaded.parts[category]
    mine = whole.at("rules").at(rule)
    here = [mine, *([whole.at("events")] if "events" in whole.data else [])] if word and not store else []
    found = next((problem for part in here if (problem := _spelt(part, word))), None)
    if found is None:
        found = loaded.settings_part.at("stores").at(store or mine.data["store"]).problem_with_key("")
    return found.file, found.line, found.column


def place_of_identity(loaded: Loaded, name: str) -> tuple[str, int, int]:
    """Where the query of a look-up stands."""
    found = loaded.settings_part.at("identities").at(name).at("query").problem("")
    return found.file, found.line, found.column


def _spelt(part: Part, word: str) -> Problem | None:
    """Where a word stands in a part, as a key or as a whole value."""
    if isinstance(part.data, dict | list):
        steps: Iterable[str | int] = part.data if isinstance(part.data, dict) else range(len(part.data))
        for step in steps:
            if step == word:
                return part.at(step).problem_with_key("")
            if found := _spelt(part.at(step), word):
                return found
    return part.problem("") if part.data == word else None


def _folded(text: str) -> str:
    return " ".join(text.split())


def secrets_of_stores(loaded: Loaded, names: Iterable[str], environ: Mapping[str, str] = os.environ) -> list[Problem]:
    """Secrets of these stores that are unset, empty or unreadable now. Their values are read and let go."""
    found: list[Problem] = []
    for name in names:
        part = loaded.settings_part.at("stores").at(name)
        for option, value in loaded.settings.stores[name].options.items():
            found += _unset(value, part.at(option), environ)
    return found


def secret_of_state(loaded: Loaded, environ: Mapping[str, str] = os.environ) -> list[Problem]:
    """The same of the state's own database."""
    password = loaded.settings.state.password
    return _unset(password, loaded.settings_part.at("state").at("password"), environ) if password else []


def secret_findings(loaded: Loaded, environ: Mapping[str, str] = os.environ) -> list[Problem]:
    """The same of all stores, of the state, of everybody who is told, and of the audit trail."""
    found = secrets_of_stores(loaded, loaded.settings.stores, environ)
    found += secret_of_state(loaded, environ)
    for address in loaded.settings.notify:
        found += _unset(dict(address.options), loaded.settings_part.at("notify").at(address.number - 1), environ)
    audit = loaded.settings_part.at("audit")
    for key in ("signing_key", "reference_keys"):
        found += _unset(getattr(loaded.settings.audit, key), audit.at(key) if key in audit.data else audit, environ)
    return found


def _unset(value: object, part: Part, environ: Mapping[str, str]) -> list[Problem]:
    if isinstance(value, dict | list):
        steps: Iterable[tuple[str | int, object]] = value.items() if isinstance(value, dict) else enumerate(value)
        return [problem for step, inner in steps for problem in _unset(inner, part.at(step), environ)]
    if isinstance(value, Secret):
        try:
            value.reveal(environ)
        except ConfigurationError as error:
            return [part.problem(p.what, p.why, p.do) for p in error.problems]
    return []
