"""Where grants go while a state is made of a million of them: what many rows share is looked up once."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import NamedTuple

from lakewarden_policy.records import Securable

Acts = dict[str, tuple[str, ...]]
"""Privilege -> the act it is on one kind, in a tuple that all who hold nothing else share."""
Holders = dict[str, tuple[str, ...]]
"""Principal id -> the acts held on one object."""


class ActsByKind(dict[str, "_ActsOnKind"]):
    """Kind -> `Acts`; what is asked for is there."""

    def __missing__(self, kind: str) -> _ActsOnKind:
        acts = self[kind] = _ActsOnKind(kind)
        return acts


class _ActsOnKind(Acts):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind

    def __missing__(self, privilege: str) -> tuple[str, ...]:
        act = self[privilege] = (f"{self._kind}:{privilege}",)
        return act


class GrantPlace(NamedTuple):
    """An object's id as the other maps have it, its acts, and its holders where a row may be added to them just so."""

    object_id: str
    acts: Acts
    holders: Holders | None


class GrantPlaces(dict[str, GrantPlace | None]):
    """Object id -> its place; None for what nothing can be granted on, because it does not exist or was deleted."""

    def __init__(
        self,
        securables: Mapping[str, Securable],
        acts: ActsByKind,
        held: MutableMapping[str, Holders] | None,
    ) -> None:
        """``held`` is that of a new state; None where each row has to be noted as a change."""
        super().__init__()
        self._securables, self._acts, self._held = securables, acts, held

    def __missing__(self, object_id: str) -> GrantPlace | None:
        securable = self._securables.get(object_id)
        place = None
        if securable is not None and securable.kind != "DELETED_TABLE":
            # Who is assigned to a workspace follows from its grants, so each of these is noted.
            held = None if securable.kind == "WORKSPACE" else self._held
            holders = None if held is None else held.setdefault(securable.id, {})
            place = GrantPlace(securable.id, self._acts[securable.kind], holders)
        self[object_id] = place
        return place
