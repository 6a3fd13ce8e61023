"""Parse `permission_levels.csv`: what can be granted on the objects of a workspace (semantics 6); called once, by Policy.

A level becomes a privilege of its kind like any of `privileges.csv`: who holds a level of that name on another kind holds nothing
here. What is held without a grant is said in the same row: by the owner, by whoever works in the workspace in some role.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from lakewarden_policy.kinds import IMPLICIT_PRIVILEGES, IN_WORKSPACE, WORKSPACE_GROUPS
from lakewarden_policy.privileges import OWN_WORKSPACE, Privilege, is_privilege_name, read_rows

LEVELS_FILE: Final = "permission_levels.csv"
EVERY_KIND: Final = "*"
"""Stands for each kind of the file, here and in `operations.csv`."""
_COLUMNS: Final = ["kind", "level", "held_by", "here", "inside", "description"]
_ROLES: Final[Mapping[str, frozenset[str]]] = {
    **WORKSPACE_GROUPS,
    "engines": frozenset({"WORKSPACE:QUERY_ENGINE"}),
}
"""Who holds a level on all objects of the kind, and by which acts on the workspace."""
_HOLDERS: Final = frozenset({"grant", "creator", "owner", *_ROLES})
_LISTED: Final = frozenset({"grant", "owner"})


class Level(NamedTuple):
    """One row: ``held_by`` says how somebody comes to hold it; ``is_listed`` tells what people speak of from what that confers."""

    kind: str
    name: str
    held_by: frozenset[str]
    here: tuple[str, ...]
    inside: tuple[str, ...]
    description: str
    line: int
    is_listed: bool

    @property
    def act(self) -> str:
        """The level as an act."""
        return f"{self.kind}:{self.name}"


class Levels:
    """The whole file, and the privileges that follow from it."""

    def __init__(self, text: str) -> None:
        """Parse the file's text; an empty one governs no objects. Raises ValueError naming file and line."""
        rows = list(_rows(text)) if text else []
        own = {row.act: row for row in rows if row.kind != EVERY_KIND}
        self.kinds = frozenset(row.kind for row in own.values())
        """The kinds that have levels."""
        shared = [row for row in rows if row.kind == EVERY_KIND]
        # A level of the kind's own takes the place of what every kind has under its name.
        implied = {
            f"{kind}:{row.name}": row._replace(kind=kind) for kind in sorted(self.kinds) for row in shared
        }
        self._rows = {act: row for act, row in implied.items() if act not in own} | own

    def listed(self, kind: str) -> list[Level]:
        """The levels of a kind that people speak of, in the order of the file."""
        return [row for row in self._rows.values() if row.kind == kind and row.is_listed]

    def is_listed(self, act: str) -> bool:
        """Whether an act is a level that people speak of."""
        return act in self._rows and self._rows[act].is_listed

    def owned(self, kind: str) -> Level | None:
        """The level that the one owner of an object holds; None where the kind has no owner."""
        return self._held_by("owner", kind)

    def created(self, kind: str) -> Level | None:
        """The level whoever creates an object is granted; None where the kind has an owner, or is managed by admins alone."""
        return self._held_by("creator", kind)

    def privileges(self) -> Iterator[Privilege]:
        """A privilege for each level, and for each kind what owning is: without an owner's level, nothing.

        Objects of such kinds belong to the admins of their workspace, who hold what they do as admins.
        """
        for row in self._rows.values():
            yield _privilege(
                row, row.name, is_grantable="grant" in row.held_by, here=row.here, inside=row.inside
            )
        for kind in sorted(self.kinds):
            level = self.owned(kind)
            row = level or next(row for row in self._rows.values() if row.kind == kind)
            yield _privilege(row, "OWNER", is_grantable=False, here=(level.act,) if level else (), inside=())

    def conferred(self) -> dict[str, list[str]]:
        """What acts on a workspace confer on the objects inside."""
        found: dict[str, list[str]] = {}
        for row in self._rows.values():
            for act in {act for role in row.held_by & _ROLES.keys() for act in _ROLES[role]}:
                found.setdefault(act, []).append(row.act)
        return found

    def _held_by(self, holder: str, kind: str) -> Level | None:
        found = (row for row in self._rows.values() if row.kind == kind and holder in row.held_by)
        return next(found, None)


def _privilege(
    row: Level, name: str, *, is_grantable: bool, here: tuple[str, ...], inside: tuple[str, ...]
) -> Privilege:
    acts = tuple(act if ":" in act else f"{row.kind}:{act}" for act in here)
    return Privilege(
        act=f"{row.kind}:{name}", kind=row.kind, name=name, is_grantable=is_grantable, scope=OWN_WORKSPACE, here=acts,
        inside=inside, gates=(), as_owner=False, writes=False, writes_files=False, description=row.description,
        line=row.line, file=LEVELS_FILE,
    )  # fmt: skip


def _rows(text: str) -> Iterator[Level]:
    known: set[tuple[str, str]] = set()
    for line, row in read_rows(text, LEVELS_FILE, _COLUMNS):
        kind, name, held_by = row["kind"], row["level"], frozenset(row["held_by"].split())
        if kind not in IN_WORKSPACE | {EVERY_KIND}:
            raise _error(line, f"{kind!r} is no kind of object of a workspace")
        if name in IMPLICIT_PRIVILEGES or not is_privilege_name(name):
            raise _error(line, f"{name!r} is not a level's name such as CAN_RUN")
        if (kind, name) in known:
            raise _error(line, f"{kind}:{name} is defined twice")
        if held_by - _HOLDERS:
            raise _error(line, f"held_by {row['held_by']!r} is not of {', '.join(sorted(_HOLDERS))}")
        if not row["description"]:
            raise _error(line, "the description is empty")
        known.add((kind, name))
        yield Level(
            kind, name, held_by, tuple(row["here"].split()), tuple(row["inside"].split()), row["description"],
            line, not held_by.isdisjoint(_LISTED),
        )  # fmt: skip


def _error(line: int, problem: str) -> ValueError:
    return ValueError(f"{LEVELS_FILE}:{line}: {problem}")
