"""Which names meant the same dataset, and from when to when: told by links, drops, renames and securables, never by arrival.

Names that are linked are one asset. A drop ends it and a rename moves it, after which its names mean something else; so a
name has one incarnation after another, and an event belongs to that of its own time (reference/lineage.md 5).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from lakewarden_server.lineage.names import AssetKind, AssetName
from lakewarden_server.lineage.statements import Ending

BEGINNING: Final = -1
"""Before all times."""
FOREVER: Final = 2**62


class LinkSpan(NamedTuple):
    """Two names that were said to be one dataset's, first and last at these times."""

    one: AssetName
    other: AssetName
    first_time: int
    last_time: int
    binds: bool = True
    """Whether it may make a name a securable's."""


class Alias(NamedTuple):
    """A name meant this asset after one microsecond and until another, that one included."""

    name: AssetName
    after: int
    until: int


class Asset(NamedTuple):
    """One incarnation of a dataset: what it was called when. `end_time` is FOREVER unless nothing means it any more."""

    aliases: tuple[Alias, ...]
    end_time: int
    securable: AssetName | None
    """What stands for the securable, or the file of a volume, that it is."""

    @property
    def securable_id(self) -> str | None:
        """The id of the securable that it is or is a file of."""
        return self.securable.name if self.securable else None


def assets(names: Iterable[AssetName], links: Iterable[LinkSpan], endings: Iterable[Ending]) -> list[Asset]:
    """The assets that these names meant, in order. `names` must hold every name that links and endings speak of.

    A link holds from its first to its last mention. Securables are never united: of two, a name means first the one, then the
    other, from when it was first said to be that one's; and no drop that an engine reports ends what the catalog has. Links that
    do not bind come last, and neither they nor what they united become a securable's.
    """
    sweep = _Sweep(sorted(set(names)), sorted(links), list(endings))
    return sweep.run()


class _Sweep:
    """Goes through time once. A token stands for an asset; every name holds one at each time."""

    def __init__(self, names: list[AssetName], links: list[LinkSpan], endings: list[Ending]) -> None:
        self._names = names
        # Bindings first, then what may bind: what they unite decides what may still be united.
        self._links = sorted(links, key=lambda link: (_bound(link) is None, not link.binds, link))
        self._endings = endings
        self._held: dict[AssetName, int] = {}
        self._merged: list[int] = []
        self._closed: list[tuple[int, Alias]] = []
        self._since = dict.fromkeys(names, BEGINNING)
        self._securables: dict[int, AssetName] = {}
        self._loose: set[int] = set()
        """What a link united that does not bind."""
        self._rebound = self._rebindings()

    def run(self) -> list[Asset]:
        for name in self._names:
            self._held[name] = self._token()
            if name.kind is AssetKind.SECURABLE:
                self._securables[self._held[name]] = name
        cuts = sorted({ending.time for ending in self._endings} | {time for _name, time in self._rebound})
        before = BEGINNING
        for time in cuts:
            self._unite(before, time)
            self._cut(time)
            before = time
        self._unite(before, FOREVER)
        for name in self._names:
            self._close(name, FOREVER)
        return self._assets()

    def _rebindings(self) -> set[tuple[AssetName, int]]:
        """When a name began to mean another securable: the microsecond before it was first said to."""
        firsts: dict[AssetName, list[int]] = {}
        for link in self._links:
            if (name := _bound(link)) is not None:
                firsts.setdefault(name, []).append(link.first_time)
        return {(name, time - 1) for name, times in firsts.items() for time in sorted(times)[1:]}

    def _token(self) -> int:
        self._merged.append(len(self._merged))
        return len(self._merged) - 1

    def _find(self, token: int) -> int:
        while self._merged[token] != token:
            self._merged[token] = self._merged[self._merged[token]]
            token = self._merged[token]
        return token

    def _holder(self, name: AssetName) -> int:
        return self._find(self._held[name])

    def _unite(self, after: int, until: int) -> None:
        """Unites what was linked in a span without cuts."""
        current = self._current_bindings(until)
        for link in self._links:
            if link.first_time > until or link.last_time <= after:
                continue
            name = _bound(link)
            if name is not None and current.get(name) != link:
                continue
            one, other = self._holder(link.one), self._holder(link.other)
            known = {self._securables[token] for token in {one, other} if token in self._securables}
            is_loose = not link.binds or not self._loose.isdisjoint((one, other))
            if one == other or len(known) > 1 or (known and is_loose):
                continue
            kept, gone = min(one, other), max(one, other)
            if is_loose:
                self._loose.add(kept)
            self._merged[gone] = kept
            if known:
                self._securables[kept] = known.pop()

    def _current_bindings(self, until: int) -> dict[AssetName, LinkSpan]:
        """Of each name that is bound, the latest binding that began by then."""
        found: dict[AssetName, LinkSpan] = {}
        for link in sorted(self._links, key=lambda link: (link.first_time, link)):
            name = _bound(link)
            if name is not None and link.first_time <= until:
                found[name] = link
        return found

    def _cut(self, time: int) -> None:
        for name in sorted(name for name, at in self._rebound if at == time):
            self._release([name], time)
        # Renames first: what is dropped in the same microsecond is what had the name before.
        for ending in sorted(
            (ending for ending in self._endings if ending.time == time),
            key=lambda ending: (ending.renamed_to is None, ending.name, ending.renamed_to or ending.name),
        ):
            if ending.renamed_to is None:
                self._release(self._together(ending.name), time)
            else:
                self._rename(ending.name, ending.renamed_to, time)

    def _rename(self, old: AssetName, new: AssetName, time: int) -> None:
        moved = self._holder(old)
        if self._holder(new) == moved:
            self._release([old], time)
            return
        followers = self._together(new)
        self._release(self._together(old), time)
        for name in followers:
            self._close(name, time)
            self._held[name], self._since[name] = moved, time

    def _together(self, name: AssetName) -> list[AssetName]:
        """The names that mean what this one means; a securable keeps its own asset."""
        token = self._holder(name)
        return [
            other
            for other in self._names
            if other.kind is not AssetKind.SECURABLE and self._holder(other) == token
        ]

    def _release(self, names: list[AssetName], time: int) -> None:
        for name in names:
            if self._since[name] < time:
                self._close(name, time)
                self._held[name], self._since[name] = self._token(), time

    def _close(self, name: AssetName, time: int) -> None:
        if self._since[name] < time:
            self._closed.append((self._held[name], Alias(name, self._since[name], time)))

    def _assets(self) -> list[Asset]:
        by_token: dict[int, list[Alias]] = {}
        for token, alias in self._closed:
            by_token.setdefault(self._find(token), []).append(alias)
        found = []
        for token, aliases in by_token.items():
            end = max(alias.until for alias in aliases)
            found.append(Asset(_joined(aliases), end, self._securables.get(token)))
        return sorted(found)


def _joined(aliases: list[Alias]) -> tuple[Alias, ...]:
    """In order, and where a name goes on to mean the same, once."""
    found: list[Alias] = []
    for alias in sorted(aliases):
        if found and found[-1].name == alias.name and found[-1].until >= alias.after:
            found[-1] = found[-1]._replace(until=max(found[-1].until, alias.until))
        else:
            found.append(alias)
    return tuple(found)


def _bound(link: LinkSpan) -> AssetName | None:
    """The name a link binds to a securable; None of a link between names."""
    if link.one.kind is AssetKind.SECURABLE:
        return link.other
    return link.one if link.other.kind is AssetKind.SECURABLE else None
