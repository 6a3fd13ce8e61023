"""What the assets of a lineage stand for, as columns by their ids: worked out when one is first met, good until what it rests on changes."""

from __future__ import annotations

import threading
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lakewarden_policy import KINDS, Snapshot
from lakewarden_policy.records import Securable
from lakewarden_server.lineage.graph import Flags, Ints
from lakewarden_server.lineage.names import AssetName, storage_url, volume_path
from lakewarden_server.lineage.nodes import LineageState, Node

ALONE: Final = 1
"""The group of assets about each of which is decided by itself."""
_UNKNOWN: Final = 0
VOLUME: Final = "VOLUME"
PATH: Final = "PATH"
"""The kind of what is a file of a volume."""

Texts = NDArray[Any]
"""Strings, as objects."""


class Described(NamedTuple):
    """How an asset is shown: the name it has today; of one that is gone, the last it had."""

    name: str
    kind: str
    namespace: str
    dropped: bool


class Group(NamedTuple):
    """Securables that are decided about together: of one kind in one container."""

    metastore_id: str
    parent_id: str
    kind: str
    example_id: str
    """Any of them."""


class Roster:
    """The columns of one lineage state and one state of the securables; shared by all callers, so nothing in it says who sees what."""

    def __init__(self, state: LineageState, snapshot: Snapshot) -> None:
        self._nodes, self._securables, self._end = state.nodes, snapshot.securables, state.end
        # One more than there are: the end stands for a securable without lineage.
        size = state.end + 1
        self.names: Texts = np.full(size, "", dtype=object)
        self.kinds: Texts = np.full(size, "", dtype=object)
        self.namespaces: Texts = np.full(size, "", dtype=object)
        self.dropped: Flags = np.zeros(size, dtype=bool)
        self.groups: list[Group | None] = [None, None]
        self._group_of: Ints = np.zeros(size, dtype=np.int32)
        self._numbers: dict[Group, int] = {}
        self._prefixes: dict[str, str] = {}
        self._filling = threading.Lock()

    def is_of(self, state: LineageState, snapshot: Snapshot) -> bool:
        """Whether nothing it rests on is different in these states."""
        return (
            self._nodes is state.nodes and self._securables is snapshot.securables and self._end == state.end
        )

    def groups_of(self, assets: Ints, snapshot: Snapshot) -> Ints:
        """Of each asset the number of its group in `groups`, after all columns were filled for it; `snapshot` is the one it is of."""
        if not self._group_of[assets].all():
            with self._filling:
                for asset in assets[self._group_of[assets] == _UNKNOWN].tolist():
                    self._fill(asset, snapshot)
        found: Ints = self._group_of[assets]
        return found

    def describe(self, securable: Securable, snapshot: Snapshot, file_path: str = "") -> Described:
        """How a securable is shown, or a file in it where it is a volume and the path in it is said."""
        name = securable.name
        if KINDS[securable.kind].name_parts > 1:
            parent_id = securable.parent_id or ""
            prefix = self._prefixes.get(parent_id)
            if prefix is None:
                prefix = self._prefixes[parent_id] = f"{snapshot.full_name(parent_id)}."
            name = prefix + name
        if securable.kind == VOLUME:
            return Described(volume_path(name, file_path), PATH if file_path else VOLUME, "", dropped=False)
        return Described(name, securable.kind, "", securable.kind == "DELETED_TABLE")

    def _fill(self, asset: int, snapshot: Snapshot) -> None:
        node = self._nodes.get(asset)
        group = ALONE
        if node is not None:
            securable = self._securables.get(node.securable_id or "")
            shown = (
                _last_known(node) if securable is None else self.describe(securable, snapshot, node.file_path)
            )
            self.names[asset], self.kinds[asset], self.namespaces[asset], self.dropped[asset] = shown
            if securable is not None:
                group = self._number(node.metastore_id, securable)
        # Last: whoever finds a group finds the other columns too.
        self._group_of[asset] = group

    def _number(self, metastore_id: str, securable: Securable) -> int:
        """The number of its group. What was deleted is seen by other rules than its siblings."""
        if securable.parent_id is None or securable.kind == "DELETED_TABLE":
            return ALONE
        key = Group(metastore_id, securable.parent_id, securable.kind, "")
        number = self._numbers.get(key)
        if number is None:
            self.groups.append(key._replace(example_id=securable.id))
            number = self._numbers[key] = len(self.groups) - 1
        return number


def _last_known(node: Node) -> Described:
    if node.of_volume:
        said = storage_url(AssetName(node.kind, node.namespace, node.name)) or node.name
        return Described(said, PATH if node.file_path else VOLUME, "", dropped=True)
    if node.securable_id is not None:
        return Described(node.name, "TABLE", "", dropped=True)
    return Described(node.name, node.kind.value, node.namespace, node.dropped)
