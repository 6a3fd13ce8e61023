"""Who sees which asset: one by one as Check decides it, and answers that do not tell what lies behind what is hidden."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import Any

import numpy as np
import pytest
from immutables import Map

from lakewarden_policy import Decider, load_policy
from lakewarden_server.lineage import columns, traversal
from lakewarden_server.lineage.columns import ColumnWalk, Use
from lakewarden_server.lineage.graph import Direction, Edge, Flags, Graph, Ints
from lakewarden_server.lineage.mapping import WHOLE, Subtype
from lakewarden_server.lineage.mapping_numbers import MappingNumbers
from lakewarden_server.lineage.names import AssetKind
from lakewarden_server.lineage.nodes import LineageState, Node
from lakewarden_server.lineage.roster import Roster
from lakewarden_server.lineage.traversal import Ending, Truncation, Walk, walk
from lakewarden_server.lineage.visibility import Sight, Sights
from lineage.said import Said
from policies.snapshots import snapshot_of
from policies.worlds import WORKSPACES, make_world

WORLDS, WORLDS_SLOW = 100, 2_000
POLICY = load_policy()
KINDS = {"TABLE", "VIEW", "MATERIALIZED_VIEW", "STREAMING_TABLE", "VOLUME", "REGISTERED_MODEL"}
Uses = dict[int, list[Use]]
Ways = tuple[Direction, ...]
WAYS: tuple[Ways, ...] = (tuple(Direction), *((way,) for way in Direction))
Tell = Callable[[Graph, Walk, Sight, Uses], Any]
Told = tuple[list[tuple[int, frozenset[int], int, int]], Ending]


def worlds(count: int) -> Iterator[tuple[random.Random, Decider, dict[int, Node]]]:
    """Random worlds; the nodes are all that is in schemas, files of the volumes, paths in external locations and elsewhere, and datasets."""
    for seed in range(count):
        chance = random.Random(seed)
        decider = Decider(POLICY, snapshot_of(make_world(chance), now=5))
        found = [s for s in decider.snapshot.securables.values() if s.kind in KINDS]
        nodes = [
            Node(
                number,
                s.metastore_id or "",
                AssetKind.DATASET,
                "unitycatalog://x",
                s.name,
                False,
                s.id,
                s.parent_id,
                None,
            )
            for number, s in enumerate(sorted(found))
        ]
        recorders = sorted(decider.snapshot.principals)
        for number in range(6):
            where = ("kafka://broker", f"topic{number}") if number % 2 else ("s3://bucket", f"path{number}")
            nodes.append(
                Node(len(nodes), "m0", AssetKind.DATASET, *where, False, None, None, chance.choice(recorders))
            )
        volumes = [node for node in nodes if node.securable_id and kind_of(decider, node) == "VOLUME"]
        files = [volume for volume in volumes for _ in range(2)]
        for number, volume in enumerate(files):
            nodes.append(volume._replace(id=len(nodes), file_path=f"f{number}.csv", of_volume=True))
        for place in decider.snapshot.places.values():
            metastore_id = decider.snapshot.securables[place.securable_id].metastore_id or ""
            where = place.url, chance.choice(("a.csv", "b/c.csv"))
            recorder = chance.choice(recorders)
            nodes.append(
                Node(len(nodes), metastore_id, AssetKind.DATASET, *where, False, None, None, recorder)
            )
        yield chance, decider, {node.id: node for node in nodes}


def kind_of(decider: Decider, node: Node) -> str:
    return decider.snapshot.securables[node.securable_id or ""].kind


def location_over(decider: Decider, node: Node) -> str | None:
    """The external location that a path lies in, by comparing texts."""
    return next((p.securable_id for p in decider.snapshot.places.values() if p.url == node.namespace), None)


def state_of(nodes: dict[int, Node], edges: list[Edge]) -> LineageState:
    return LineageState("epoch", 1, Graph.of(1, edges), Map(nodes), Map(), len(nodes), MappingNumbers())


def sight_of(
    decider: Decider, subject: str, workspace: str, metastore: str | None, state: LineageState
) -> Sight:
    return Sights(decider, Roster(state, decider.snapshot)).of(state, subject, workspace, metastore)


def callers(chance: random.Random, decider: Decider, count: int) -> Iterator[tuple[str, str, str | None]]:
    for _ in range(count):
        workspace = chance.choice(WORKSPACES)
        yield (
            chance.choice(sorted(decider.snapshot.principals)),
            workspace,
            decider.snapshot.securables[workspace].metastore_id,
        )


def test_an_asset_is_seen_by_whoever_may_see_what_it_is() -> None:
    seen = hidden = 0
    for chance, decider, nodes in worlds(WORLDS // 5):
        for subject, workspace, metastore in callers(chance, decider, 20):
            flags = sight_of(decider, subject, workspace, metastore, state_of(nodes, []))(
                np.arange(len(nodes), dtype=np.int32)
            )
            for node, flag in zip(nodes.values(), flags.tolist(), strict=True):
                if node.securable_id is None:
                    continue
                right = node.metastore_id == metastore and decider.visible(
                    subject, workspace, node.securable_id
                )
                assert flag == right, (subject, workspace, node)
                seen, hidden = seen + right, hidden + (not right)
    assert min(seen, hidden) > 500


def test_what_is_no_securable_is_seen_by_who_recorded_it_and_by_admins_of_the_metastore() -> None:
    seen = 0
    for chance, decider, nodes in worlds(20):
        for subject, workspace, metastore in callers(chance, decider, 20):
            sight = sight_of(decider, subject, workspace, metastore, state_of(nodes, []))
            for node in nodes.values():
                if node.securable_id is None and location_over(decider, node) is None:
                    admin = decider.atom(subject, workspace, "m0", "METASTORE:MANAGE") is not None
                    right = metastore == "m0" and (admin or node.recorder_id == subject)
                    assert sight.sees(node.id) == right
                    seen += right
    assert seen > 20


def paths_seen_wrongly() -> int:
    """How many paths in external locations and files of volumes are seen by who may not see that, or the other way round."""
    wrong, seen = 0, Counter[bool]()
    for chance, decider, nodes in worlds(40):
        for subject, workspace, metastore in callers(chance, decider, 20):
            sight = sight_of(decider, subject, workspace, metastore, state_of(nodes, []))
            for node in nodes.values():
                over = node.securable_id if node.file_path else location_over(decider, node)
                if over is None:
                    continue
                right = node.metastore_id == metastore and decider.visible(subject, workspace, over)
                wrong += sight.sees(node.id) != right
                seen[right] += 1
    assert min(seen.values()) > 200
    return wrong


def test_a_path_is_seen_by_whoever_may_see_what_is_over_it_and_by_nobody_else() -> None:
    assert paths_seen_wrongly() == 0


def test_control_a_path_that_whoever_told_of_it_sees_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sight, "_location_over", lambda _self, _node: None)
    assert paths_seen_wrongly() > 0


def leaks(count: int, tell: Tell | None = None, ways: Sequence[Ways] = WAYS) -> int:
    """How often an answer is another one once what only hidden assets have to do with each other is taken away."""
    differing = asked = 0
    for chance, decider, nodes in worlds(count):
        edges = [
            Edge(number, chance.randrange(len(nodes)), chance.randrange(len(nodes)))
            for number in range(chance.choice((1, 3)) * len(nodes))
        ]
        uses = {edge.id: _uses(chance) for edge in edges}
        for subject, workspace, metastore in callers(chance, decider, 6):
            whole = state_of(nodes, edges)
            sight = sight_of(decider, subject, workspace, metastore, whole)
            seen = [node for node in nodes if sight.sees(node)]
            told = [edge for edge in edges if sight.sees(edge.source) or sight.sees(edge.target)]
            if not 0 < len(seen) < len(nodes):
                continue
            part = state_of(nodes, told)
            asking = Walk(
                (chance.choice(seen),),
                chance.choice(ways),
                chance.randint(1, 6),
                chance.choice((3, 10, 1_000)),
                inf,
            )
            answers = [
                (tell or _told)(
                    state.graph, asking, sight_of(decider, subject, workspace, metastore, state), uses
                )
                for state in (whole, part)
            ]
            asked += 1
            differing += answers[0] != answers[1]
    assert asked > count / 2
    return differing


def _uses(chance: random.Random) -> list[Use]:
    """What an edge says of columns; nothing, of some."""
    kinds = (Subtype.IDENTITY, Subtype.AGGREGATION, Subtype.FILTER)
    drawn = [
        (chance.choice("ab"), chance.choice("ab"), chance.choice(kinds)) for _ in range(chance.randint(0, 3))
    ]
    return [Use(target if how.is_direct else WHOLE, source, how) for target, source, how in drawn]


def _told(graph: Graph, asked: Walk, sight: Sight, _uses: Uses) -> Told:
    walking = walk(graph, asked, sight)
    levels = []
    while True:
        try:
            level = next(walking)
        except StopIteration as end:
            return levels, end.value
        levels.append(
            (level.depth, frozenset(level.visible.tolist()), len(level.hidden), len(level.hops.edges))
        )


def _columns_told(graph: Graph, asked: Walk, sight: Sight, uses: Uses) -> Any:
    """All that is told of columns, hidden assets by nothing but their number."""
    begun = ColumnWalk((), asked, indirect=True)
    said = Said(uses)
    roots = columns.columns_of(graph, asked.roots[0], begun, sight, said)
    walking = columns.walk_columns(graph, begun._replace(roots=roots), sight, said)
    hidden: set[int] = set()
    levels: list[Any] = [roots]
    while True:
        try:
            level = next(walking)
        except StopIteration as end:
            return levels, end.value
        hidden |= set(level.hidden.tolist())
        edges = Counter(
            edge._replace(
                source=edge.source if edge.source.asset not in hidden else None,
                target=edge.target if edge.target.asset not in hidden else None,
            )
            for edge in said.edges(level)
        )
        levels.append((level.depth, frozenset(said.visible(level)), len(level.hidden), edges))


def test_an_answer_is_the_same_whether_what_is_hidden_exists_or_not() -> None:
    assert leaks(WORLDS) == 0


@pytest.mark.slow
def test_an_answer_is_the_same_whether_what_is_hidden_exists_or_not_in_many_worlds() -> None:
    assert leaks(WORLDS_SLOW) == 0


@pytest.mark.parametrize("ways", WAYS)
@pytest.mark.parametrize(
    "forgotten", ["what is hidden is not looked behind", "what is behind it does not make an answer partial"]
)
def test_control_a_walk_that_forgets_a_check_tells(
    forgotten: str, ways: Ways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traversal, "_Walker", DEFECTS[forgotten])
    assert leaks(WORLDS // 4, ways=[ways]) > 0


def test_an_answer_about_columns_is_the_same_whether_what_is_hidden_exists_or_not() -> None:
    assert leaks(WORLDS, _columns_told) == 0


@pytest.mark.slow
def test_an_answer_about_columns_is_the_same_in_many_worlds() -> None:
    assert leaks(WORLDS_SLOW, _columns_told) == 0


@pytest.mark.parametrize("ways", WAYS)
@pytest.mark.parametrize("forgotten", ["looks behind", "counts behind"])
def test_control_a_walk_of_columns_that_forgets_a_check_tells(
    forgotten: str, ways: Ways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "_Walker", COLUMN_DEFECTS[forgotten])
    assert leaks(WORLDS // 4, _columns_told, [ways]) > 0


def _everything(assets: Ints) -> Flags:
    return np.ones(len(assets), dtype=bool)


class _LooksBehindColumns(columns._Walker):
    """Takes every asset for a visible one where it decides what to walk on from."""

    def _next(self, way: Direction) -> columns._Pairs:
        self._sight = _everything
        return super()._next(way)


class _CountsBehindColumns(columns._Walker):
    """Says of an answer that there is more when something hidden lies behind what is hidden."""

    def _ending(self, truncated_by: Truncation | None) -> Ending:
        met = columns.distinct(columns.assets_of(self._told.keys))
        masked = met[~self._sight(met)]
        behind = [self._graph.hops(masked, way).far for way in self._frontiers]
        more = any((~self._sight(far)).any() for far in behind)
        return super()._ending(truncated_by or (Truncation.DEPTH if more else None))


COLUMN_DEFECTS: dict[str, type[columns._Walker]] = {
    "looks behind": _LooksBehindColumns,
    "counts behind": _CountsBehindColumns,
}


class _LooksBehind(traversal._Walker):
    """Expands every node it meets."""

    def _level(self, depth: int, way: Direction) -> tuple[traversal.Level, bool]:
        before = self._reached[way].copy()
        told = super()._level(depth, way)
        self._frontiers[way] = np.flatnonzero(self._reached[way] & ~before).astype(np.int32)
        return told


class _CountsBehind(traversal._Walker):
    """Says of an answer that there is more when there is more behind what is hidden."""

    def _ending(self, truncated_by: Truncation | None) -> Ending:
        self._frontiers = {way: self._behind(told) for way, told in self._reached.items()}
        more = truncated_by is None and self._has_more()
        return super()._ending(Truncation.DEPTH if more else truncated_by)

    def _behind(self, told: Flags) -> Ints:
        met = np.flatnonzero(told).astype(np.int32)
        # One way what is visible was gone on from, and every edge of it is one that lies ahead.
        return met[~self._sight(met)] if self._is_one_way else met


DEFECTS: dict[str, Callable[..., traversal._Walker]] = {
    "what is hidden is not looked behind": _LooksBehind,
    "what is behind it does not make an answer partial": _CountsBehind,
}
