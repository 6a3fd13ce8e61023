"""Who sees which asset: one by one as Check decides it, and answers that do not tell what lies behind what is hidden."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from math import inf

import numpy as np
import pytest
from immutables import Map

from lakewarden_policy import Decider, load_policy
from lakewarden_server.lineage import traversal
from lakewarden_server.lineage.graph import Direction, Edge, Graph
from lakewarden_server.lineage.names import AssetKind
from lakewarden_server.lineage.nodes import LineageState, Node
from lakewarden_server.lineage.roster import Roster
from lakewarden_server.lineage.traversal import Ending, Truncation, Walk, walk
from lakewarden_server.lineage.visibility import Sight
from policies.snapshots import snapshot_of
from policies.worlds import WORKSPACES, make_world

WORLDS, WORLDS_SLOW = 100, 2_000
POLICY = load_policy()
KINDS = {"TABLE", "VIEW", "MATERIALIZED_VIEW", "STREAMING_TABLE", "VOLUME", "REGISTERED_MODEL"}
Told = tuple[list[tuple[int, frozenset[int], int, int]], Ending]


def worlds(count: int) -> Iterator[tuple[random.Random, Decider, dict[int, Node]]]:
    """Random worlds; the nodes are all that is in schemas, and as many paths and datasets."""
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
        yield chance, decider, {node.id: node for node in nodes}


def state_of(nodes: dict[int, Node], edges: list[Edge]) -> LineageState:
    return LineageState("epoch", 1, Graph.of(1, edges), Map(nodes), Map(), len(nodes))


def sight_of(
    decider: Decider, subject: str, workspace: str, metastore: str | None, state: LineageState
) -> Sight:
    return Sight(decider, subject, workspace, metastore, state, Roster(state, decider.snapshot))


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
                if node.securable_id is None:
                    admin = decider.atom(subject, workspace, "m0", "METASTORE:MANAGE") is not None
                    right = metastore == "m0" and (admin or node.recorder_id == subject)
                    assert sight.sees(node.id) == right
                    seen += right
    assert seen > 20


def leaks(count: int) -> int:
    """How often an answer is another one once what only hidden assets have to do with each other is taken away."""
    differing = asked = 0
    for chance, decider, nodes in worlds(count):
        edges = [
            Edge(number, chance.randrange(len(nodes)), chance.randrange(len(nodes)))
            for number in range(chance.choice((1, 3)) * len(nodes))
        ]
        for subject, workspace, metastore in callers(chance, decider, 6):
            whole = state_of(nodes, edges)
            sight = sight_of(decider, subject, workspace, metastore, whole)
            seen = [node for node in nodes if sight.sees(node)]
            told = [edge for edge in edges if sight.sees(edge.source) or sight.sees(edge.target)]
            if not 0 < len(seen) < len(nodes):
                continue
            part = state_of(nodes, told)
            root, depth, most = chance.choice(seen), chance.randint(1, 6), chance.choice((3, 10, 1_000))
            answers = [
                _told(state.graph, root, depth, most, sight_of(decider, subject, workspace, metastore, state))
                for state in (whole, part)
            ]
            asked += 1
            differing += answers[0] != answers[1]
    assert asked > count / 2
    return differing


def _told(graph: Graph, root: int, depth: int, most: int, sight: Sight) -> Told:
    walking = walk(graph, Walk((root,), tuple(Direction), depth, most, inf), sight)
    levels = []
    while True:
        try:
            level = next(walking)
        except StopIteration as end:
            return levels, end.value
        levels.append(
            (level.depth, frozenset(level.visible.tolist()), len(level.hidden), len(level.hops.edges))
        )


def test_an_answer_is_the_same_whether_what_is_hidden_exists_or_not() -> None:
    assert leaks(WORLDS) == 0


@pytest.mark.slow
def test_an_answer_is_the_same_whether_what_is_hidden_exists_or_not_in_many_worlds() -> None:
    assert leaks(WORLDS_SLOW) == 0


@pytest.mark.parametrize(
    "forgotten", ["what is hidden is not looked behind", "what is behind it does not make an answer partial"]
)
def test_control_a_walk_that_forgets_a_check_tells(forgotten: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traversal, "_Walker", DEFECTS[forgotten])
    assert leaks(WORLDS // 4) > 0


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
        self._frontiers = {way: np.flatnonzero(told).astype(np.int32) for way, told in self._reached.items()}
        more = truncated_by is None and self._has_more()
        return super()._ending(Truncation.DEPTH if more else truncated_by)


DEFECTS: dict[str, Callable[..., traversal._Walker]] = {
    "what is hidden is not looked behind": _LooksBehind,
    "what is behind it does not make an answer partial": _CountsBehind,
}
