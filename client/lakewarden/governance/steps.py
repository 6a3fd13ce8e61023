"""A plan: the steps that bring a server to what files say, each of them one call, and how they read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lakewarden.governance.documents import Binding, Grant, Row
from lakewarden.governance.nouns import NOUNS
from lakewarden.governance.reading import READ_WRITE
from lakewarden.governance.toml import time_text

CREATE, UPDATE, DELETE = "create", "update", "delete"
GRANT, REVOKE, MEMBERSHIP, BIND = "grant", "revoke", "membership", "bind"


class Change(NamedTuple):
    """One field before and after; `before` None for an object that is created."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Step:
    """One call. A step that grants may revoke as well: both are one change of the server's state."""

    action: str
    noun: str
    name: str
    changes: tuple[Change, ...] = ()
    principal: str = ""
    granted: tuple[Grant, ...] = ()
    revoked: tuple[str, ...] = ()
    collection: str = ""
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    wanted: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """All values the object shall have: some fields are set together with others that stay."""
    bound: tuple[Binding, ...] = ()
    unbound: str = ""
    """The calling workspace, where isolating would bind it and the files do not."""
    etag: str = ""
    implied: bool = False
    """Takes away what the server itself made a moment before, so nobody needs to be asked."""

    @property
    def takes_away(self) -> bool:
        """Whether something that existed is gone afterwards."""
        return not self.implied and bool(self.action == DELETE or self.revoked or self.removed)

    @property
    def title(self) -> str:
        """The step on one line, as progress and errors name it."""
        return "; ".join(text for _, text in self.lines())

    def lines(self) -> Iterator[tuple[str, str]]:
        """A sign (`+`, `~`, `-`) and a text for each thing the step does."""
        label = f"{NOUNS[self.noun].label if self.noun in NOUNS else self.noun} {self.name}"
        if self.action in (GRANT, REVOKE):
            if self.revoked:
                yield "-", f"revoke {', '.join(self.revoked)} on {label} from {self.principal}"
            if self.granted:
                names = ", ".join(grant.privilege for grant in self.granted)
                yield "+", f"grant {names} on {label} to {self.principal}{_terms(self.granted[0])}"
        elif self.action == MEMBERSHIP:
            if self.removed:
                yield "-", f"remove {', '.join(self.removed)} from {label}"
            if self.added:
                yield "+", f"add {', '.join(self.added)} to {label}"
        elif self.action == BIND:
            if self.changes:
                yield "~", f"update {label}"
            if self.removed:
                yield "-", f"unbind {label} from {', '.join(self.removed)}"
            if self.bound:
                yield "+", f"bind {label} to {', '.join(map(_bound, self.bound))}"
        else:
            yield {CREATE: "+", UPDATE: "~", DELETE: "-"}[self.action], f"{self.action} {label}"

    def details(self) -> Iterator[str]:
        """A line for each field that is set or changed."""
        for change in self.changes:
            shown = f"{_shown(change.before)} → {_shown(change.after)}"
            yield f"{change.field}: {_shown(change.after) if self.action == CREATE else shown}"

    def record(self) -> dict[str, Any]:
        """The step as plain data, for JSON and its like."""
        return {
            "action": self.action,
            "kind": self.noun,
            "name": self.name,
            "principal": self.principal,
            "changes": [
                {"field": name, "before": before, "after": after} for name, before, after in self.changes
            ],
            "granted": [grant.privilege for grant in self.granted],
            "revoked": list(self.revoked),
            "bound": {binding.workspace: binding.binding_type for binding in self.bound},
            "added": list(self.added),
            "removed": list(self.removed),
        }


@dataclass
class Plan:
    """The steps in the order in which they are taken."""

    steps: list[Step] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """What the files do not mention and the plan leaves alone."""
    kept: list[str] = field(default_factory=list)
    """What the plan refuses to take away, and why."""

    def takes_away(self) -> int:
        """How many steps take something away."""
        return sum(step.takes_away for step in self.steps)

    def summary(self) -> str:
        """How many steps of each kind."""
        counted: Counter[str] = Counter()
        for step in self.steps:
            if step.action in (GRANT, REVOKE):
                counted[GRANT] += bool(step.granted)
                counted[REVOKE] += bool(step.revoked)
            else:
                counted[UPDATE if step.action in (MEMBERSHIP, BIND) else step.action] += 1
        words = [f"{counted[action]} to {action}" for action in (CREATE, UPDATE, DELETE, GRANT, REVOKE)]
        steps = "1 step" if len(self.steps) == 1 else f"{len(self.steps)} steps"
        return f"{steps}: {', '.join(words)}" if self.steps else "nothing to do"


def created(row: Row, values: dict[str, Any]) -> Step:
    """The step that creates a row's object."""
    return Step(
        CREATE, row.noun, row.name, tuple(Change(name, None, value) for name, value in values.items())
    )


def _terms(grant: Grant) -> str:
    until = f" until {time_text(grant.terms.expire_time)}" if grant.terms.expire_time else ""
    return until + (f" because {grant.terms.reason}" if grant.terms.reason else "")


def _bound(binding: Binding) -> str:
    return binding.workspace if binding.binding_type == READ_WRITE else f"{binding.workspace} (READ_ONLY)"


def _shown(value: Any) -> str:
    """A value as a person reads it; an empty one is visible."""
    return json.dumps(value, ensure_ascii=False) if value is not None else "whatever it is"
