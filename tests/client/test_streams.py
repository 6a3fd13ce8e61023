"""What the client makes of an answer in a stream, also of one that breaks off or fails: never less than was told without saying so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from client.wire import Recorded, WireServer, fail, in_turn
from lakewarden import Client, ConfigurationError, Internal, PermissionDenied, Unavailable
from lakewarden.v1.lineage_graph_pb2 import StreamLineageResponse

RPC = "LineageGraphService/StreamLineage"
NODES = {"names": ["a.b.c"], "kinds": ["TABLE"], "namespaces": [""], "distances": [0], "hidden": [False], "dropped": [False]}  # fmt: skip
LEVEL = StreamLineageResponse(nodes=NODES)
ENDING = StreamLineageResponse(ending={"truncated_by": "NODES", "nodes": 1})


def test_the_ending_is_there_once_all_levels_were(wire: WireServer, client: Client) -> None:
    wire.answers[RPC] = lambda *_: [LEVEL, ENDING]
    levels = client.lineage.stream("a.b.c", max_nodes=250_000, direction="upstream")
    assert levels.ending is None
    assert [[node.name for node in level.nodes] for level in levels] == [["a.b.c"]]
    assert levels.ending == (False, "NODES", 1, 0)
    assert list(levels) == []
    assert wire.calls[0].request.traversal.max_nodes == 250_000
    assert 0 < wire.calls[0].seconds_left <= 10


def test_an_answer_that_breaks_off_is_no_answer(wire: WireServer, client: Client) -> None:
    wire.answers[RPC] = lambda *_: [LEVEL]
    levels = client.lineage.stream("a.b.c")
    assert next(levels).distance == 0
    with pytest.raises(Unavailable, match="broke off") as broken:
        next(levels)
    assert (broken.value.reason, levels.ending) == ("STREAM_INCOMPLETE", None)


def test_a_failure_on_the_way_is_raised_where_it_is_met(wire: WireServer, client: Client) -> None:
    def failing(recorded: Recorded, context: grpc.ServicerContext) -> Iterator[Any]:
        yield LEVEL
        fail(grpc.StatusCode.INTERNAL, "broken", reason="INTERNAL_ERROR")(recorded, context)

    wire.answers[RPC] = failing
    levels = client.lineage.stream("a.b.c")
    assert next(levels).distance == 0
    with pytest.raises(Internal, match="broken"):
        next(levels)
    assert len(wire.calls) == 1, "what was begun is not asked for again"


def test_a_refusal_is_raised_before_anything_is_read(wire: WireServer, client: Client) -> None:
    wire.answers[RPC] = fail(grpc.StatusCode.PERMISSION_DENIED, "no", reason="ACCESS_DENIED")
    with pytest.raises(PermissionDenied):
        client.lineage.stream("a.b.c")


def test_it_is_asked_again_while_nothing_was_told(wire: WireServer, client: Client) -> None:
    wire.answers[RPC] = in_turn(fail(grpc.StatusCode.UNAVAILABLE, "down"), lambda *_: [LEVEL, ENDING])
    assert len(list(client.lineage.stream("a.b.c"))) == 1
    assert len({call.metadata["lakewarden-request-id"] for call in wire.calls}) == 1
    assert len(wire.calls) == 2


def test_a_closed_client_begins_no_stream(wire: WireServer, client: Client) -> None:
    lineage = client.lineage
    client.close()
    with pytest.raises(ConfigurationError):
        lineage.stream("a.b.c")
