"""Persistent maps: a changed one shares with the one it came from all that stayed, so both are good and neither was copied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any


class OpenMaps:
    """Maps by name while they change: plain dicts of a new state, mutations of the maps of an old one."""

    def __init__(
        self, names: Iterable[str], base: Mapping[str, Any] | None, *, watched: Iterable[str] = ()
    ) -> None:
        """Begins empty, or with the maps of ``base``. The ``watched`` ones are changed through `touch` alone."""
        self._is_new = base is None
        self._maps: dict[str, MutableMapping[Any, Any]] = {
            name: {} if base is None else base[name].mutate() for name in names
        }
        self._owned: set[tuple[str, object]] = set()
        self._same: dict[str, Any] = {} if base is None else {name: base[name] for name in watched}

    def touch(self, name: str) -> MutableMapping[Any, Any]:
        """A watched map, to be changed. One that was not stays the very same: what was worked out of it alone is still good."""
        self._same.pop(name, None)
        return self._maps[name]

    def put(self, name: str, key: object, value: Any) -> None:
        """Sets a value in a map, or takes it out; see `put`."""
        put(self._maps[name], key, value)

    def own(self, name: str, key: object) -> dict[Any, Any]:
        """The dict a map has at ``key``, to be changed: a copy where another state has it too, an empty one where there is none."""
        outer = self._maps[name]
        inner: dict[Any, Any] | None = outer.get(key)
        if inner is not None and (self._is_new or (name, key) in self._owned):
            return inner
        inner = outer[key] = dict(inner or ())
        if not self._is_new:
            self._owned.add((name, key))
        return inner

    def gather(self, name: str, key: object, record: Any) -> None:
        """Adds a record to the tuple a map has at ``key``, once more where it is there: two rows may say the same, and one of
        them may go. Sorted, so that a state is the same however it came about.
        """
        self._maps[name][key] = tuple(sorted((*self._maps[name].get(key, ()), record)))

    def scatter(self, name: str, key: object, record: Any) -> None:
        """Takes a record out of the tuple a map has at ``key``, once."""
        left = list(self._maps[name].get(key, ()))
        if record in left:
            left.remove(record)
        self.put(name, key, tuple(left))

    def close(self) -> dict[str, Any]:
        """The persistent maps by name; nothing here may be used after."""
        # Imported here, so that names, kinds and the matrix can be read where only the client is installed.
        from immutables import Map

        return {
            name: Map(opened) if isinstance(opened, dict) else opened.finish()  # type: ignore[attr-defined]
            for name, opened in self._maps.items()
        } | self._same


def put(target: MutableMapping[Any, Any], key: object, value: Any) -> None:
    """Sets a value that says something, takes out one that does not: there is one way to say nothing."""
    if value:
        target[key] = value
    else:
        target.pop(key, None)
