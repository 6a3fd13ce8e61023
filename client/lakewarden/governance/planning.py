"""Compares two documents and makes the plan from one to the other. Pure: it asks no server.

The order follows what a caller may do on the way: grants on what exists come first, then it creates from the top down and grants
on that while it owns it, takes away from the bottom up, and hands over ownership last, the workspace's and the metastore's after
all else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from lakewarden._errors import FailedPrecondition
from lakewarden.governance.definitions import in_order
from lakewarden.governance.documents import (
    SERVICE_PRINCIPAL_PREFIX,
    Binding,
    Document,
    Grant,
    Identity,
    Row,
    of_account,
    order,
    principal_key,
)
from lakewarden.governance.fields import (
    ACTIVE,
    EARLY,
    ISOLATION,
    NAME,
    OWNER,
    OWNERSHIP,
    POLICY,
    SWITCH,
    Field,
    Noun,
)
from lakewarden.governance.granting import Difference, differences
from lakewarden.governance.nouns import NOUNS
from lakewarden.governance.shapes import PRINCIPAL, same
from lakewarden.governance.steps import BIND, DELETE, MEMBERSHIP, UPDATE, Change, Plan, Step, created
from lakewarden_policy import display_name, name_key

NAMES_MAX = 1_000
"""Of a collection in one call."""
CONTENT = [noun for noun in NOUNS.values() if not noun.of_account]
ACCOUNT = [noun for noun in NOUNS.values() if noun.of_account]


def plan(wanted: Document, actual: Document, *, caller: str, workspace: str, prune: bool) -> Plan:
    """The plan that makes `actual` what `wanted` describes, made by `caller` (as files name it) from `workspace`.

    Without `prune` nothing is taken away. Raises FailedPrecondition for what no plan can reach.
    """
    return _Planner(wanted, actual, caller, workspace, prune).plan()


@dataclass
class _Planner:
    wanted: Document
    actual: Document
    caller: str
    workspace: str
    prune: bool

    def __post_init__(self) -> None:
        self._plan = Plan()
        self._implied: dict[Identity, Row] = {}
        for row in self.wanted.rows.values():
            comes_with = NOUNS[row.noun].comes_with
            if row.identity not in self.actual.rows and comes_with is not None:
                made = (
                    Row(noun, name, {"owner": self.caller}) for noun, name in comes_with(row.name, row.values)
                )
                self._implied.update((other.identity, other) for other in made)

    def plan(self) -> Plan:
        self._refuse()
        steps = self._plan.steps
        steps += self._objects([noun for noun in ACCOUNT if noun.is_principal])
        steps += self._collections(ACCOUNT, removing=True)
        steps += self._collections(ACCOUNT, removing=False)
        steps += self._objects([noun for noun in ACCOUNT if not noun.is_principal])
        of_the_account, early, late = self._grants()
        steps += [step for difference in of_the_account for step in difference.grant_steps()]
        steps += [step for difference in early for step in difference.steps()]
        steps += self._objects(CONTENT)
        steps += self._collections(CONTENT, removing=True)
        steps += self._collections(CONTENT, removing=False)
        steps += self._later(CONTENT, POLICY)
        steps += [step for difference in late for step in difference.steps()]
        steps += self._deletes(CONTENT)
        steps += self._later(CONTENT, OWNERSHIP)
        steps += self._bindings()
        steps += [step for difference in of_the_account for step in difference.revoke_steps()]
        steps += self._later(ACCOUNT, OWNERSHIP)
        steps += self._later(ACCOUNT, SWITCH)
        steps += self._deletes(ACCOUNT)
        return self._plan

    def _current(self, row: Row) -> Row | None:
        """The object as it is, or will be because the server makes it along with another."""
        return self.actual.rows.get(row.identity) or self._implied.get(row.identity)

    def _refuse(self) -> None:
        """Raises FailedPrecondition with everything that cannot be changed."""
        problems = []
        for row in self.wanted.rows.values():
            current = self._current(row)
            changes = () if current is None else self._changes(row, current)
            problems += [
                f"{row.place}: {change.field} of {NOUNS[row.noun].label} {row.name} cannot change from "
                f"{change.before!r} to {change.after!r}"
                for change in changes
                if change.field != NAME and NOUNS[row.noun].field(change.field).immutable
            ]
            if self._is_caller(row) and row.values.get("active") is False:
                problems.append(f"{row.place}: this would disable {row.name}, who is asking for it")
        if problems:
            raise FailedPrecondition("\n".join(problems))

    def _is_caller(self, row: Row) -> bool:
        if row.noun == "service_principal":
            return self.caller == SERVICE_PRINCIPAL_PREFIX + row.name
        return row.noun == "user" and name_key(row.name) == name_key(self.caller)

    def _rows(self, document: Document, nouns: Iterable[Noun]) -> list[Row]:
        """Rows so that each comes after what it depends on: noun by noun, then what is defined by SQL."""
        plain = [row for noun in nouns if not noun.is_defined for row in document.of(noun.name)]
        return plain + in_order(row for noun in nouns if noun.is_defined for row in document.of(noun.name))

    def _objects(self, nouns: Iterable[Noun]) -> Iterator[Step]:
        """Creates what is missing, and changes what can be changed at once."""
        for row in self._rows(self.wanted, nouns):
            noun, current = NOUNS[row.noun], self._current(row)
            if current is None:
                given = {name: value for name, value in row.values.items() if noun.field(name).at_create}
                yield created(row, given)
                current = Row(row.noun, row.name, given)
            yield from self._updates(row, current, EARLY)

    def _later(self, nouns: Iterable[Noun], stage: str) -> Iterator[Step]:
        """Changes of a later stage, from the bottom up. Whoever creates something owns it first."""
        for row in reversed(self._rows(self.wanted, nouns)):
            made = Row(row.noun, row.name, {OWNER.name: self.caller})
            yield from self._updates(row, self._current(row) or made, stage)

    def _updates(self, row: Row, current: Row, stage: str) -> Iterator[Step]:
        """A step for the name, for each setter and each element that is set alone, and one for all other fields."""
        noun = NOUNS[row.noun]
        together: dict[object, list[Change]] = {}
        for change in self._changes(row, current):
            if _stage(noun, change) != stage:
                continue
            field = None if change.field == NAME else noun.field(change.field)
            key = NAME if field is None else field.set
            together.setdefault((key, len(together)) if field is not None and field.each else key, []).append(
                change
            )
        for changes in together.values():
            yield Step(UPDATE, noun.name, current.name, tuple(changes), wanted=row.values, etag=current.etag)

    def _changes(self, row: Row, current: Row) -> list[Change]:
        """The fields that differ, in the order of the noun; the spelling of the name first."""
        noun, found = NOUNS[row.noun], []
        before, after = (
            name.rpartition(".")[2] if noun.inside else name for name in (current.name, row.name)
        )
        if noun.can_be_renamed and display_name(before) != display_name(after):
            found.append(Change(NAME, before, display_name(after)))
        for field in noun.fields:
            is_value, was_value = (each.values.get(field.name, field.default) for each in (row, current))
            if (
                field is ISOLATION
                or field.collection
                or is_value is None
                or _same(field, was_value, is_value)
            ):
                continue
            found += (
                _elements(field, was_value, is_value)
                if field.each
                else [Change(field.name, was_value, is_value)]
            )
        return found

    def _collections(self, nouns: Iterable[Noun], *, removing: bool) -> Iterator[Step]:
        """Removals before additions: a membership that is turned around would be a cycle in between."""
        fields = [(noun, field) for noun in nouns for field in noun.fields if field.collection is not None]
        for noun, field in fields:
            for row in self.wanted.of(noun.name):
                current = self.actual.rows.get(row.identity) or Row(row.noun, row.name)
                before, after = (
                    {principal_key(name): name for name in each.values.get(field.name, ())}
                    for each in (current, row)
                )
                extra = [before[key] for key in sorted(set(before) - set(after))]
                missing = sorted((after[key] for key in set(after) - set(before)), key=order)
                if removing and not self.prune:
                    self._leave(f"{name} in {noun.label} {row.name}" for name in extra)
                else:
                    yield from _membership(row, field, extra if removing else missing, removing=removing)

    def _bindings(self) -> Iterator[Step]:
        """Isolation and bindings, when nothing more is to be done from an unbound workspace."""
        for row in self.wanted.rows.values():
            if ISOLATION not in NOUNS[row.noun].fields:
                continue
            current = self._current(row) or Row(row.noun, row.name)
            before, after = (each.values.get(ISOLATION.name, ISOLATION.default) for each in (current, row))
            changes = () if before == after else (Change(ISOLATION.name, before, after),)
            bound, removed = self._bound(row.identity)
            isolates = bool(changes) and after != ISOLATION.default
            unbound = "" if not isolates or self._is_bound(row.identity) else self.workspace
            if changes or bound or removed:
                yield Step(BIND, row.noun, row.name, changes, bound=bound, removed=removed, unbound=unbound)
        mentioned = {binding.identity[0] for binding in self.wanted.bindings.values()} - set(self.wanted.rows)
        for securable in sorted(mentioned):
            bound, _ = self._bound(securable)
            if bound:
                yield Step(BIND, securable.noun, bound[0].object, bound=bound)

    def _is_bound(self, securable: Identity) -> bool:
        return (securable, name_key(self.workspace)) in self.wanted.bindings

    def _bound(self, securable: Identity) -> tuple[tuple[Binding, ...], tuple[str, ...]]:
        """The bindings to make on one securable, and the workspaces to unbind."""
        wanted, actual = self.wanted.bindings, self.actual.bindings
        keys = sorted(key for key in {**wanted, **actual} if key[0] == securable)
        bound = tuple(
            wanted[key]
            for key in keys
            if key in wanted and (key not in actual or actual[key].binding_type != wanted[key].binding_type)
        )
        extra = [actual[key].workspace for key in keys if key not in wanted]
        if self.prune:
            return bound, tuple(extra)
        self._leave(f"binding of {securable.noun} {securable.key} to {name}" for name in extra)
        return bound, ()

    def _grants(self) -> tuple[list[Difference], list[Difference], list[Difference]]:
        """The differences on the account's own securables, and the early and the late ones on all others.

        What is only granted on what exists already comes early: it may be what the caller needs to create things there.
        """
        found = differences(self.wanted, self.actual, gone=self._gone(), revocable=self._revocable)
        of_the_account = [difference for difference in found if of_account(difference.kind)]
        content = [difference for difference in found if not of_account(difference.kind)]
        early = [
            difference
            for difference in content
            if not difference.revoked and difference.securable in self.actual.rows
        ]
        return of_the_account, early, [difference for difference in content if difference not in early]

    def _gone(self) -> frozenset[Identity]:
        """What the plan deletes: its grants go with it, and are not revoked one by one."""
        if not self.prune:
            return frozenset(self._superfluous())
        return frozenset(set(self.actual.rows) - set(self.wanted.rows)) | self._superfluous()

    def _superfluous(self) -> frozenset[Identity]:
        """What the server makes along with another object and the files, which describe all of it, leave out."""
        if self.wanted.scope is None:
            return frozenset()
        return frozenset(set(self._implied) - set(self.wanted.rows))

    def _revocable(self, grant: Grant) -> bool:
        """Whether a grant may be taken away: only when pruning, and never the caller's own power to go on."""
        told = f"{grant.privilege} on {grant.kind} {grant.object} for {grant.principal}"
        if not self.prune:
            self._leave([told])
            return False
        if grant.kind == "account" and principal_key(grant.principal) == principal_key(self.caller):
            self._plan.kept.append(f"{told}, who is asking for this")
            return False
        return True

    def _deletes(self, nouns: Iterable[Noun]) -> Iterator[Step]:
        """What is there and not wanted: bottom up, and only when pruning or just made by the server."""
        superfluous = self._superfluous()
        for row in self._implied.values():
            if NOUNS[row.noun] in nouns and row.identity in superfluous:
                yield Step(DELETE, row.noun, row.name, implied=True)
        upwards = self._rows(self.actual, nouns)[::-1]
        for row in sorted(upwards, key=_level):
            label = f"{NOUNS[row.noun].label} {row.name}"
            if row.identity in self.wanted.rows:
                continue
            if not self.prune:
                self._leave([label])
            elif self._is_caller(row):
                self._plan.kept.append(f"{label}, who is asking for this")
            else:
                yield Step(DELETE, row.noun, row.name, etag=row.etag)

    def _leave(self, what: Iterable[str]) -> None:
        if self.wanted.scope is not None:
            self._plan.left += what


def _membership(row: Row, field: Field, names: list[str], *, removing: bool) -> Iterator[Step]:
    assert field.collection is not None
    size = 1 if field.collection.one_by_one else NAMES_MAX
    for group in (tuple(names[start : start + size]) for start in range(0, len(names), size)):
        added, removed = ((), group) if removing else (group, ())
        yield Step(MEMBERSHIP, row.noun, row.name, collection=field.name, added=added, removed=removed)


def _level(row: Row) -> int:
    """What is deleted first: what lies in schemas, and functions only after the tables they filter and mask."""
    return (2 if row.noun == "function" else 1) if NOUNS[row.noun].inside == "schema" else 3


def _stage(noun: Noun, change: Change) -> str:
    if change.field == NAME:
        return EARLY
    # Whoever is disabled cannot be made the owner of anything, so that comes at the very end.
    return SWITCH if change.field == ACTIVE.name and not change.after else noun.field(change.field).stage


def _same(field: Field, one: Any, other: Any) -> bool:
    if field.shape == PRINCIPAL:
        return principal_key(one or "") == principal_key(other or "")
    return same(field.shape, one, other)


def _elements(field: Field, before: Any, after: Any) -> list[Change]:
    """A change for each element that differs; one that goes is told by the part that names it."""
    old, new = ({name_key(element[field.each]): element for element in each} for each in (before, after))
    return [
        Change(field.name, old.get(key), new.get(key, {field.each: old.get(key, {}).get(field.each)}))
        for key in sorted({**old, **new})
        if not same(field.shape, [old.get(key)], [new.get(key)])
    ]
