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
from lakewarden.governance.documents import (
    SERVICE_PRINCIPAL_PREFIX,
    Document,
    Grant,
    Identity,
    Row,
    of_account,
    order,
    principal_key,
)
from lakewarden.governance.granting import Difference, differences
from lakewarden.governance.nouns import ACTIVE, MEMBERS, NAME, NOUNS, OWNER, PRINCIPAL, REFERENCE, Field, Noun
from lakewarden.governance.steps import DELETE, MEMBERSHIP, UPDATE, Change, Plan, Step, created
from lakewarden_policy import display_name, name_key

CONTENT = [noun for noun in NOUNS.values() if not noun.of_account]
ACCOUNT = [noun for noun in NOUNS.values() if noun.of_account]


def plan(wanted: Document, actual: Document, *, caller: str, prune: bool) -> Plan:
    """The plan that makes `actual` what `wanted` describes, made by `caller` (its name on the server).

    Without `prune` nothing is taken away. Raises FailedPrecondition for what no plan can reach.
    """
    return _Planner(wanted, actual, caller, prune).plan()


@dataclass
class _Planner:
    wanted: Document
    actual: Document
    caller: str
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
        steps += [step for noun in ACCOUNT if noun.is_principal for step in self._objects(noun)]
        steps += [*self._members(removing=True), *self._members(removing=False)]
        steps += [step for noun in ACCOUNT if not noun.is_principal for step in self._objects(noun)]
        of_the_account, early, late = self._grants()
        steps += [step for difference in of_the_account for step in difference.grant_steps()]
        steps += [step for difference in early for step in difference.steps()]
        steps += [step for noun in CONTENT for step in self._objects(noun)]
        steps += [step for difference in late for step in difference.steps()]
        steps += [step for noun in reversed(CONTENT) for step in self._deletes(noun)]
        steps += [step for noun in reversed(CONTENT) for step in self._owners(noun)]
        steps += [step for difference in of_the_account for step in difference.revoke_steps()]
        steps += [step for noun in reversed(ACCOUNT) for step in self._owners(noun)]
        steps += [step for noun in ACCOUNT for step in self._disables(noun)]
        steps += [step for noun in reversed(ACCOUNT) for step in self._deletes(noun)]
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

    def _objects(self, noun: Noun) -> Iterator[Step]:
        """Creates what is missing, and changes every field but the owner."""
        for row in self.wanted.of(noun.name):
            current = self._current(row)
            if current is None:
                yield created(
                    row, {name: value for name, value in row.values.items() if noun.field(name).at_create}
                )
                current = Row(row.noun, row.name, {name: value for name, value in row.values.items()
                                                   if noun.field(name).at_create})  # fmt: skip
            changes = [change for change in self._changes(row, current) if not _is_late(change)]
            yield from _updates(noun, current, changes)

    def _disables(self, noun: Noun) -> Iterator[Step]:
        """Last of all changes: whoever is disabled cannot be made the owner of anything."""
        for row in self.wanted.of(noun.name):
            current = self._current(row) or Row(row.noun, row.name)
            changes = self._changes(row, current)
            yield from _updates(
                noun,
                current,
                [change for change in changes if change.field == ACTIVE.name and _is_late(change)],
            )

    def _owners(self, noun: Noun) -> Iterator[Step]:
        if OWNER not in noun.fields:
            return
        for row in reversed(self.wanted.of(noun.name)):
            # Whoever creates something owns it first.
            current = self._current(row) or Row(row.noun, row.name, {"owner": self.caller})
            changes = [change for change in self._changes(row, current) if change.field == OWNER.name]
            yield from _updates(noun, current, changes)

    def _changes(self, row: Row, current: Row) -> list[Change]:
        """The fields that differ, in the order of the noun; the spelling of the name first."""
        noun, found = NOUNS[row.noun], []
        before, after = (
            name.rpartition(".")[2] if noun.inside else name for name in (current.name, row.name)
        )
        if noun.can_be_renamed and display_name(before) != display_name(after):
            found.append(Change(NAME, before, display_name(after)))
        for field in noun.fields:
            is_value, was_value = (
                row.values.get(field.name, field.default),
                current.values.get(field.name, field.default),
            )
            if field is not MEMBERS and is_value is not None and not _same(field, was_value, is_value):
                found.append(Change(field.name, was_value, is_value))
        return found

    def _members(self, *, removing: bool) -> Iterator[Step]:
        """Removals before additions: an edge that is turned around would be a cycle in between."""
        for row in self.wanted.of("group"):
            current = self.actual.rows.get(row.identity)
            before = (
                {principal_key(name): name for name in current.values.get("members", ())} if current else {}
            )
            after = {principal_key(name): name for name in row.values.get("members", ())}
            extra = tuple(before[key] for key in sorted(set(before) - set(after)))
            missing = tuple(sorted((after[key] for key in set(after) - set(before)), key=order))
            if not removing and missing:
                yield Step(MEMBERSHIP, "group", row.name, added=missing)
            if removing and extra and self.prune:
                yield Step(MEMBERSHIP, "group", row.name, removed=extra)
            elif removing:
                self._leave(f"{name} in group {row.name}" for name in extra)

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

    def _deletes(self, noun: Noun) -> Iterator[Step]:
        """What is there and not wanted: bottom up, and only when pruning or just made by the server."""
        superfluous = self._superfluous()
        for row in self._implied.values():
            if row.noun == noun.name and row.identity in superfluous:
                yield Step(DELETE, row.noun, row.name, implied=True)
        for row in reversed(self.actual.of(noun.name)):
            if row.identity in self.wanted.rows:
                continue
            if not self.prune:
                self._leave([f"{noun.label} {row.name}"])
            elif self._is_caller(row):
                self._plan.kept.append(f"{noun.label} {row.name}, who is asking for this")
            else:
                yield Step(DELETE, row.noun, row.name, etag=row.etag)

    def _leave(self, what: Iterable[str]) -> None:
        if self.wanted.scope is not None:
            self._plan.left += what


def _is_late(change: Change) -> bool:
    """Whether a change waits until everything is created and granted."""
    return change.field == OWNER.name or (change.field == ACTIVE.name and not change.after)


def _same(field: Field, one: Any, other: Any) -> bool:
    if field.shape == PRINCIPAL:
        return principal_key(one or "") == principal_key(other or "")
    if field.shape == REFERENCE:
        return name_key(one) == name_key(other)
    return bool(one == other)


def _updates(noun: Noun, current: Row, changes: Iterable[Change]) -> Iterator[Step]:
    """A step for each field that is set in a call of its own, and one for all the others together."""
    alone = [change for change in changes if change.field == NAME or noun.field(change.field).set is not None]
    together = tuple(change for change in changes if change not in alone)
    for group in [*((change,) for change in alone), *([together] if together else [])]:
        yield Step(UPDATE, noun.name, current.name, tuple(group), etag=current.etag)
