"""What is worked out from a snapshot as it is asked for: closures of principals, containers of securables.

Entries are computed at the first look-up, by any thread, always to the same value; every decision starts here, so these are dicts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from lakewarden_policy.kinds import ACCOUNT_USERS_ID

if TYPE_CHECKING:
    from lakewarden_policy.records import Location, Securable
    from lakewarden_policy.snapshot import Snapshot

_NOBODY: Final[frozenset[str]] = frozenset()
_DEPTH_MAX: Final = 16
# The kinds whose objects every user and service principal belongs to `account users` with.
_ACCOUNT_USER_KINDS: Final = frozenset({"USER", "SERVICE_PRINCIPAL"})


class Closures(dict[str, frozenset[str]]):
    """Principal id -> itself, its groups through any nesting, and `account users`; nobody for an unknown id."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self._snapshot = snapshot

    def __missing__(self, principal_id: str) -> frozenset[str]:
        principals = self._snapshot.principals
        principal = principals.get(principal_id)
        # Unknown ids are not kept: asking for them must not fill memory.
        if principal is None:
            return _NOBODY
        found = {principal_id}
        if principal.kind in _ACCOUNT_USER_KINDS:
            found.add(ACCOUNT_USERS_ID)
        waiting = list(found)
        while waiting:
            above = [group for group in self._snapshot.groups_above(waiting.pop()) if group in principals]
            waiting.extend(group for group in above if group not in found)
            found.update(above)
        closure = self[principal_id] = frozenset(found)
        return closure


class Chains(dict[str | None, tuple[str, ...]]):
    """Containers from ``parent_id`` upwards; kept per container, since siblings share them."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__({None: ()})
        self._snapshot = snapshot

    def __missing__(self, parent_id: str | None) -> tuple[str, ...]:
        securables = self._snapshot.securables
        found: list[str] = []
        current = parent_id
        while current is not None and current in securables and len(found) < _DEPTH_MAX:
            found.append(current)
            current = securables[current].parent_id
        chain = self[parent_id] = tuple(found)
        return chain


class Kin(dict[str | None, dict[str, str]]):
    """The chain of ``parent_id`` by kind."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self._snapshot = snapshot

    def __missing__(self, parent_id: str | None) -> dict[str, str]:
        securables, chain = self._snapshot.securables, self._snapshot.chains[parent_id]
        # Reversed, so that the nearest container of a kind wins.
        kin = self[parent_id] = {securables[container].kind: container for container in reversed(chain)}
        return kin


class Containers:
    """Containers by object id: the relation g2 of the model."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def __getitem__(self, object_id: str, /) -> tuple[str, ...]:
        return self._snapshot.ancestors(object_id)


def located(snapshot: Snapshot, locations: Iterable[Location], read_only_credentials: Iterable[str]) -> None:
    """Fills in, while the snapshot is built: external locations by URL, the credential each is reached with, and what is
    read-only with what says so: itself or, for a location, its credential.
    """
    credentials: dict[str | None, str] = {credential: credential for credential in read_only_credentials}
    snapshot.read_only = {place: place for place in credentials.values()}
    for place, url, credential_id, read_only in locations:
        if place in snapshot.securables:
            snapshot.locations[url] = place
            if credential_id in snapshot.securables:
                snapshot.reached_with[place] = credential_id
            if read_only or credential_id in credentials:
                snapshot.read_only[place] = place if read_only else credentials[credential_id]


def location_of(snapshot: Snapshot, url: str, metastore_id: str | None) -> Securable | None:
    """The external location of the metastore that a canonical URL lies in, by whole segments; the longest if several."""
    while url.count("/") > 1:
        found = snapshot.securables.get(snapshot.locations.get(url, ""))
        if found is not None and found.metastore_id == metastore_id:
            return found
        url = url.rpartition("/")[0]
    return None
