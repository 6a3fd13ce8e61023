"""What is known while one statement is bound: the catalog's tables, leaves by number, and what stayed unresolved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect

from lakewarden_server.lineage.sql.relations import Frame, Output, Place, Relation, Rest, folded
from lakewarden_server.lineage.sql.strengths import EMPTY, IDENTITY, TRANSFORMATION, UNKNOWN, Deps, used
from lakewarden_server.lineage.sql.traced import (
    UNRESOLVED_MAX,
    ColumnsOf,
    Path,
    Reason,
    Source,
    TableName,
)

NO_NAMES: Final[Mapping[str, Deps]] = {}
_NOT_KNOWN: Final[Deps] = {UNKNOWN: IDENTITY}


class Unsupported(Exception):
    """A part of the statement is of a kind that is not followed."""


class Binding:
    """The state of one statement. `query` binds a query in a frame; it is given because expressions hold queries and those expressions."""

    def __init__(
        self,
        dialect: Dialect,
        columns_of: ColumnsOf,
        defaults: tuple[str, str],
        query: Callable[[Binding, Any, Frame], Relation],
    ) -> None:
        self.dialect = dialect
        self.leaves: list[tuple[Source, str]] = []
        self.reasons: set[Reason] = set()
        self.unresolved: dict[str, None] = {}
        self._columns_of = columns_of
        self._defaults = defaults
        self._query = query
        self._numbers: dict[tuple[Source, str], int] = {}
        self._tables: dict[Source, Relation] = {}
        self._exact: dict[tuple[str, bool], str] = {}

    def query(self, node: Any, frame: Frame) -> Relation:
        """The relation of a query. Raises Unsupported."""
        return self._query(self, node, frame)

    def leaf(self, source: Source, column: str) -> int:
        """The number of a column of a source."""
        key = (source, column)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.leaves)
            self.leaves.append(key)
        return number

    def exact(self, identifier: Any) -> str:
        """A name as the dialect compares it."""
        key = (identifier.name, bool(identifier.args.get("quoted")))
        known = self._exact.get(key)
        if known is None:
            plain = exp.Identifier(this=key[0], quoted=key[1])
            known = self._exact[key] = str(self.dialect.normalize_identifier(plain).name)
        return known

    def named(self, identifier: Any) -> tuple[str, str]:
        """A name as shown and as compared."""
        return str(identifier.name), self.exact(identifier)

    def leave_out(self, reason: Reason, name: str = "") -> Deps:
        """Notes what cannot be said, and gives it as a dependency."""
        self.reasons.add(reason)
        if name and len(self.unresolved) < UNRESOLVED_MAX:
            self.unresolved[name] = None
        return _NOT_KNOWN

    def table_name(self, parts: Sequence[str]) -> TableName:
        """A name of one to three parts in full."""
        catalog, schema, name = [*self._defaults[: 3 - len(parts)], *parts]
        return TableName(folded(catalog), folded(schema), folded(name))

    def columns_of(self, source: Source) -> Sequence[str] | None:
        """The columns of a source in order, as the catalog spells them; None where it does not know."""
        return self._columns_of(source)

    def table(self, source: Source) -> Relation:
        """The relation of a table or of files."""
        relation = self._tables.get(source)
        if relation is None:
            relation = self._tables[source] = self._table(source)
        return relation

    def _table(self, source: Source) -> Relation:
        columns = self.columns_of(source)
        reads = {source: None}
        if columns is not None:
            outputs = [Output(name, name, {self.leaf(source, name): IDENTITY}) for name in columns]
            return Relation(outputs, reads=reads)
        rest = Rest(source) if isinstance(source, Path) else Rest()
        return Relation([], reads=reads, rest=rest, cut=0)

    def column(self, node: Any, frame: Frame, names: Mapping[str, Deps] = NO_NAMES) -> Deps:
        """What a column depends on; nothing, and a reason, where that is not known. `names` come before what is in sight."""
        parts = [part for key in ("catalog", "db", "table", "this") if (part := node.args.get(key))]
        if isinstance(node.this, exp.Star):
            return self._row_of(parts[:-1], frame)
        if len(parts) == 1:
            named = names.get(folded(node.name))
            found = self._plain(parts[0], frame) if named is None else named
        else:
            found = self._qualified(parts, frame)
        if found is None:
            return self.leave_out(Reason.COLUMN_UNKNOWN, node.name)
        return found

    def in_sight(self, identifier: Any, frame: Frame) -> Deps:
        """What a name depends on if it is that of a column in sight, else nothing."""
        outputs = frame.holders(folded(identifier.name), self.exact(identifier))
        return outputs[0].deps if len(outputs) == 1 else EMPTY

    def _row_of(self, parts: Sequence[Any], frame: Frame) -> Deps:
        place = self.place(parts, frame)
        return place.relation.row() if place else self.leave_out(Reason.COLUMNS_UNKNOWN)

    def place(self, parts: Sequence[Any], frame: Frame) -> Place | None:
        """The place that a qualifier means, the innermost."""
        for level in frame.levels():
            found = self._places(parts, level)
            if found:
                return found[0]
        return None

    def _places(self, parts: Sequence[Any], level: Frame) -> list[Place]:
        keys = tuple(folded(part.name) for part in parts)
        if len(keys) == 1:
            return level.aliased(keys[0])
        return [place for place in level.visible if place.parts and place.parts[-len(keys) :] == keys]

    def _qualified(self, parts: Sequence[Any], frame: Frame) -> Deps | None:
        """`t.c`, `s.t.c`, or a field of a struct: `c.field`, `t.c.field`."""
        for level in frame.levels():
            for count in range(len(parts) - 1, 0, -1):
                found = self._in_places(self._places(parts[:count], level), parts[count])
                if found is not None:
                    return found if count == len(parts) - 1 else used(found, TRANSFORMATION)
            outputs = level.holders(folded(parts[0].name), self.exact(parts[0]))
            if len(outputs) == 1:
                return used(outputs[0].deps, TRANSFORMATION)
        return None

    def _in_places(self, places: Sequence[Place], identifier: Any) -> Deps | None:
        key, exact = folded(identifier.name), self.exact(identifier)
        found = [output for place in places for output in place.relation.named(key, exact)]
        if len(found) == 1:
            return found[0].deps
        if found:
            return self.leave_out(Reason.COLUMN_AMBIGUOUS, identifier.name)
        rests = [place.relation.rest for place in places if place.relation.rest is not None]
        return self.of_rest(rests[0], identifier) if len(rests) == 1 else None

    def of_rest(self, rest: Rest, identifier: Any) -> Deps:
        """A column that is not among the known ones of a relation which has more."""
        if rest.deps is not None:
            return rest.deps
        if rest.source is not None:
            return {self.leaf(rest.source, str(identifier.name)): IDENTITY}
        return self.leave_out(Reason.TABLE_UNKNOWN, identifier.name)

    def _plain(self, identifier: Any, frame: Frame) -> Deps | None:
        key, exact = folded(identifier.name), self.exact(identifier)
        for level in frame.levels():
            if key in level.merged:
                return level.merged[key].deps
            found = level.holders(key, exact)
            if len(found) == 1:
                return found[0].deps
            if found:
                return self.leave_out(Reason.COLUMN_AMBIGUOUS, identifier.name)
            if level is frame and key in level.aliases:
                return level.aliases[key]
            rows = level.aliased(key)
            if len(rows) == 1:
                return used(rows[0].relation.row(), TRANSFORMATION)
            beyond = self._beyond(identifier, level)
            if beyond is not None:
                return beyond
        return None

    def _beyond(self, identifier: Any, level: Frame) -> Deps | None:
        """A column that no known one of a level is: of the relation with unknown ones, unless others may have it too."""
        rests = [place.relation.rest for place in level.visible if place.relation.rest is not None]
        key, exact = folded(identifier.name), self.exact(identifier)
        around = [outer for outer in level.levels() if outer is not level and outer.holders(key, exact)]
        if not rests or (around and all(rest.deps is not None for rest in rests)):
            return None
        if len(rests) > 1 or around:
            return self.leave_out(Reason.COLUMN_AMBIGUOUS, identifier.name)
        return self.of_rest(rests[0], identifier)
