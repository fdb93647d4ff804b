"""Reads everything, opens every store for looking, and says what an operator should know. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from retentiond.app.elsewhere import trouble_of
from retentiond.app.happenings import Happenings
from retentiond.app.house import House
from retentiond.app.identifying import failed_look_up, identifying
from retentiond.app.judging import rivals_of
from retentiond.app.projecting import is_projected, projecting
from retentiond.config.load import place_of, promise_findings, recipient_findings, secret_findings
from retentiond.config.settings import Identity
from retentiond.core.policy import Category, ObjectSelection, Rule
from retentiond.engine.expiring import Expiring
from retentiond.engine.pipeline import bench_for, scope_for, scope_of_steps
from retentiond.engine.ports import Granted, Identifying, Proving, Unfinished, View
from retentiond.errors import ConfigurationError, Problem, RetentiondError, StoreDenied, StoreUnavailable

_SAMPLES = 5


@dataclass(slots=True)
class Checked:
    """What `check` found: warnings about the rules, each rule's view of its store, and what stores have shown of themselves."""

    warnings: list[Problem] = field(default_factory=list)
    rules: list[RuleChecked] = field(default_factory=list)
    down: dict[str, RetentiondError] = field(default_factory=dict)
    proved: dict[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RuleChecked:
    """One rule: what its store says about it, and some of the items that it selects. `to` is the store that it archives to."""

    category: str
    rule: str
    store: str
    action: str
    retention: str
    to: str | None = None
    warnings: Sequence[str] = ()
    samples: Sequence[str] = ()


def check(house: House, *, offline: bool, probe: bool = False) -> Checked:
    """Everything that can be known without changing anything; `offline` opens no store, `probe` lets them write a scratch.

    `ConfigurationError` has every secret that is not there.
    """
    if unset := secret_findings(house.loaded):
        raise ConfigurationError(unset)
    findings = (*house.loaded.warnings, *promise_findings(house.loaded), *recipient_findings(house.loaded))
    checked = Checked(warnings=[*findings])
    for category in house.rulebook.categories.values():
        for rule in category.rules:
            to = rule.action.archive.to if rule.action.archive is not None else None
            plain = RuleChecked(category.name, rule.name, rule.store, rule.action.kind, rule.words, to)
            if offline:
                checked.rules.append(plain)
                continue
            try:
                checked.rules.append(_look(house, category, rule, plain))
            except (StoreUnavailable, StoreDenied) as error:
                error.place = place_of(house.loaded, category.name, rule.name, error.word, error.destination)
                checked.down[f"{category.name}/{rule.name}"] = error
    if not offline:
        _explain_look_ups(house, checked)
    if probe and not offline:
        _prove(house, checked)
    return checked


def _explain_look_ups(house: House, checked: Checked) -> None:
    """Every look-up of `identities`, as far as its database takes the query; it is asked nothing."""
    for identity in house.settings.identities.values():
        try:
            _explain(identifying(house, identity), identity)
        except (StoreUnavailable, StoreDenied) as error:
            checked.down[f"identities: {identity.name}"] = failed_look_up(house, identity, error)


def _explain(view: Identifying, identity: Identity) -> None:
    """`StoreDenied` unless the query can be asked by one of its kinds alone, as it will be; others may stand in its quotes."""
    troubles = list[StoreDenied]()
    for kind in sorted(identity.kinds):
        try:
            return view.refuse_identity(identity.query, kind)
        except StoreDenied as error:
            troubles.append(error)
    raise troubles[0]


def _prove(house: House, checked: Checked) -> None:
    """Lets each store that was seen show what its server does, where it has to be seen."""
    for name in dict.fromkeys(rule.store for rule in checked.rules):
        try:
            store = house.store(name)
            if isinstance(store, Proving):
                checked.proved[name] = store.prove()
        except (StoreUnavailable, StoreDenied) as error:
            checked.down[name] = error


def _look(house: House, category: Category, rule: Rule, plain: RuleChecked) -> RuleChecked:
    view = house.view(rule.store)
    scope = scope_for(bench_for(category, rule, house.rulebook.zone, house.now, ()), everything=True)
    grants = view.lacking(scope, rule.action) if isinstance(view, Granted) else ()
    try:
        warnings = [*view.traits.notes, *view.warnings(scope)]
        samples = list(islice((key for page in view.scan(scope) for key in page.keys), _SAMPLES))
    except StoreDenied as error:
        raise (StoreDenied(error.what, why=error.why, do="; ".join(grants), word=error.word) if grants else error) from None
    warnings += [f"the account may not carry this out: {grant}" for grant in grants]
    warnings += _uncovered(house, rule, view)
    for name, other in rivals_of(house, category.name, rule):
        if other.store != rule.store:
            what = f"the store {other.store} is the same place, where {name}/{other.name} may be about the same rows"
            warnings.append(f"{what}: what both select stays")
    if rule.start.kind == "event":
        Happenings(house).latest(category.name, rule.start.name, [], acting=False)
    if rule.by and isinstance(view, Expiring):
        view.expires(scope_of_steps(bench_for(category, rule, house.rulebook.zone, house.now, ()), rule.step_action))
    if is_projected(house, rule.store):
        projecting(view).check_holds()
    _look_elsewhere(house, rule, view)
    return replace(plain, warnings=warnings, samples=samples)


def _uncovered(house: House, rule: Rule, view: View) -> list[str]:
    """What lies in a rule's store that no rule takes, once for each store."""
    mine = [r for category in house.rulebook.categories.values() for r in category.rules if r.store == rule.store]
    taken = any(isinstance(r.selection, ObjectSelection) and r.selection.uploads for r in mine)
    if taken or rule is not mine[0] or not isinstance(view, Unfinished) or not view.has_unfinished():
        return []
    return [
        f"uploads that never came to their end lie in {rule.store}, and no rule takes them: add one with `uploads: incomplete`"
    ]


def _look_elsewhere(house: House, rule: Rule, view: View) -> None:
    """That the stores of archives and copies are there, and are another place."""
    for name in rule.stores[1:]:
        with trouble_of(name):
            place = house.view(name).place
        if place == view.place:
            raise StoreDenied(
                f"the stores {rule.store} and {name} are the same place",
                why="a copy beside the original goes with it",
                do="name a store somewhere else",
            )
