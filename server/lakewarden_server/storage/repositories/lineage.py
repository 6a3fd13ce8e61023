"""The rows of lineage, read and written many at once in one transaction that holds lineage's own head.

The authorization head, the change log and the audit chain are never touched: no decision waits for lineage or catches up with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from math import inf
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    Connection,
    Select,
    and_,
    bindparam,
    case,
    delete,
    func,
    or_,
    select,
    true,
    tuple_,
    union_all,
    update,
)

from lakewarden_server.core.clock import monotonic
from lakewarden_server.entities import (
    Base,
    LineageChange,
    LineageContribution,
    LineageEdge,
    LineageEnding,
    LineageHead,
    LineageLink,
    LineageMention,
    LineageName,
    LineageRun,
)
from lakewarden_server.storage.errors import deadline_passed
from lakewarden_server.storage.repositories.prepared import (
    AMONG,
    array,
    run,
    select_among,
    select_tuples,
    tuples,
    upsert,
)

BATCH: Final = 400
"""Values in one statement; SQLite bounds the parameters of a statement."""
ARRAY: Final = 2_000
"""Values in one array."""
ROWS_DELETED: Final = 200
ROWS_WRITTEN: Final = 2_000
SPANS: Final = 100
"""Conditions of one statement."""

_ENDS: Final = ("source_id", "target_id", "job_id")
_HEAD: Final[Any] = LineageHead.__table__
_head: Final = _HEAD.c
_IDS: Final = ("name_id", "job_id", "run_id", "asset_id", "edge_id")
_TAKE: Final = (
    update(_HEAD)
    .where(_head.id == 1)
    .values(sequence=_head.sequence + 1)
    .returning(_head.sequence, _head.bound_revision, *(_head[name] for name in _IDS))
)
_KEEP_IDS: Final = (
    update(_HEAD).where(_head.id == 1).values({name: bindparam(name) for name in (*_IDS, "bound_revision")})
)


class Summary(NamedTuple):
    """What the contributions to an edge that are worth the same say together."""

    live: bool
    first_time: int
    last_time: int
    since: int
    run_count: int
    defines: bool
    """Whether each of them is a definition of the target."""


class LineageStore:
    """Rows of lineage within one transaction. `take` comes before anything that writes."""

    def __init__(self, connection: Connection, *, deadline: float = inf) -> None:
        """After `deadline`, in monotonic seconds, what is still to be read or written raises DeadlineExceeded."""
        self._connection = connection
        self._deadline = deadline
        self.sequence = 0
        self._position = 0
        """Of the last change told in this transaction, which several calls may share."""
        self._ids: dict[str, int] = {}
        self.bound_revision = 0
        """Names of what was registered in the catalog until then are bound; `keep_ids` writes it."""

    def take(self) -> None:
        """Takes the head's lock and its next sequence in one statement: sequence order is commit order."""
        (row,) = run(self._connection, _TAKE, {})
        self.sequence, self.bound_revision = row.sequence, row.bound_revision
        self._ids = {name: getattr(row, name) for name in _IDS}

    def new_id(self, kind: str) -> int:
        """The next dense id of a kind: `name_id`, `job_id`, `run_id`, `asset_id` or `edge_id`."""
        self._ids[kind] += 1
        return self._ids[kind]

    def tell(self, *, assets: Sequence[Mapping[str, Any]] = (), edges: Sequence[Mapping[str, Any]]) -> None:
        """Writes that these are the rows of assets and edges now, for whoever keeps the graph in memory."""
        changes: list[tuple[Any, ...]] = [("ASSET", None, row["id"], None, row["state"]) for row in assets]
        changes += [("EDGE", row["id"], row["source_id"], row["target_id"], row["state"]) for row in edges]
        names = ("kind", "edge_id", "source_asset_id", "target_asset_id", "state")
        rows = [
            {"sequence": self.sequence, "position": position, **dict(zip(names, change, strict=True))}
            for position, change in enumerate(changes, self._position + 1)
        ]
        self._position += len(rows)
        self.put(LineageChange, rows)

    def keep_ids(self) -> None:
        """Writes which ids were given away, and up to where names are bound; before COMMIT."""
        run(self._connection, _KEEP_IDS, {**self._ids, "bound_revision": self.bound_revision})

    def find(
        self,
        entity: type[Base],
        column: str,
        values: Collection[Any],
        *,
        only: Sequence[str] = (),
        **where: Any,
    ) -> list[Any]:
        """The rows whose column has one of the values, and whose other columns are as given; `only` some columns of them."""
        found: list[Any] = []
        if not values:
            return found
        dialect = self._connection.dialect.name
        statement = select_among(entity, dialect, column, tuple(only), tuple(where))
        for batch in batches(values, ARRAY):
            self._check_deadline()
            found += run(self._connection, statement, {AMONG: array(dialect, batch), **where})
        return found

    def all(self, entity: type[Base], **where: Any) -> Iterator[Any]:
        """Every row, for an export."""
        table = entity.__table__
        statement = select(table).where(*(table.c[name] == value for name, value in where.items()))
        yield from self._connection.execute(statement, execution_options={"yield_per": 1_000})

    def count(self, entity: type[Base], **where: Any) -> int:
        """How many rows have these columns."""
        table = entity.__table__
        conditions = [table.c[name] == value for name, value in where.items()]
        return self._connection.execute(
            select(func.count()).select_from(table).where(*conditions)
        ).scalar_one()

    def put(self, entity: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
        """Inserts rows, or replaces those with their primary keys."""
        for batch in batches(rows, ROWS_WRITTEN):
            self._check_deadline()
            upsert(self._connection, entity, batch)

    def remove(self, entity: type[Base], keys: Collection[tuple[Any, ...]]) -> None:
        """Deletes rows by their primary keys."""
        if not keys:
            return
        table: Any = entity.__table__
        columns = tuple_(*table.primary_key.columns)
        for batch in batches(keys, ROWS_DELETED):
            self._check_deadline()
            self._connection.execute(delete(table).where(columns.in_(batch)))

    def _check_deadline(self) -> None:
        if monotonic() > self._deadline:
            raise deadline_passed()

    def connected(self, name_ids: Collection[int]) -> set[int]:
        """These names and all that links and renames lead to from them, however many steps away."""
        reached = _connected(self._connection.dialect.name)
        found: set[int] = set()
        for batch in batches(name_ids, BATCH):
            self._check_deadline()
            found |= set(self._connection.execute(reached, {"ids": batch}).scalars())
        return found

    def links_of(self, name_ids: Collection[int]) -> list[Any]:
        """The links that one of the names takes part in."""
        found = [*self.find(LineageLink, "one_id", name_ids), *self.find(LineageLink, "other_id", name_ids)]
        return list({(row.one_id, row.other_id, row.binds): row for row in found}.values())

    def endings_of(self, name_ids: Collection[int]) -> list[Any]:
        """The endings that one of the names takes part in."""
        found = [
            *self.find(LineageEnding, "name_id", name_ids),
            *self.find(LineageEnding, "renamed_to_id", name_ids),
        ]
        return list({(row.run_id, row.name_id, row.renamed_to_id): row for row in found}.values())

    def contributions_in(self, spans: Collection[tuple[int, int, int]]) -> list[Any]:
        """What runs say of names as they were meant after one time and until another: (name, after, until)."""
        table = LineageContribution.__table__
        found: list[Any] = []
        for batch in batches(spans, SPANS):
            self._check_deadline()
            for name, time in (("source_name_id", "source_time"), ("target_name_id", "target_time")):
                meant = [
                    and_(table.c[name] == name_id, table.c[time] > after, table.c[time] <= until)
                    for name_id, after, until in batch
                ]
                found += self._connection.execute(select(table).where(or_(*meant))).all()
        return list({(row.run_id, row.source_name_id, row.target_name_id): row for row in found}.values())

    def mentioned(self, spans: Collection[tuple[int, int, int]]) -> set[tuple[int, int, int]]:
        """Of (name, after, until), those in which some run speaks of the name."""
        table = LineageMention.__table__.c
        return {
            (name_id, after, until)
            for name_id, after, until in spans
            if self._connection.execute(
                select(table.run_id)
                .where(table.name_id == name_id, table.time > after, table.time <= until)
                .limit(1)
            ).first()
        }

    def edges_between(self, ends: Collection[tuple[int, int, int]]) -> list[Any]:
        """The edges of (source, target, job)."""
        dialect = self._connection.dialect.name
        statement = select_tuples(LineageEdge, dialect, _ENDS)
        found: list[Any] = []
        for batch in batches(ends, ARRAY):
            self._check_deadline()
            found += run(self._connection, statement, tuples(dialect, _ENDS, batch))
        return found

    def edges_at(self, asset_ids: Collection[int]) -> list[Any]:
        """The edges from or to one of the assets."""
        found = [
            *self.find(LineageEdge, "source_id", asset_ids),
            *self.find(LineageEdge, "target_id", asset_ids),
        ]
        return list({row.id: row for row in found}.values())

    def summaries(self, edge_ids: Collection[int]) -> dict[int, Summary]:
        """Of each edge that has any contribution, those of its runs that count: the live ones, or where there are none, the others."""
        found: dict[int, Summary] = {}
        for batch in batches(edge_ids, BATCH):
            for edge_id, *said in self._connection.execute(_summed(batch)):
                if edge_id not in found or said[0]:
                    found[edge_id] = Summary(*said)._replace(defines=bool(said[-1]))
        return found

    def newest_mappings(self, edge_ids: Collection[int]) -> dict[int, list[str]]:
        """Of each edge the hashes of what its newest run says, a live one before any other."""
        found: dict[int, list[str]] = defaultdict(list)
        for batch in batches(edge_ids, BATCH):
            for edge_id, mapping_hash in self._connection.execute(_newest(batch)):
                found[edge_id].append(mapping_hash)
        return {edge_id: sorted(set(hashes)) for edge_id, hashes in found.items()}

    def said_since(self, times: Mapping[int, int]) -> list[Any]:
        """What live runs have said of edges since a time of each, in order: edge, run, since when, mapping, whether it defines, whose the run is."""
        contribution, run = LineageContribution.__table__.c, LineageRun.__table__.c
        found: list[Any] = []
        for batch in batches(times, BATCH):
            since = min(times[edge_id] for edge_id in batch)
            statement = (
                select(
                    contribution.edge_id,
                    contribution.run_id,
                    contribution.since,
                    contribution.first_since,
                    contribution.mapping_hash,
                    contribution.defines,
                    run.workspace_id,
                    run.principal_id,
                )
                .join_from(LineageContribution, LineageRun, run.id == contribution.run_id)
                .where(contribution.edge_id.in_(batch), contribution.live, contribution.since >= since)
                .order_by(contribution.since, run.key, run.workspace_id, run.principal_id)
            )
            rows = self._connection.execute(statement)
            found += [row for row in rows if row.since >= times[row.edge_id]]
        return found

    def rows(self, statement: Select[Any]) -> list[Any]:
        """What a statement of few rows finds, within the deadline."""
        self._check_deadline()
        return list(self._connection.execute(statement).all())

    def rows_among(self, prepared: Callable[[str], Select[Any]], values: Collection[Any]) -> list[Any]:
        """What a statement, prepared by dialect, finds of any number of values."""
        dialect = self._connection.dialect.name
        found: list[Any] = []
        for batch in batches(values, ARRAY):
            self._check_deadline()
            found += run(self._connection, prepared(dialect), {AMONG: array(dialect, batch)})
        return found


def values_of(row: Any) -> dict[str, Any]:
    """A row's values by column: a quarter of the time of `dict(row._mapping)`."""
    return dict(zip(row._fields, row, strict=True))


@cache
def _connected(dialect: str) -> Select[Any]:
    """The ids that links and renames lead to from `ids`: one statement, where a chain of names would be as many as it is long."""
    link, ending, name = LineageLink.__table__.c, LineageEnding.__table__.c, LineageName.__table__.c
    reached = (
        select(name.id).where(name.id.in_(bindparam("ids", expanding=True))).cte("reached", recursive=True)
    )
    steps = [
        select(far.label("id")).where(near == reached.c.id, far != 0)
        for near, far in (
            (link.one_id, link.other_id),
            (link.other_id, link.one_id),
            (ending.name_id, ending.renamed_to_id),
            (ending.renamed_to_id, ending.name_id),
        )
    ]
    if dialect == "postgresql":
        # It lets the recursion be spoken of once only.
        ahead = union_all(*(step.correlate(reached) for step in steps)).lateral("ahead")
        steps = [select(ahead.c.id).select_from(reached.join(ahead, true()))]
    return select(reached.union(*steps).c.id)


def _summed(edge_ids: Sequence[int]) -> Select[Any]:
    """The columns of `Summary` of each edge; a run that says it of several names is counted once."""
    said, run = LineageContribution.__table__.c, LineageRun.__table__.c
    key = (said.edge_id, said.live, said.run_id)
    least = [func.min(said.first_time), func.max(said.last_time), func.max(said.since)]
    defines = func.min(case((said.defines, 1), else_=0)).label("defines")
    named = [column.label(name) for column, name in zip(least, ("first", "last", "since"), strict=True)]
    by_run = select(*key, *named, defines).where(said.edge_id.in_(edge_ids)).group_by(*key).subquery().c
    of_edge = (by_run.edge_id, by_run.live)
    return (
        select(
            *of_edge,
            func.min(by_run.first),
            func.max(by_run.last),
            func.max(by_run.since),
            func.sum(run.run_count),
            func.min(by_run.defines),
        )
        .join(LineageRun, run.id == by_run.run_id)
        .group_by(*of_edge)
    )


def _newest(edge_ids: Sequence[int]) -> Select[Any]:
    contribution, run = LineageContribution.__table__.c, LineageRun.__table__.c
    # By the key and not the id of a run: which of two came first must not matter. Keys are equal in two workspaces or of two
    # principals only.
    order = (
        contribution.live.desc(),
        contribution.since.desc(),
        run.key.desc(),
        run.workspace_id,
        run.principal_id,
    )
    ranked = (
        select(
            contribution.edge_id,
            contribution.mapping_hash,
            func.rank().over(partition_by=contribution.edge_id, order_by=order).label("place"),
        )
        .join_from(LineageContribution, LineageRun, run.id == contribution.run_id)
        .where(contribution.edge_id.in_(edge_ids))
        .subquery()
    )
    return select(ranked.c.edge_id, ranked.c.mapping_hash).where(ranked.c.place == 1)


def batches(values: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """The values in order, at most so many at a time."""
    listed = list(values)
    for start in range(0, len(listed), size):
        yield listed[start : start + size]
