"""Leaks: copies of what is masked, filtered, named or tagged that nothing masks or filters, and who reads them without reading the source as it is.

Told to who may know: the way is one of visible assets (`lineage/leaks.py`), the end one whose grants the caller lists, and
nothing is computed from the grants of a source whose grants it does not list.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple, cast

from lakewarden.v1 import lineage_governance_pb2 as pb
from lakewarden.v1 import lineage_graph_pb2
from lakewarden_policy import Alike, Audience, ColumnMask, RowFilter, Securable, name_key
from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import DeadlineExceeded
from lakewarden_server.lineage.leaks import ANY, Followed, Origin, Spread, Step, overlap
from lakewarden_server.lineage.mapping import WHOLE
from lakewarden_server.services import lineage_tagged, validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.lineage_answers import root_named
from lakewarden_server.services.lineage_columns import said_at
from lakewarden_server.services.lineage_findings import (
    READ,
    Assets,
    columns_of,
    jobs_told,
    readers,
    steps,
)
from lakewarden_server.services.lineage_graph import ANSWER_BYTES_MAX, deadline_of
from lakewarden_server.storage.repositories import columns as column_rows
from lakewarden_server.storage.repositories.lineage_evidence import LineageEvidenceReader

SOURCES_MAX: Final = 1_000
LEAKS_MAX: Final = 1_000
PLACES_MAX: Final = 20_000
"""Columns and tables met downstream of all sources together."""


class _Protected(NamedTuple):
    """A column or table that is followed; the function is None where only the privilege to read it protects it."""

    table: Securable
    column: str
    """As the table spells it; ANY for the rows."""
    function_id: str | None = None
    arguments: tuple[str, ...] = ()

    @property
    def protection(self) -> pb.LineageLeak.Protection.ValueType:
        """What of it protects it."""
        if self.function_id is None:
            return pb.LineageLeak.PRIVILEGE
        return pb.LineageLeak.ROW_FILTER if self.column == ANY else pb.LineageLeak.COLUMN_MASK


class _Copy(NamedTuple):
    """An unprotected copy and the way to it."""

    protected: _Protected
    target: Securable
    way: tuple[Step, ...]
    indirect: bool

    @property
    def column(self) -> str:
        return self.way[-1].place.column

    @property
    def is_of_table(self) -> bool:
        """Only the table is known."""
        return self.column in (ANY, WHOLE)


def find_leaks(
    request: pb.FindLineageLeaksRequest, call: Call, assets: Assets
) -> pb.FindLineageLeaksResponse:
    """Answers FindLineageLeaks. Raises ACCESS_DENIED, NAME_INVALID, FIELD_INVALID."""
    return _Search(request, call, assets).response()


class _Search:
    """One answer."""

    def __init__(self, request: pb.FindLineageLeaksRequest, call: Call, assets: Assets) -> None:
        self._request, self._call, self._assets, self._state = request, call, assets, assets.state
        self._depth_max = steps(request.max_depth)
        self._deadline = deadline_of(call)
        # What is found has to be decided about as well, or an answer that takes long would tell nothing.
        self._follow_until = (monotonic() + self._deadline) / 2
        connection = call.uow.connection
        self._evidence = LineageEvidenceReader(connection)
        self._spread = Spread(
            assets.state.graph,
            assets.sight,
            said_at(call, assets.state),
            label=assets.label,
            places_max=PLACES_MAX,
        )
        self._truncated_by = ""

    def response(self) -> pb.FindLineageLeaksResponse:
        """Follows, decides, tells."""
        copies = self._existing([copy for each in self._sources() for copy in self._copies(each)])
        copies.sort(key=self._order)
        told = list(self._leaks(copies))
        leaks = list(self._with_ways([leak for leak, _ in told], [way for _, way in told]))
        truncated_by = self._truncated_by or self._spread.truncated_by or ""
        return pb.FindLineageLeaksResponse(
            leaks=leaks, truncated_by=truncated_by, revision=self._call.revision
        )

    def _sources(self) -> list[_Protected]:
        """What is followed: what the request names or tags, or every mask and filter on visible tables that lineage knows."""
        validation.repeated(self._request.sources, "sources")
        lineage_tagged.checked(self._request.tags)
        if self._request.sources or self._request.tags:
            named = {(source.table, source.column): source for source in self._request.sources}
            found = [each for source in named.values() for each in self._named(source)]
            found = list(dict.fromkeys([*found, *self._tagged()]))
        else:
            snapshot = self._call.snapshot
            guarded = {*snapshot.column_masks, *snapshot.row_filters}
            known = (each for each in guarded if each in self._state.by_securable)
            tables = [snapshot.securables[each] for each in known if each in snapshot.securables]
            seen = (each for each in tables if self._assets.sight.sees(self._state.by_securable[each.id]))
            ordered = sorted(seen, key=lambda each: snapshot.full_name(each.id))
            found = [protected for table in ordered for protected in self._guarded(table)]
        if len(found) > SOURCES_MAX:
            self._truncated_by = "SOURCES"
        return [each for each in found[:SOURCES_MAX] if each.table.id in self._state.by_securable]

    def _named(self, source: pb.LeakSource) -> Iterable[_Protected]:
        named = lineage_graph_pb2.LineageAsset(table=source.table)
        table = cast(Securable, root_named(named, "sources.table", self._call).meant)
        if not source.column:
            return self._guarded(table)
        # One column, not all of its table: a request can name a thousand.
        name = column_rows.spelled(self._call.uow.session, table.id, name_key(source.column))
        if name is None:
            raise validation.invalid(
                "sources.column", f"{source.table[:100]} has no column {source.column[:100]!r}"
            )
        return [self._as_guarded(table, name)]

    def _tagged(self) -> Iterator[_Protected]:
        """What bears one of the tags, as many as are followed."""
        if not self._request.tags:
            return
        bearing = lineage_tagged.bearing(self._call, self._assets, self._request.tags, self._deadline)
        try:
            for table, column in islice(bearing, SOURCES_MAX + 1):
                yield self._as_guarded(table, column)
        except DeadlineExceeded:
            self._truncated_by = "TIME"

    def _as_guarded(self, table: Securable, column: str) -> _Protected:
        """A column with its mask, or with ANY a table with its row filter, where there is one."""
        guarded = (each for each in self._guarded(table) if name_key(each.column) == name_key(column))
        return next(guarded, _Protected(table, column))

    def _guarded(self, table: Securable) -> Iterator[_Protected]:
        masks: Iterable[ColumnMask] = self._call.snapshot.column_masks.get(table.id, ())
        for mask in sorted(masks, key=lambda each: name_key(each.column)):
            yield _Protected(table, mask.column, mask.function_id, (mask.column, *mask.using))
        row_filter: RowFilter | None = self._call.snapshot.row_filters.get(table.id)
        if row_filter is not None:
            yield _Protected(table, ANY, row_filter.function_id, row_filter.columns)

    def _copies(self, protected: _Protected) -> Iterable[_Copy]:
        """Unprotected copies whose readers the caller may know; of a table's column rather than of the table."""
        asset_id = self._state.by_securable[protected.table.id]
        column = ANY if protected.column == ANY else name_key(protected.column)
        origin = Origin(asset_id, column, guarded=protected.function_id is not None)
        found: dict[tuple[int, str], _Copy] = {}
        for indirect in (False, True) if self._request.include_indirect else (False,):
            asked = Followed(self._depth_max, self._follow_until, indirect)
            for way in self._spread.ways(origin, asked, self._guards_rows if column == ANY else self._masks):
                place, target = way[-1].place, self._assets.relation(way[-1].place.asset)
                if target is None or place.guarded or not self._assets.tells_grants(target.id):
                    continue
                if place.asset != asset_id or (column != ANY and not _is_same(place.column, column)):
                    copy = _Copy(protected, target, way, indirect)
                    found.setdefault((place.asset, place.column), copy)
        return found.values()

    def _masks(self, asset_id: int, column: str) -> bool | None:
        """Whether a column is masked; where nobody says which column, whether any is."""
        relation = self._assets.relation(asset_id)
        if relation is None or relation.kind == "VIEW":
            return None if relation else False
        masks = self._call.snapshot.column_masks.get(relation.id, ())
        return any(column in (ANY, WHOLE) or overlap(name_key(mask.column), column) for mask in masks)

    def _guards_rows(self, asset_id: int, _column: str) -> bool | None:
        relation = self._assets.relation(asset_id)
        if relation is None or relation.kind == "VIEW":
            return None if relation else False
        return relation.id in self._call.snapshot.row_filters

    def _existing(self, copies: Collection[_Copy]) -> list[_Copy]:
        """Without copies in columns that are gone, and without tables of which a column is told."""
        columns = columns_of(self._call, (copy.target.id for copy in copies))
        found = [
            copy
            for copy in copies
            if copy.is_of_table
            or copy.target.id not in columns
            or any(overlap(key, copy.column) for key in columns[copy.target.id])
        ]
        exact = {(copy.protected, copy.target.id) for copy in found if not copy.is_of_table}
        return [
            copy for copy in found if not copy.is_of_table or (copy.protected, copy.target.id) not in exact
        ]

    def _order(self, copy: _Copy) -> tuple[str, str, int, str, str]:
        names = [self._call.snapshot.full_name(each.id) for each in (copy.protected.table, copy.target)]
        return names[0], name_key(copy.protected.column), len(copy.way), names[1], copy.column

    def _leaks(self, copies: list[_Copy]) -> Iterator[tuple[pb.LineageLeak, tuple[Step, ...]]]:
        """The copies that somebody reads who does not read the source as it is."""
        audience, told = self._audience(copies), 0
        reading: dict[_Protected, frozenset[Alike] | None] = {}
        for copy in copies:
            if copy.protected not in reading:
                reading[copy.protected] = self._read_as_it_is(audience, copy.protected)
            if monotonic() > self._deadline:
                self._truncated_by = "TIME"
                return
            known = reading[copy.protected]
            who = [
                each for each in audience.allowed(copy.target.id, READ) if known is None or each not in known
            ]
            if not who:
                continue
            if told == LEAKS_MAX:
                self._truncated_by = "LEAKS"
                return
            told += 1
            yield self._message(copy, audience, who, hidden=known is None), copy.way

    def _audience(self, copies: Iterable[_Copy]) -> Audience:
        from lakewarden_server.services.expansion import NotExpandable, asked_by

        objects, groups, apart = set[str](), set[str](), False
        for copy in copies:
            objects |= {copy.target.id, copy.protected.table.id}
            function = self._call.snapshot.functions.get(copy.protected.function_id or "")
            if function is not None:
                try:
                    asks_user, asked = asked_by(function, copy.protected.arguments)
                except NotExpandable:
                    continue
                apart, groups = apart or asks_user, groups | asked
        principals = self._call.snapshot.principals.values()
        meant = [each.id for each in principals if each.kind == "GROUP" and each.name_key in groups]
        return Audience(self._call.decider, self._call.workspace_id, objects, groups=meant, apart=apart)

    def _read_as_it_is(self, audience: Audience, protected: _Protected) -> frozenset[Alike] | None:
        """Who reads the source and is not kept from anything; None where the caller is not told its grants. Not all of them when time is up."""
        from lakewarden_server.services.expansion import hides_nothing, session_of

        snapshot, table = self._call.snapshot, protected.table
        if not self._assets.tells_grants(table.id):
            return None
        allowed = audience.allowed(table.id, READ)
        if protected.function_id is None:
            return frozenset(allowed)
        function = snapshot.functions.get(protected.function_id)
        if function is None or protected.function_id not in snapshot.securables:
            return frozenset()
        return frozenset(
            each
            for each in allowed
            if monotonic() <= self._deadline
            and hides_nothing(
                function,
                protected.arguments,
                session_of(snapshot, each.example),
                masks=protected.column != ANY,
            )
        )

    def _message(
        self, copy: _Copy, audience: Audience, who: Iterable[Alike], *, hidden: bool
    ) -> pb.LineageLeak:
        call, function_id = self._call, copy.protected.function_id
        shown = function_id is not None and call.decider.visible(
            call.caller.id, call.workspace_id, function_id
        )
        found, truncated = readers(call, audience, copy.target.id, who)
        return pb.LineageLeak(
            protection=copy.protected.protection,
            function=call.snapshot.full_name(function_id) if shown and function_id else "",
            evidence=pb.LineageLeak.TABLE if copy.is_of_table else pb.LineageLeak.COLUMN,
            indirect=copy.indirect,
            readers=found,
            readers_truncated=truncated,
            source_grants_hidden=hidden,
        )

    def _with_ways(
        self, leaks: list[pb.LineageLeak], ways: list[tuple[Step, ...]]
    ) -> Iterator[pb.LineageLeak]:
        """With their ways, with the names columns have today and the jobs of this workspace; as many as an answer holds."""
        edges = {edge for way in ways for step in way for edge in step.edges}
        jobs = self._evidence.jobs(edges, self._call.workspace_id or "")
        met = {step.place.asset for way in ways for step in way}
        relations = {asset: self._assets.relation(asset) for asset in met}
        columns = columns_of(self._call, (found.id for found in relations.values() if found))
        left = ANSWER_BYTES_MAX
        for leak, way in zip(leaks, ways, strict=True):
            for (asset, column, _), step_edges in way:
                relation = relations[asset]
                names = columns.get(relation.id, {}) if relation else {}
                leak.way.add(
                    name=self._assets.label(asset),
                    kind=self._assets.kind(asset),
                    column="" if column in (ANY, WHOLE) else names.get(column, column),
                    jobs=jobs_told(jobs[edge] for edge in step_edges if edge in jobs),
                )
            left -= leak.ByteSize()
            if left < 0:
                self._truncated_by = "LEAKS"
                return
            yield leak


def _is_same(column: str, source: str) -> bool:
    """Whether a place in the source's own table is no other column than the source."""
    return column in (ANY, WHOLE) or overlap(column, source)
