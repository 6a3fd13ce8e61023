"""Which securables names stand for today: by full name, as a path of a table, or as a file of a volume (reference/lineage.md 5, "Paths")."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from lakewarden_policy import Reference, Snapshot
from lakewarden_policy.names import InvalidName
from lakewarden_server.core.urls import InvalidUrl, ancestors, canonical_url
from lakewarden_server.lineage.names import (
    AssetKind,
    AssetName,
    own_full_name,
    securable_name,
    storage_url,
    volume_file,
)
from lakewarden_server.lineage.remembering import Remembered
from lakewarden_server.storage.repositories.lineage import LineageStore
from lakewarden_server.storage.repositories.lineage_locations import Lain, data_at

VOLUME: Final = "VOLUME"
_ANCESTORS: Final = Remembered[tuple[str, ...]]()


class Bindings:
    """The names of one metastore in one state of the catalog."""

    def __init__(
        self, store: LineageStore, snapshot: Snapshot, metastore_id: str, own_hosts: Collection[str] = ()
    ) -> None:
        """`own_hosts` are those at which `unitycatalog://` names this metastore; any if empty."""
        self._store, self._snapshot, self._metastore_id = store, snapshot, metastore_id
        self._own_hosts = own_hosts

    def of(self, names: Collection[AssetName]) -> dict[AssetName, AssetName]:
        """Of names that stand for a securable of the metastore, or for a file of a volume of it, what stands for that."""
        found = {name: meant for name in names if (meant := self._named(name))}
        return found | self._lain(names, ("TABLE", VOLUME))

    def files(self, names: Collection[AssetName]) -> dict[AssetName, AssetName]:
        """Of names that are paths in a volume, what stands for the file."""
        found = {name: meant for name in names if (meant := self._in_volume(name))}
        return found | self._lain(names, (VOLUME,))

    def _lain(self, names: Collection[AssetName], kinds: Collection[str]) -> dict[AssetName, AssetName]:
        """Of URLs where something of these kinds has its data, what stands for that."""
        found: dict[AssetName, AssetName] = {}
        above = {name: _ancestors(name) for name in names}
        data = data_at(self._store, {url for urls in above.values() for url in urls})
        for name, urls in above.items():
            at = next((url for url in urls if url in data and data[url].kind in kinds), None)
            if at is None:
                continue
            meant = _at(data[at], urls[0], at)
            if self._snapshot.ancestor(meant.name, "METASTORE") == self._metastore_id:
                found[name] = meant
        return found

    def _in_volume(self, name: AssetName) -> AssetName | None:
        """What stands for the file that a name of the form `/Volumes/…` says, where there is such a volume."""
        said = volume_file(name)
        if said is None:
            return None
        try:
            found = self._snapshot.resolve(VOLUME, said.volume, self._metastore_id)
        except InvalidName:
            return None
        return securable_name(found.id, said.file_path) if found else None

    def _named(self, name: AssetName) -> AssetName | None:
        if name.kind is not AssetKind.DATASET:
            return None
        if file := self._in_volume(name):
            return file
        full_name = own_full_name(name, self._own_hosts)
        if not full_name:
            return None
        try:
            wanted = Reference("", "SELECT", full_name)
            found = self._snapshot.referenced(wanted, self._metastore_id)
        except InvalidName:
            return None
        return securable_name(found.id) if found else None


def _at(data: Lain, url: str, data_url: str) -> AssetName:
    """What a URL is that lies where a securable has its data: the table, whichever file of it, or the file of the volume."""
    return securable_name(data.securable_id, url[len(data_url) + 1 :] if data.kind == VOLUME else "")


def _ancestors(name: AssetName) -> tuple[str, ...]:
    """The URL of a path and all above it, the longest first; none of what is no path of a storage we know."""
    known = _ANCESTORS.get(name)
    if known is None:
        url = storage_url(name)
        try:
            known = ancestors(canonical_url(url)) if url else ()
        except InvalidUrl:
            known = ()
        _ANCESTORS.keep(name, known, len(name.namespace) + len(name.name) + sum(map(len, known)))
    return known
