"""From the bytes of WatchPolicy to the state a replica decides on."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from typing import Any

from lakewarden_policy import ACCOUNT_USERS_ID, Head, Principal, Snapshot
from lakewarden_policy.slices import RECORDS
from lakewarden_policy.wire import ADDED, COMPLETE, REMOVED, Unreadable, decode


class Position:
    """What the server called a state: workspace, epoch, revision and nonce. Handed back as it came."""

    def __init__(self, text: str) -> None:
        """Raises Unreadable."""
        self.text = text
        parts = text.split(":")
        if len(parts) != 4 or not parts[2].isdigit():
            raise Unreadable(f"{text!r} is no position")
        self.workspace_id = parts[0]
        self.head = Head(parts[1], int(parts[2]), parts[3])
        self.revision = f"{parts[1]}:{parts[2]}"

    def precedes(self, later: Position) -> bool:
        """Whether the later one can follow in the same history, for the same workspace."""
        return (
            self.workspace_id == later.workspace_id
            and self.head.epoch == later.head.epoch
            and (self.head.revision < later.head.revision or self.head == later.head)
        )


def read_state(head: Head, data: bytes, now: float) -> Snapshot:
    """The state of a whole slice at the server's time `now`. Raises Unreadable when any list is missing."""
    enabled = gc.isenabled()
    # A large state would set the cyclic collector off again and again for nothing.
    gc.disable()
    try:
        lists: dict[str, Iterable[Any]] = {}
        for part, name, records in decode(data):
            if part != COMPLETE or name in lists:
                raise Unreadable(f"{part} {name} is no part of a whole slice")
            lists[name] = records
        if missing := RECORDS.keys() - lists:
            raise Unreadable(f"the slice lacks {', '.join(sorted(missing))}")
        return Snapshot.build(head, tokens=(), now=now, **lists)
    finally:
        if enabled:
            gc.enable()


def changed_state(held: Snapshot, head: Head, data: bytes, now: float) -> Snapshot:
    """The state held with what a slice lost and gained. Raises Unreadable."""
    removed: dict[str, list[Any]] = {}
    added: dict[str, list[Any]] = {}
    for part, name, records in decode(data):
        if part == REMOVED:
            removed[name] = list(records)
        elif part == ADDED:
            added[name] = list(records)
        elif name == "principals":
            removed[name], added[name] = _difference(held, list(records))
        else:
            raise Unreadable(f"all of {name} is no part of a change")
    return held.changed(head, removed, added, now=now)


def _difference(held: Snapshot, principals: list[Principal]) -> tuple[list[Principal], list[Principal]]:
    """Who goes and who comes when these are all principals; whoever changed is in both."""
    known = {found.id: found for found in principals}
    gone = [
        found
        for found in held.principals.values()
        if found.id != ACCOUNT_USERS_ID and known.get(found.id) != found
    ]
    come = [found for found in principals if held.principals.get(found.id) != found]
    return gone, come
