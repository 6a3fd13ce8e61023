"""What is worked out from a snapshot as it is asked for: closures of principals, containers of securables.

Entries are computed at the first look-up, by any thread, always to the same value; every decision starts here, so these are dicts.
Each holds the maps it rests on and nothing else, so that snapshots in which those did not change share it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Final

from lakewarden_policy.kinds import ACCOUNT_USERS_ID, CONTAINERS_MAX, KINDS

if TYPE_CHECKING:
    from lakewarden_policy.records import Location, Principal, Securable
    from lakewarden_policy.snapshot import Snapshot

_NOBODY: Final[frozenset[str]] = frozenset()
# The kinds whose objects every user and service principal belongs to `account users` with.
_ACCOUNT_USER_KINDS: Final = frozenset({"USER", "SERVICE_PRINCIPAL"})


class Groups:
    """The groups a principal belongs to directly: by stored membership, and the system groups of workspaces it is assigned to."""

    def __init__(
        self, group_ids: Mapping[str, tuple[str, ...]], assigned: Mapping[str, Mapping[str, tuple[str, ...]]]
    ) -> None:
        self._group_ids, self._assigned = group_ids, assigned

    def __call__(self, principal_id: str) -> tuple[str, ...]:
        """Their ids; those of stored membership first."""
        stored, assigned = self._group_ids.get(principal_id, ()), self._assigned.get(principal_id)
        return (*stored, *chain.from_iterable(assigned.values())) if assigned else stored


class Closures(dict[str, frozenset[str]]):
    """Principal id -> itself, its groups through any nesting, and `account users`; nobody for an unknown id."""

    def __init__(
        self, principals: Mapping[str, Principal], groups_above: Callable[[str], tuple[str, ...]]
    ) -> None:
        super().__init__()
        self._principals, self._groups_above = principals, groups_above

    def __missing__(self, principal_id: str) -> frozenset[str]:
        principals, groups_above = self._principals, self._groups_above
        principal = principals.get(principal_id)
        # Unknown ids are not kept: asking for them must not fill memory.
        if principal is None:
            return _NOBODY
        found = {principal_id}
        if principal.kind in _ACCOUNT_USER_KINDS:
            found.add(ACCOUNT_USERS_ID)
        waiting = list(found)
        while waiting:
            # The principals' own strings, which the rows have too: what is the same is not compared.
            above = [principals[group].id for group in groups_above(waiting.pop()) if group in principals]
            waiting.extend(group for group in above if group not in found)
            found.update(above)
        closure = self[principal_id] = frozenset(found)
        return closure


class Chains(dict[str | None, tuple[str, ...]]):
    """Containers from ``parent_id`` upwards; kept per container, since siblings share them."""

    def __init__(self, securables: Mapping[str, Securable]) -> None:
        super().__init__({None: ()})
        self._securables = securables

    def __missing__(self, parent_id: str | None) -> tuple[str, ...]:
        securables = self._securables
        found: list[str] = []
        current = parent_id
        while current is not None and current in securables and len(found) < CONTAINERS_MAX:
            found.append(current)
            current = securables[current].parent_id
        containers = self[parent_id] = tuple(found)
        return containers


class Kin(dict[str | None, dict[str, str]]):
    """The chain of ``parent_id`` by kind."""

    def __init__(
        self, securables: Mapping[str, Securable], chains: Mapping[str | None, tuple[str, ...]]
    ) -> None:
        super().__init__()
        self._securables, self._chains = securables, chains

    def __missing__(self, parent_id: str | None) -> dict[str, str]:
        securables, containers = self._securables, self._chains[parent_id]
        # Reversed, so that the nearest container of a kind wins.
        kin = self[parent_id] = {securables[container].kind: container for container in reversed(containers)}
        return kin


class Upward(dict[str | None, dict[str | None, tuple[str, ...]]]):
    """The chain of ``parent_id`` from each kind of container in it upwards; from the first one under None."""

    def __init__(
        self, kin: Mapping[str | None, dict[str, str]], chains: Mapping[str | None, tuple[str, ...]]
    ) -> None:
        super().__init__()
        self._kin, self._chains = kin, chains

    def __missing__(self, parent_id: str | None) -> dict[str | None, tuple[str, ...]]:
        containers = self._chains[parent_id]
        found: dict[str | None, tuple[str, ...]] = {None: containers}
        for kind, container in self._kin[parent_id].items():
            found[kind] = containers[containers.index(container) :]
        self[parent_id] = found
        return found


class Containers:
    """Containers by object id: the relation g2 of the model."""

    def __init__(
        self, securables: Mapping[str, Securable], chains: Mapping[str | None, tuple[str, ...]]
    ) -> None:
        self._securables, self._chains = securables, chains

    def __getitem__(self, object_id: str, /) -> tuple[str, ...]:
        securable = self._securables.get(object_id)
        return () if securable is None else self._chains[securable.parent_id]


class ReadOnly:
    """What is read-only, with what says so: a storage credential or external location itself or, for a location, its credential."""

    def __init__(self, places: Mapping[str, Location], credentials: Mapping[str, bool]) -> None:
        self._places, self._credentials = places, credentials

    def __contains__(self, object_id: str) -> bool:
        return self.get(object_id) is not None

    def __getitem__(self, object_id: str, /) -> str:
        found = self.get(object_id)
        if found is None:
            raise KeyError(object_id)
        return found

    def get(self, object_id: str) -> str | None:
        """What says so, None for what may be written."""
        if object_id in self._credentials:
            return object_id
        place = self._places.get(object_id)
        if place is None:
            return None
        if place.read_only:
            return object_id
        return place.credential_id if place.credential_id in self._credentials else None


def location_of(snapshot: Snapshot, url: str, metastore_id: str | None) -> Securable | None:
    """The external location of the metastore that a canonical URL lies in, by whole segments; the longest if several."""
    while url.count("/") > 1:
        found = snapshot.securables.get(snapshot.locations.get(url, ""))
        if found is not None and found.metastore_id == metastore_id:
            return found
        url = url.rpartition("/")[0]
    return None


def place_of(securable: Securable) -> tuple[str | None, str, str]:
    """What tells an object of a workspace from all others."""
    return securable.workspace_id, KINDS[securable.kind].namespace, securable.name_key
