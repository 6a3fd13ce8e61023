"""Keeps in the tables which asset each name meant when: names get ids here, and assets their rows.

Only what a transaction's events changed is gone through again: the names they link, end or speak of first, with all that these
are linked to. What comes out is that of `identities.assets`, whatever was stored before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from lakewarden_server.entities import (
    LineageAlias,
    LineageAsset,
    LineageEnding,
    LineageLink,
    LineageMention,
    LineageName,
)
from lakewarden_server.lineage.components import Component, check_together, components
from lakewarden_server.lineage.identities import BEGINNING, FOREVER, Asset
from lakewarden_server.lineage.names import (
    AssetKind,
    AssetName,
    found_by,
    name_digest,
)
from lakewarden_server.lineage.spans import Moved, Span, moved, names_by_asset
from lakewarden_server.lineage.statements import Ending, Link
from lakewarden_server.storage.repositories.lineage import LineageStore, values_of

_KNOWN_BY: Final = ("id", "digest", "principal_id", "catalog_digest", "location")
"""What is read of a name whose text is known."""


class Places:
    """Names, aliases and assets of one metastore, as one transaction sees and changes them.

    Who first tells of a name keeps it: another may speak of it, but not end what it means. A metastore's names are many
    programs', and only the order in which they came says whose a name is, as times are whatever an event says.
    """

    def __init__(self, store: LineageStore, metastore_id: str, principal_id: str) -> None:
        """`principal_id` is who tells."""
        self._store = store
        self._metastore_id = metastore_id
        self._principal_id = principal_id
        self._principals: dict[int, str] = {}
        self._ids: dict[AssetName, int] = {}
        self._names: dict[int, AssetName] = {}
        self._spans: dict[int, list[Span]] = {}
        self._dirty: set[int] = set()
        self._gone: set[tuple[int, int]] = set()
        self._new: dict[tuple[int, int], Span] = {}
        """Aliases to be written, by name and the time after which they hold."""
        self._grown: set[int] = set()
        """Names that this transaction links or ends."""
        self._placed: dict[int, Any] = {}
        """The assets as they were that names of this transaction meant; below, which of them go on, and what each went into."""
        self._taken: set[int] = set()
        self._heirs: dict[int, int] = {}
        self._mentioned: set[int] = set()
        """Names that an event of this transaction speaks of."""
        self.moved: set[Moved] = set()
        """When names do not mean the asset any more that they meant."""
        self.ended: set[int] = set()
        """Assets that are there no more, or again, or until another time."""
        self.changed: dict[int, dict[str, Any]] = {}
        """The rows of assets that are new or not as they were."""

    def learn(self, names: Collection[AssetName]) -> None:
        """Gives every name an id; call it before any other method speaks of the names."""
        digests = {name_digest(name): name for name in names if name not in self._ids}
        for row in self._store.find(
            LineageName, "digest", digests, only=_KNOWN_BY, metastore_id=self._metastore_id
        ):
            name = digests.pop(row.digest)
            self._know(row.id, name, row.principal_id)
            keys = found_by(name)
            if (row.catalog_digest, row.location) != tuple(keys.values()):
                # Told to a server of before migration 0023 or 0024.
                self._store.put(LineageName, [self._row(row.id, name, row.digest, row.principal_id)])
        new = []
        for digest, name in sorted(digests.items()):
            name_id = self._store.new_id("name_id")
            self._know(name_id, name, self._principal_id)
            self._spans[name_id] = [Span(BEGINNING, FOREVER, None)]
            new.append(self._row(name_id, name, digest, self._principal_id))
        self._store.put(LineageName, new)
        aliases = [
            {"name_id": row["id"], "after": BEGINNING, "until": FOREVER, "asset_id": None} for row in new
        ]
        self._store.put(LineageAlias, aliases)
        self._load([self._ids[name] for name in names])

    def _row(self, name_id: int, name: AssetName, digest: str, principal_id: str) -> dict[str, Any]:
        return {
            "id": name_id,
            "metastore_id": self._metastore_id,
            "digest": digest,
            "kind": name.kind.value,
            "namespace": name.namespace,
            "name": name.name,
            "principal_id": principal_id,
            **found_by(name),
        }

    def id_of(self, name: AssetName) -> int:
        """The id of a name that was learnt."""
        return self._ids[name]

    def asset_at(self, name_id: int, time: int) -> int:
        """The asset a name meant at a time; call it after `settle`, for what some run speaks of."""
        for span in self._spans[name_id]:
            if span.after < time <= span.until and span.asset_id is not None:
                return span.asset_id
        raise LookupError(f"nobody spoke of name {name_id} at {time}")

    def link(self, links: Iterable[Link]) -> None:
        """Widens the spans of links, and notes what that changes.

        One binds if each name is either of the catalog or was told of first by who tells it: else a link to a table of one's
        own would make it one's own what another recorded.
        """
        links = list(links)
        bound = {
            name
            for link in links
            if AssetKind.SECURABLE in (link.one.kind, link.other.kind)
            for name in (link.one, link.other)
        }
        told: dict[tuple[int, int, bool], list[int]] = defaultdict(list)
        for link in links:
            one, other = self._ids[link.one], self._ids[link.other]
            binds = all(
                name in bound or self._principals[self._ids[name]] == self._principal_id
                for name in (link.one, link.other)
            )
            told[one, other, binds].append(link.time)
        known = {
            (row.one_id, row.other_id, row.binds): row
            for row in self._store.find(LineageLink, "one_id", {one for one, _other, _binds in told})
        }
        rows = []
        for (one, other, binds), times in told.items():
            row = known.get((one, other, binds))
            first = min(times)
            if self._names[other].kind is AssetKind.SECURABLE and (row is None or first < row.first_time):
                first = max(first, self._free_after(one, other, known.values()) + 1)
            first, last = min(first, row.first_time) if row else first, max(first, *times)
            last = max(last, row.last_time) if row else last
            if row and (first, last) == (row.first_time, row.last_time):
                continue
            rows.append(
                {
                    "one_id": one,
                    "other_id": other,
                    "binds": binds,
                    "first_time": first,
                    "last_time": last,
                }
            )
            # Of names that have always meant the same, a link says the same whenever it is said.
            if row is None or self._is_cut(one) or self._is_cut(other):
                self._dirty |= {one, other}
                self._grown.add(one)
        self._store.put(LineageLink, rows)

    def _free_after(self, name_id: int, securable_id: int, links: Iterable[Any]) -> int:
        """The last time a name was said to be of another securable, which it was when that was told: no event says that it was another one by then."""
        others = {
            row.other_id: row for row in links if row.one_id == name_id and row.other_id != securable_id
        }
        self.recall(others)
        kinds = {other_id: self._names[other_id].kind for other_id in others}
        bound = [row.last_time for other_id, row in others.items() if kinds[other_id] is AssetKind.SECURABLE]
        return max(bound, default=BEGINNING)

    def end(self, told: Mapping[int, Collection[Ending]], stored: Collection[int]) -> None:
        """The endings each run states now, by its id; others that runs which were `stored` stated before are taken back.

        Those of names that somebody else told of first count for nothing.
        """
        before = {
            (row.run_id, row.name_id, row.renamed_to_id): row.time
            for row in self._store.find(LineageEnding, "run_id", stored)
        }
        now: dict[tuple[int, int, int], int] = {}
        for run_id, endings in told.items():
            for ending in endings:
                name_id = self._ids[ending.name]
                to = self._ids[ending.renamed_to] if ending.renamed_to else 0
                if {self._principals[each] for each in (name_id, to) if each} == {self._principal_id}:
                    now[run_id, name_id, to] = ending.time
        gone = [key for key in before if key not in now]
        new = [key for key in now if before.get(key) != now[key]]
        for _run_id, name_id, renamed_to_id in (*gone, *new):
            self._dirty |= {name_id, renamed_to_id} - {0}
            self._grown.add(name_id)
        self._store.remove(LineageEnding, gone)
        self._store.put(
            LineageEnding,
            [
                {"run_id": run_id, "name_id": name_id, "renamed_to_id": to, "time": now[run_id, name_id, to]}
                for run_id, name_id, to in new
            ],
        )

    def mention(self, told: Mapping[int, Mapping[AssetName, int]], stored: Collection[int]) -> None:
        """Which names each run speaks of, and at which time it means them; which those spoke of that were `stored` is read."""
        before = {
            (row.run_id, row.name_id): row.time for row in self._store.find(LineageMention, "run_id", stored)
        }
        now = {
            (run_id, self._ids[name]): time for run_id, names in told.items() for name, time in names.items()
        }
        gone = [key for key in before if key not in now]
        new = [key for key in now if before.get(key) != now[key]]
        for _run_id, name_id in gone:
            self._dirty.add(name_id)
        for run_id, name_id in new:
            self._mentioned.add(name_id)
            moved = (run_id, name_id) in before and self._is_cut(name_id)
            if moved or self._is_unspoken(name_id, now[run_id, name_id]):
                self._dirty.add(name_id)
        self._store.remove(LineageMention, gone)
        self._store.put(
            LineageMention,
            [{"run_id": key[0], "name_id": key[1], "time": now[key]} for key in new],
        )

    def settle(self) -> None:
        """Goes through the history of every name that was changed, and writes what it means now. Raises EVENT_INVALID where that is too much."""
        found = self._components()
        check_together(found, self._grown, {name_id for name_id in self._names if self._is_own(name_id)})
        # What was one asset may be several: each looks at all the names that it had.
        called = names_by_asset({name_id: self._spans[name_id] for each in found for name_id in each.names})
        for component in found:
            self._place(component.names, component.assets(self._names), called)
        self._merge_the_rest()
        self._write_aliases()
        self._store.put(LineageAsset, list(self.changed.values()))

    def _is_own(self, name_id: int) -> bool:
        return bool(self._principal_id) and self._principals[name_id] == self._principal_id

    def _know(self, name_id: int, name: AssetName, principal_id: str) -> None:
        self._ids[name], self._names[name_id], self._principals[name_id] = name_id, name, principal_id

    def _load(self, name_ids: Collection[int]) -> None:
        wanted = {name_id for name_id in name_ids if name_id not in self._spans}
        for name_id in wanted:
            self._spans[name_id] = []
        for row in self._store.find(LineageAlias, "name_id", wanted):
            self._spans[row.name_id].append(Span(row.after, row.until, row.asset_id))

    def _is_cut(self, name_id: int) -> bool:
        return len(self._spans[name_id]) > 1

    def _is_unspoken(self, name_id: int, time: int) -> bool:
        return any(span.after < time <= span.until and span.asset_id is None for span in self._spans[name_id])

    def _components(self) -> list[Component]:
        """The changed names with all that they have to do with, which is learnt."""
        found = components(self._store, self._dirty)
        self.recall({name_id for component in found for name_id in component.names})
        return found

    def recall(self, name_ids: Collection[int]) -> None:
        """Learns what stored names are and mean, by their ids."""
        unknown = {name_id for name_id in name_ids if name_id not in self._names}
        for row in self._store.find(LineageName, "id", unknown):
            self._know(row.id, AssetName(AssetKind(row.kind), row.namespace, row.name), row.principal_id)
        self._load(name_ids)

    def _place(
        self, names: list[int], found: list[Asset], called: Mapping[int | None, Collection[int]]
    ) -> None:
        """Writes what the names of one component mean now, keeping the ids of assets wherever they go on; `called` are the names of each before."""
        before = {name_id: self._spans[name_id] for name_id in names}
        known = {span.asset_id for spans in before.values() for span in spans} - {None}
        rows = {row.id: row for row in self._store.find(LineageAsset, "id", known)}
        spoken = self._spoken(found, before)
        self._placed |= rows
        now: dict[int, list[Span]] = {name_id: [] for name_id in names}
        for index, asset in enumerate(found):
            asset_id = None
            if index in spoken:
                overlapping = self._overlapping(asset, before)
                free = [before_id for before_id in overlapping if before_id not in self._taken]
                asset_id = free[0] if free else self._store.new_id("asset_id")
                self._taken.add(asset_id)
                for before_id in overlapping:
                    self._heirs.setdefault(before_id, asset_id)
                self._write_asset(asset_id, asset, rows.get(asset_id), called.get(asset_id, ()))
            for alias in asset.aliases:
                now[self._ids[alias.name]].append(Span(alias.after, alias.until, asset_id))
        self._note_aliases(before, now)

    def _merge_the_rest(self) -> None:
        """Ends the assets that went on in none of the components: what was one may be several now."""
        for before_id in self._placed.keys() - self._taken:
            self.ended.add(before_id)
            row = values_of(self._placed[before_id])
            self.changed[before_id] = row | {"state": "MERGED", "merged_into_id": self._heirs.get(before_id)}

    def _overlapping(self, asset: Asset, before: Mapping[int, list[Span]]) -> list[int]:
        """The ids its names had in its time, the earliest and oldest first."""
        found = {
            (span.after, span.asset_id)
            for alias in asset.aliases
            for span in before[self._ids[alias.name]]
            if span.asset_id is not None and span.after < alias.until and alias.after < span.until
        }
        return list(dict.fromkeys(asset_id for _after, asset_id in sorted(found)))

    def _spoken(self, found: list[Asset], before: Mapping[int, list[Span]]) -> set[int]:
        """Which of the assets some run speaks of."""
        spoken: set[int] = set()
        unsure: dict[tuple[int, int, int], int] = {}
        for index, asset in enumerate(found):
            spans = [(self._ids[alias.name], alias.after, alias.until) for alias in asset.aliases]
            whole = any(
                name_id in self._mentioned and (after, until) == (BEGINNING, FOREVER)
                for name_id, after, until in spans
            )
            if whole:
                spoken.add(index)
            else:
                unsure |= dict.fromkeys(spans, index)
        return spoken | {unsure[span] for span in self._store.mentioned(unsure)}

    def _write_asset(self, asset_id: int, asset: Asset, row: Any, called: Collection[int]) -> None:
        """`called` are the names it had: who sees what is in no catalog hangs on all of them."""
        shown = max(
            asset.aliases, key=lambda alias: (alias.name.kind is not AssetKind.SECURABLE, alias.until)
        ).until
        name = min(
            alias.name
            for alias in asset.aliases
            if alias.until == shown
            and (alias.name.kind is not AssetKind.SECURABLE or len(asset.aliases) == 1)
        )
        written = {
            "id": asset_id,
            "metastore_id": self._metastore_id,
            "kind": name.kind.value,
            "securable_id": asset.securable_id,
            "file_path": asset.securable.namespace if asset.securable else "",
            "state": "LIVE" if asset.end_time == FOREVER else "DROPPED",
            "end_time": asset.end_time,
            "merged_into_id": None,
            "namespace": name.namespace,
            "name": name.name,
            "principal_id": self._recorder_of(asset),
        }
        if row is not None and (row.state, row.end_time) != (written["state"], written["end_time"]):
            self.ended.add(asset_id)
        names = {self._ids[alias.name] for alias in asset.aliases}
        if row is None or written != values_of(row) or (asset.securable is None and names != called):
            self.changed[asset_id] = written

    def _recorder_of(self, asset: Asset) -> str | None:
        """Who told first of every name of an asset; None where that was not one."""
        names = {alias.name for alias in asset.aliases if alias.name.kind is not AssetKind.SECURABLE}
        found = {self._principals[self._ids[name]] for name in names}
        return found.pop() if len(found) == 1 else None

    def _note_aliases(self, before: Mapping[int, list[Span]], now: Mapping[int, list[Span]]) -> None:
        for name_id, spans in now.items():
            spans.sort()
            self._spans[name_id] = spans
            if spans == sorted(before[name_id], key=lambda span: span.after):
                continue
            self.moved |= moved(name_id, before[name_id], spans)
            self._gone |= {(name_id, span.after) for span in before[name_id]}
            self._new |= {(name_id, span.after): span for span in spans}

    def _write_aliases(self) -> None:
        self._store.remove(LineageAlias, self._gone - self._new.keys())
        self._store.put(
            LineageAlias,
            [{"name_id": name_id, **span._asdict()} for (name_id, _after), span in self._new.items()],
        )
        self._gone, self._new = set(), {}
