"""Answers that come level by level: equal to those that come whole, there before the rest is looked for, and never cut unsaid."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest

from lakewarden import Client, InvalidArgument, PermissionDenied
from lakewarden.cli import main
from lakewarden.lineage import Lineage, LineageEdge, LineageNode
from lakewarden.v1 import lineage_graph_pb2 as pb
from lakewarden_server.core.clock import monotonic
from lakewarden_server.lineage import traversal
from lakewarden_server.lineage.traversal import Level
from lakewarden_server.services import lineage_graph, lineage_streams
from lakewarden_server.testing import serve
from lineage.corpus import dataset, event
from lineage.lake import OURS, Lake, may_use
from lineage.test_past import second

TABLES = tuple(f"s{number % 3}.t{number}" for number in range(14))
ROOT = "main.s0.t0"
QUESTIONS = 40


class Told(NamedTuple):
    """What an answer tells, hidden nodes apart from what stands for them in it alone."""

    nodes: Counter[Any]
    edges: Counter[Any]
    truncated_by: str


def told_by(nodes: list[LineageNode], edges: list[LineageEdge], truncated_by: str) -> Told:
    by_id = {node.id: node[1:] for node in nodes}
    ends = Counter((by_id[edge.source_id], by_id[edge.target_id], *edge[2:]) for edge in edges)
    return Told(Counter(by_id.values()), ends, truncated_by)


def whole(client: Client, *, columns: list[str] | None = None, **asked: Any) -> Told:
    lineage = client.lineage
    found: Lineage = (
        lineage.traverse(ROOT, **asked) if columns is None else lineage.columns(ROOT, *columns, **asked)
    )
    return told_by(list(found.nodes), list(found.edges), found.truncated_by)


def streamed(client: Client, **asked: Any) -> Told:
    levels = client.lineage.stream(ROOT, **asked)
    nodes, edges = [], []
    for level in levels:
        nodes += level.nodes
        edges += level.edges
        assert {node.distance for node in level.nodes} <= {level.distance}
        # Whatever an edge leads to was told before it or with it.
        assert {end for edge in level.edges for end in edge[:2]} <= {node.id for node in nodes}
    assert levels.ending is not None
    assert [node.id for node in nodes] == [str(number) for number in range(len(nodes))]
    assert levels.ending == (
        not levels.ending.truncated_by,
        levels.ending.truncated_by,
        len(nodes),
        len(edges),
    )
    return told_by(nodes, edges, levels.ending.truncated_by)


@pytest.fixture(scope="module")
def random_lake() -> Iterator[Lake]:
    """Runs between tables and other systems, of tables as a whole and of columns, some in vain and some not ended."""
    chance = random.Random(7)
    with serve() as server:
        lake = Lake(server, TABLES)
        for _ in range(60):
            source, target = chance.choice(TABLES), chance.choice(TABLES)
            if chance.random() < 0.5:
                uses = [
                    (source, chance.choice("ab"), chance.choice(("IDENTITY", "FILTER"))) for _ in range(2)
                ]
                lake.made_of_columns(target, **{chance.choice("ab"): uses})
            else:
                lake.made(source, target, kind=chance.choice(("COMPLETE", "COMPLETE", "START")))
        for topic in range(4):
            lake.made(f"kafka://broker:9092|topic{topic}", chance.choice(TABLES))
        yield lake


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that levels of a few nodes and edges come in several parts."""
    for limit, value in (("PART_NODES_MAX", 2), ("PART_EDGES_MAX", 3), ("PART_BYTES_MAX", 30)):
        monkeypatch.setattr(lineage_streams, limit, value)


def differing(lake: Lake, seed: int) -> int:
    """How many of some questions of callers who see different parts of the lake are answered otherwise level by level."""
    chance = random.Random(seed)
    seen = [TABLES[0], *chance.sample(TABLES[1:], 5)]
    reader = may_use(lake, f"reader{seed}", *seen)
    found = 0
    for _ in range(QUESTIONS):
        asked: dict[str, Any] = {
            "direction": chance.choice(("both", "upstream", "downstream")),
            "max_depth": chance.choice((1, 2, 5, 100)),
            "max_nodes": chance.choice((1, 3, 8, 1_000)),
            "include_states": chance.choice(((), ("PROVISIONAL",))),
        }
        if chance.random() < 0.3:
            asked["columns"] = chance.choice(([], ["a"], ["a", "b"]))
            asked["include_indirect"] = chance.random() < 0.5
        elif chance.random() < 0.2:
            asked.update(as_of=second(chance.randint(1, 60)), include_states=())
        client = chance.choice((lake.admin, reader, reader))
        try:
            expected = whole(client, **asked)
        except PermissionDenied:
            with pytest.raises(PermissionDenied):
                streamed(client, **asked)
            continue
        found += expected != streamed(client, **asked)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_an_answer_level_by_level_tells_what_the_whole_one_tells(random_lake: Lake, seed: int) -> None:
    assert differing(random_lake, seed) == 0


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("seed", range(3, 5))
def test_so_it_does_when_each_level_comes_in_several_parts(random_lake: Lake, seed: int) -> None:
    assert differing(random_lake, seed) == 0


def test_control_a_stream_that_looks_behind_what_is_hidden_is_caught(
    random_lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        lineage_streams,
        "walk",
        lambda graph, asked, sight: traversal.walk(
            graph, asked, lambda found: np.ones(len(found), dtype=bool)
        ),
    )
    assert differing(random_lake, 5) > 3


def test_control_a_stream_that_ends_early_is_caught(
    random_lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shorter(graph: Any, asked: Any, sight: Any) -> Any:
        return traversal.walk(graph, asked._replace(depth_max=1), sight)

    monkeypatch.setattr(lineage_streams, "walk", shorter)
    assert differing(random_lake, 6) > 3


@pytest.mark.usefixtures("small_parts")
def test_no_part_is_larger_than_it_may_be(random_lake: Lake) -> None:
    request = pb.StreamLineageRequest(traversal={"root": {"table": ROOT}, "max_depth": 100})
    connection = random_lake.admin.lineage._connection
    parts = list(connection.stream(random_lake.admin.lineage._stub.StreamLineage, request))
    assert max(len(part.nodes.names) for part in parts) == 1, "thirty bytes hold no two nodes"
    assert max(len(part.edges.sources) for part in parts) == 3
    assert all(part.HasField("ending") == (part is parts[-1]) for part in parts)


def test_long_names_make_parts_of_fewer_nodes() -> None:
    """They would be an answer that no client takes, were they told at once."""
    long, many = "x" * 3_900, 900
    with serve() as server:
        lake = Lake(server, ["s0.t0"])
        inputs = [dataset(f"{number:04}{long}") for number in range(many)]
        lake.record(event(inputs=inputs, outputs=[dataset(ROOT, OURS)]))
        request = pb.StreamLineageRequest(traversal={"root": {"table": ROOT}, "direction": "UPSTREAM"})
        connection, stub = lake.admin.lineage._connection, lake.admin.lineage._stub
        sizes = [
            (part.ByteSize(), len(part.nodes.names))
            for part in connection.stream(stub.StreamLineage, request)
        ]
    assert sum(nodes for _, nodes in sizes) == many + 1
    assert 1 << 18 < max(size for size, _ in sizes) < lineage_streams.PART_BYTES_MAX + (1 << 15)


class Gate:
    """Lets a walk go on from level to level when it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told, self.ended = 0, threading.Event()
        self.go_on = threading.Semaphore(0)
        monkeypatch.setattr(lineage_streams, "walk", self.walk)

    def walk(self, *asked: Any) -> Iterator[Level]:
        try:
            walking = traversal.walk(*asked)
            while True:
                assert self.go_on.acquire(timeout=20)
                try:
                    level = next(walking)
                except StopIteration as end:
                    return end.value
                self.told += 1
                yield level
        finally:
            self.ended.set()


@pytest.fixture
def chain() -> Iterator[Lake]:
    with serve() as server:
        lake = Lake(server, TABLES[:6])
        for source, target in pairwise(TABLES[:6]):
            lake.made(source, target)
        yield lake


def test_a_level_is_there_before_the_next_is_looked_for(chain: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    levels = chain.admin.lineage.stream(ROOT, direction="downstream")
    assert next(levels).distance == 0
    for depth in range(1, 6):
        assert gate.told == depth - 1
        gate.go_on.release()
        level = next(levels)
        assert (level.distance, [node.name for node in level.nodes]) == (depth, [f"main.{TABLES[depth]}"])
        assert levels.ending is None
    gate.go_on.release()
    assert list(levels) == []
    assert levels.ending == (True, "", 6, 5)


def test_the_server_stops_when_nobody_reads_on(chain: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    with chain.admin.lineage.stream(ROOT, direction="downstream") as levels:
        gate.go_on.release()
        assert [next(levels).distance, next(levels).distance] == [0, 1]
    give_up = monotonic() + 10
    while not gate.ended.is_set() and monotonic() < give_up:
        gate.go_on.release()
        gate.ended.wait(0.05)
    assert gate.ended.is_set()
    assert gate.told < 5, "it walked on to the end"


def test_no_transaction_is_open_while_somebody_reads(chain: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, database = Gate(monkeypatch), chain.server.app.database
    began, read = threading.Event(), database.read
    open_now = []

    def counted(**options: Any) -> Any:
        began.set()
        transaction = read(**options)
        enter, leave = transaction.__enter__, transaction.__exit__

        class Counted:
            def __enter__(self) -> Any:
                open_now.append(self)
                return enter()

            def __exit__(self, *error: Any) -> Any:
                open_now.remove(self)
                return leave(*error)

        return Counted()

    monkeypatch.setattr(database, "read", counted)
    for asked in ({}, {"columns": []}, {"as_of": second(1_000)}):
        began.clear()
        with chain.admin.lineage.stream(ROOT, **asked) as levels:
            assert next(levels).distance == 0
            assert began.is_set()
            assert open_now == []
    gate.go_on.release()


def test_who_sees_what_is_decided_once_for_the_whole_answer(
    chain: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, gate = may_use(chain, "ada", *TABLES[:5]), Gate(monkeypatch)
    with reader.lineage.stream(ROOT, direction="downstream") as levels:
        next(levels)
        chain.admin.grants.revoke("SELECT", "table", f"main.{TABLES[4]}", "ada@example.com")
        for _ in range(6):
            gate.go_on.release()
        assert [node.hidden for level in levels for node in level.nodes] == [False] * 4 + [True]
    for _ in range(6):
        gate.go_on.release()
    with reader.lineage.stream(ROOT, direction="downstream") as levels:
        assert [node.hidden for level in levels for node in level.nodes] == [False] * 4 + [True]


def test_not_even_the_bytes_of_a_stream_tell_what_was_recorded_of_hidden_tables() -> None:
    told = []
    for secret in (False, True):
        with serve() as server:
            lake = Lake(server, TABLES[:6])
            reader = may_use(lake, "ada", TABLES[0], TABLES[1], TABLES[2])
            for source, target in ((0, 1), (1, 2), (2, 3)):
                if secret:
                    lake.made(TABLES[4], TABLES[5])
                    lake.made(TABLES[3], TABLES[4])
                lake.made(TABLES[source], TABLES[target])
            request = pb.StreamLineageRequest(traversal={"root": {"table": ROOT}})
            parts = reader.lineage._connection.stream(reader.lineage._stub.StreamLineage, request)
            told.append([part.SerializeToString(deterministic=True) for part in parts])
    assert told[0] == told[1]
    assert len(told[0]) == 5


CUTS: dict[str, dict[str, Any]] = {"DEPTH": {"max_depth": 2}, "NODES": {"max_nodes": 2}, "": {}}


@pytest.mark.parametrize("reason", CUTS)
def test_a_cut_is_always_said(chain: Lake, reason: str) -> None:
    levels = chain.admin.lineage.stream(ROOT, direction="downstream", **CUTS[reason])
    found = sum(len(level.nodes) for level in levels)
    assert levels.ending == (not reason, reason, found, found - 1)
    assert found == (3 if reason else 6)


def test_time_that_is_over_is_said(chain: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage_graph, "STREAM_WORK_SECONDS_MAX", -1.0)
    levels = chain.admin.lineage.stream(ROOT)
    assert [level.distance for level in levels] == [0]
    assert levels.ending == (False, "TIME", 1, 0)


def test_a_stream_takes_more_nodes_than_one_answer_and_not_any_number(chain: Lake) -> None:
    assert streamed(chain.admin, max_nodes=lineage_graph.STREAM_NODES_MAX).truncated_by == ""
    with pytest.raises(InvalidArgument, match="250001 is not from 1 to 250,000") as refused:
        list(chain.admin.lineage.stream(ROOT, max_nodes=250_001))
    assert refused.value.reason == "FIELD_INVALID"


def test_a_root_that_is_hidden_or_missing_is_refused_with_the_same_words(chain: Lake) -> None:
    reader = may_use(chain, "ada", TABLES[1])

    def refusal(name: str) -> str:
        with pytest.raises(PermissionDenied) as refused:
            list(reader.lineage.stream(name))
        return str(refused.value).replace(name, "NAME")

    assert refusal(ROOT) == refusal("main.s0.t9")


def test_the_command_line_prints_a_line_for_each_level(
    chain: Lake, capsys: pytest.CaptureFixture[str], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEWARDEN_ENDPOINT", chain.server.endpoint)
    monkeypatch.setenv("LAKEWARDEN_TOKEN", chain.server.admin_token)
    monkeypatch.setenv("LAKEWARDEN_WORKSPACE", "workspace")
    line: Callable[..., int] = lambda *more: main(["lineage", "downstream", ROOT, "--format", "jsonl", *more])  # noqa: E731
    assert line("--depth", "2") == 0
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert [shown.get("distance") for shown in lines] == [0, 1, 2, None]
    assert lines[1]["nodes"][0]["name"] == f"main.{TABLES[1]}"
    assert (lines[1]["edges"][0]["source_id"], lines[1]["edges"][0]["target_id"]) == ("0", "1")
    assert lines[3] == {"ending": {"complete": False, "truncated_by": "DEPTH", "nodes": 3, "edges": 2}}
    target = tmp_path / "lineage.jsonl"
    assert line("--nodes", "250000", "--to", str(target)) == 0
    assert len(target.read_text().splitlines()) == 7
    assert main(["lineage", "column", ROOT, "--format", "jsonl"]) == 0
    assert '"ending"' in capsys.readouterr().out
    assert main(["lineage", "downstream", ROOT, "--nodes", "20001"]) == 2
    assert "--format jsonl" in capsys.readouterr().err
