"""Relations, the frames of names they stand in, and how a name is found there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lakewarden_server.lineage.sql.strengths import EMPTY, Deps, add
from lakewarden_server.lineage.sql.traced import Source


def folded(name: str) -> str:
    """The key of a name in the catalog (`name_key`). ASCII needs no more than lower case, and no policy engine loaded."""
    if name.isascii():
        return name.lower()
    from lakewarden_policy import name_key

    return name_key(name)


class Output(NamedTuple):
    """A column of a relation: its name as shown (empty where it has none), as the dialect compares it, and what it depends on."""

    name: str
    exact: str
    deps: Deps


class Rest(NamedTuple):
    """Columns a relation has beyond those known: of files, as they are written; of a function, made of its arguments; else unknown."""

    source: Source | None = None
    deps: Deps | None = None


@dataclass(slots=True)
class Relation:
    """Rows with columns in order. `whole` is what every column depends on."""

    outputs: Sequence[Output]
    whole: Deps = field(default_factory=dict)
    reads: Mapping[Source, None] = field(default_factory=dict)
    rest: Rest | None = None
    cut: int | None = None
    """The position from which it is not known which columns come; None where all are."""
    _places: dict[str, list[int]] | None = None

    def named(self, key: str, exact: str) -> list[Output]:
        """The columns of a name. Names that differ by case alone are told apart where the dialect does."""
        if self._places is None:
            self._places = {}
            for place, output in enumerate(self.outputs):
                self._places.setdefault(folded(output.name), []).append(place)
        found = [self.outputs[place] for place in self._places.get(key, ())]
        if len(found) > 1:
            found = [output for output in found if output.exact == exact] or found
        return found

    @property
    def known(self) -> Sequence[Output]:
        """The columns whose positions are known."""
        return self.outputs if self.cut is None else self.outputs[: self.cut]

    def row(self) -> Deps:
        """What all of its columns depend on together."""
        deps: Deps = {}
        for output in self.outputs:
            add(deps, output.deps)
        if self.rest is not None and self.rest.deps:
            add(deps, self.rest.deps)
        return deps


@dataclass(slots=True)
class Place:
    """A relation in a FROM: under its alias, or under the parts of its name."""

    alias: str
    relation: Relation
    parts: tuple[str, ...] = ()
    visible: bool = True
    """Not so for the right side of a SEMI or ANTI JOIN, once its ON was read."""


class Frame:
    """The names in sight of one query, and what is collected for it."""

    def __init__(self, parent: Frame | None = None) -> None:
        self.parent = parent
        self.ctes: dict[str, Relation] = parent.ctes if parent else {}
        self.places: list[Place] = []
        self.merged: dict[str, Output] = {}
        """Columns that USING or NATURAL made one of two."""
        self.aliases: dict[str, Deps] = {}
        self.windows: dict[str, Any] = {}
        self.reads: dict[Source, None] = {}
        self.whole: Deps = EMPTY
        self._own = False

    def put(self, place: Place) -> None:
        """Adds a relation."""
        self.places.append(place)
        self.reads.update(place.relation.reads)
        self.depend(place.relation.whole)

    def depend(self, deps: Deps) -> None:
        """Makes the whole depend on what `deps` says; shares it while there is nothing else."""
        if not deps:
            return
        if not self.whole:
            self.whole, self._own = deps, False
        elif deps is not self.whole:
            add(self.collecting(), deps)

    def collecting(self) -> Deps:
        """What the whole depends on, to add to."""
        if not self._own:
            self.whole, self._own = dict(self.whole), True
        return self.whole

    @property
    def visible(self) -> list[Place]:
        """Places that names can mean."""
        return [place for place in self.places if place.visible]

    def levels(self) -> Iterator[Frame]:
        """This frame and those around it, the innermost first."""
        level: Frame | None = self
        while level is not None:
            yield level
            level = level.parent

    def aliased(self, key: str) -> list[Place]:
        """Places of an alias; the last of a name hides none, so that a doubled alias is ambiguous."""
        return [place for place in self.places if place.visible and place.alias == key]

    def holders(self, key: str, exact: str) -> list[Output]:
        """The columns of a name in all visible places."""
        found = [output for place in self.visible for output in place.relation.named(key, exact)]
        if len(found) > 1:
            found = [output for output in found if output.exact == exact] or found
        return found


def renamed(relation: Relation, names: Sequence[tuple[str, str]]) -> Relation:
    """The relation with other names, (shown, exact), for its first columns. A function has the columns it is given names for."""
    if not names:
        return relation
    made = relation.rest.deps if relation.rest is not None else None
    if made is not None:
        return Relation([Output(*name, made) for name in names], relation.whole, relation.reads)
    outputs = list(relation.outputs)
    for place, (name, exact) in enumerate(names[: len(relation.known)]):
        outputs[place] = Output(name, exact, outputs[place].deps)
    return Relation(outputs, relation.whole, relation.reads, relation.rest, relation.cut)


def rest_of(rests: Sequence[Rest]) -> Rest | None:
    """What columns of several relations with unknown ones are: those of the only one, else unknown."""
    if not rests:
        return None
    return rests[0] if all(rest is rests[0] for rest in rests) else Rest()
