"""Questions about lineage, answered from the graph in memory within what the caller may see."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Final, NamedTuple, TypeVar

from lakewarden.v1 import lineage_graph_pb2 as pb
from lakewarden_server.core.clock import monotonic
from lakewarden_server.lineage.column_uses import ColumnUses
from lakewarden_server.lineage.columns import ColumnWalk
from lakewarden_server.lineage.evidence import Evidence
from lakewarden_server.lineage.follower import LineageFollower
from lakewarden_server.lineage.graph import Direction, State
from lakewarden_server.lineage.identities import FOREVER
from lakewarden_server.lineage.paths import Between, ways
from lakewarden_server.lineage.traversal import Edges, Walk, ending_of, walk
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.lineage_answers import EVIDENCE, STATES, Telling, new_answer, root_named
from lakewarden_server.services.lineage_columns import begun, column_answer, names_of, said_at
from lakewarden_server.services.lineage_impact import Impact
from lakewarden_server.services.lineage_past import days_of, history_between, past_graph, time_of
from lakewarden_server.services.lineage_streams import Part, as_found, in_parts

Meant = TypeVar("Meant", State, Evidence)
Answer = TypeVar("Answer", pb.TraverseLineageResponse, pb.AnalyzeImpactResponse)

DEPTH_DEFAULT: Final = 5
DEPTH_MAX: Final = 100
NODES_DEFAULT: Final = 2_000
NODES_MAX: Final = 20_000
STREAM_NODES_MAX: Final = 250_000
PATHS_DEFAULT: Final = 10
PATHS_MAX: Final = 100
PATH_DEPTH_DEFAULT: Final = 20
LINEAGE_SECONDS_MAX: Final = 5.0
"""What is found until then is the answer, which says so."""
STREAM_WORK_SECONDS_MAX: Final = 20.0
"""The same of a streamed answer, whose caller takes a part of that time to read it."""
ANSWER_BYTES_MAX: Final = 4 << 20
"""What a gRPC client takes that was not told to take more."""

_DIRECTIONS: Final[dict[int, tuple[Direction, ...]]] = {
    pb.LINEAGE_DIRECTION_UNSPECIFIED: (Direction.UPSTREAM, Direction.DOWNSTREAM),
    pb.UPSTREAM: (Direction.UPSTREAM,),
    pb.DOWNSTREAM: (Direction.DOWNSTREAM,),
}
_STATES: Final[dict[int, State]] = {message: state for state, message in STATES.items()}
"""What an edge is worth, by how a request says it."""
_EVIDENCE: Final[dict[int, Evidence]] = {message: evidence for evidence, message in EVIDENCE.items()}


class Traversal(NamedTuple):
    """What is asked, of a root that may be seen."""

    told: Telling
    graph: Edges
    within: Walk
    columns: tuple[ColumnWalk, ColumnUses] | None
    """Of a question about columns where it begins, and what edges say of columns."""

    def answer(self) -> pb.TraverseLineageResponse:
        """All of it."""
        if self.columns is not None:
            return column_answer(self.told, self.graph, *self.columns)
        ending = ending_of(walk(self.graph, self.within, self.told.sight), self.told.add_level)
        answer = new_answer(ending)
        self.told.write_nodes(answer.nodes)
        self.told.write_edges(answer.edges)
        return answer


class LineageGraphService:
    """Answers about lineage."""

    def __init__(self, follower: LineageFollower) -> None:
        self._follower = follower

    def traverse_lineage(self, request: pb.TraverseLineageRequest, call: Call) -> pb.TraverseLineageResponse:
        """What an asset, or columns of it, were made of and what was made of them."""
        asked = self._asked(request, call, NODES_MAX, LINEAGE_SECONDS_MAX)
        return _answerable(asked.answer())

    def stream_lineage(self, request: pb.StreamLineageRequest, call: Call) -> Iterator[Part]:
        """The same in parts. What needs the database is found here: no transaction waits for who reads slowly."""
        asked = self._asked(request.traversal, call, STREAM_NODES_MAX, STREAM_WORK_SECONDS_MAX)
        if asked.columns is None and asked.graph is asked.told.state.graph:
            return as_found(asked.told, asked.graph, asked.within)
        return in_parts(asked.answer())

    def _asked(
        self, request: pb.TraverseLineageRequest, call: Call, nodes_max: int, seconds_max: float
    ) -> Traversal:
        """What a request asks of whom it may be told. Raises FIELD_INVALID, and ACCESS_DENIED for a root that is missing or hidden."""
        if request.level not in (pb.LINEAGE_LEVEL_UNSPECIFIED, pb.COLUMN):
            raise validation.invalid("level", f"{request.level} is none")
        within = Walk(
            roots=(),
            directions=_directions(request.direction),
            depth_max=limit_of(request.max_depth, "max_depth", DEPTH_DEFAULT, DEPTH_MAX),
            nodes_max=limit_of(request.max_nodes, "max_nodes", NODES_DEFAULT, nodes_max),
            deadline=deadline_of(call, seconds_max),
            states=_states(request.include_states),
            self_edges=request.include_self_edges,
            evidence=_evidence(request.evidence),
        )
        columns, time = names_of(request.columns), time_of(request, call)
        root = root_named(request.root, "root", call, time)
        told = self._telling(call)
        asset = told.root(root)
        graph = told.state.graph if time == FOREVER else past_graph(call, time, within.states)
        begin: tuple[ColumnWalk, ColumnUses] | None = None
        if columns or request.level == pb.COLUMN:
            asked, uses_of = ColumnWalk((), within, request.include_indirect), said_at(call, told.state, time)
            begin = begun(graph, asset, columns, asked, told.sight, uses_of), uses_of
        return Traversal(told, graph, within._replace(roots=(asset,)), begin)

    def analyze_impact(self, request: pb.AnalyzeImpactRequest, call: Call) -> pb.AnalyzeImpactResponse:
        """What depends on an asset or on columns of it."""
        within = Walk(
            roots=(),
            directions=(Direction.DOWNSTREAM,),
            depth_max=limit_of(request.max_depth, "max_depth", DEPTH_MAX, DEPTH_MAX),
            nodes_max=limit_of(request.max_nodes, "max_nodes", NODES_DEFAULT, NODES_MAX),
            deadline=deadline_of(call),
        )
        columns = names_of(request.columns)
        root = root_named(request.root, "root", call)
        told = self._telling(call)
        return _answerable(Impact(told, told.root(root), columns, within, call).response())

    def find_lineage_paths(
        self, request: pb.FindLineagePathsRequest, call: Call
    ) -> pb.FindLineagePathsResponse:
        """The ways from one asset to another."""
        paths_max = limit_of(request.max_paths, "max_paths", PATHS_DEFAULT, PATHS_MAX)
        steps_max = limit_of(request.max_depth, "max_depth", PATH_DEPTH_DEFAULT, DEPTH_MAX)
        ends = [root_named(getattr(request, end), end, call) for end in ("source", "target")]
        told = self._telling(call)
        source, target = map(told.root, ends)
        deadline = deadline_of(call)
        found = list(
            islice(
                ways(told.state.graph, Between(source, target, steps_max, deadline), told.sight),
                paths_max + 1,
            )
        )
        response = pb.FindLineagePathsResponse(truncated=len(found) > paths_max or monotonic() > deadline)
        for way in found[:paths_max]:
            handles = [told.handle(asset, step) for step, asset in enumerate(way)]
            response.paths.append(pb.LineagePath(nodes=handles))
        told.write_nodes(response.nodes)
        return response

    def get_lineage_history(
        self, request: pb.GetLineageHistoryRequest, call: Call
    ) -> pb.GetLineageHistoryResponse:
        """What the edges from one asset to another were when."""
        time, days = time_of(request, call), days_of(request)
        source, target = (root_named(getattr(request, end), end, call, time) for end in ("source", "target"))
        told = self._telling(call)
        return history_between(
            call, told.root(source), told.root(target), days=days, deadline=deadline_of(call)
        )

    def _telling(self, call: Call) -> Telling:
        state = self._follower.at_head(call.uow)
        return Telling(state, self._follower.sights(state, call.decider), call)


def limit_of(asked: int, field: str, default: int, largest: int) -> int:
    """What is asked, the default where nothing is. Raises FIELD_INVALID."""
    if not 0 <= asked <= largest:
        raise validation.invalid(field, f"{asked} is not from 1 to {largest:,}")
    return asked or default


def _answerable(answer: Answer) -> Answer:
    """An answer that arrives. Raises InvalidArgument for one that is too large, as with very long names."""
    size = answer.ByteSize()
    if size > ANSWER_BYTES_MAX:
        raise validation.invalid(
            "max_nodes",
            f"the answer has {size:,} bytes, {ANSWER_BYTES_MAX:,} at most: ask for fewer nodes or steps",
        )
    return answer


def deadline_of(call: Call, seconds_max: float = LINEAGE_SECONDS_MAX) -> float:
    """When an answer is what was found by then, in monotonic seconds."""
    return min(call.deadline, monotonic() + seconds_max)


def _directions(direction: int) -> tuple[Direction, ...]:
    if direction not in _DIRECTIONS:
        raise validation.invalid("direction", f"{direction} is none")
    return _DIRECTIONS[direction]


def _states(asked: Collection[int]) -> frozenset[State]:
    return frozenset({State.LIVE, *_meant(asked, "include_states", _STATES)})


def _evidence(asked: Collection[int]) -> frozenset[Evidence]:
    return frozenset(_meant(asked, "evidence", _EVIDENCE) or Evidence)


def _meant(asked: Collection[int], field: str, known: Mapping[int, Meant]) -> list[Meant]:
    """What the values of an enum stand for. Raises FIELD_INVALID."""
    unknown = [value for value in asked if value not in known]
    if unknown:
        raise validation.invalid(field, f"{unknown[0]} is none")
    return [known[value] for value in asked]
