"""What is worked out of assets once for all callers: good until a name, a kind or a container is another one, and no longer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from immutables import Map

from lakewarden import Client
from lakewarden.lineage import LineageEdge
from lakewarden_server.lineage.graph import Graph
from lakewarden_server.lineage.mapping_numbers import MappingNumbers
from lakewarden_server.lineage.nodes import LineageState
from lakewarden_server.lineage.roster import Roster
from lakewarden_server.testing import serve
from lineage.lake import Lake, shown


@pytest.fixture(scope="module")
def lake() -> Iterator[Lake]:
    with serve() as server:
        found = Lake(server, ("raw.orders", "sales.menu"))
        found.made("raw.orders", "sales.menu")
        yield found


def test_a_grant_leaves_it_good_and_what_changes_a_securable_does_not(lake: Lake) -> None:
    state = LineageState("epoch", 1, Graph.of(1, []), Map(), Map(), 0, MappingNumbers())
    roster = Roster(state, lake.server.app.follower.at_head().snapshot)

    def is_good() -> bool:
        return roster.is_of(state, lake.server.app.follower.at_head().snapshot)

    assert is_good()
    lake.server.client_as("ada")
    roster = Roster(state, lake.server.app.follower.at_head().snapshot)
    lake.admin.grants.grant("BROWSE", "catalog", "main", "ada@example.com")
    assert is_good()
    lake.admin.tables.rename("main.raw.orders", "purchases")
    assert not is_good()
    lake.admin.tables.rename("main.raw.purchases", "orders")
    assert not roster.is_of(state._replace(nodes=Map({1: None})), lake.server.app.follower.at_head().snapshot)


def test_answers_follow_every_change_of_a_name(lake: Lake) -> None:
    """Asked before each, so that what was worked out then would be told."""

    def sources() -> set[str]:
        return shown(lake.admin.lineage.traverse("main.sales.menu", direction="upstream"))[0] - {"sales.menu"}

    assert sources() == {"raw.orders"}
    lake.admin.tables.rename("main.raw.orders", "purchases")
    assert sources() == {"raw.purchases"}
    lake.admin.schemas.rename("main.raw", "rough")
    assert sources() == {"rough.purchases"}
    lake.admin.tables.delete("main.rough.purchases")
    found = lake.admin.lineage.traverse("main.sales.menu", include_states=["DROPPED"])
    assert [node.dropped for node in found.nodes] == [False, True]


def test_answers_follow_every_grant_and_are_each_caller_s_own(lake: Lake) -> None:
    lake.admin.tables.create("main.sales.bills", columns=[{"name": "id", "type_text": "BIGINT"}])
    lake.admin.tables.create("main.sales.sums", columns=[{"name": "id", "type_text": "BIGINT"}])
    lake.made("sales.bills", "sales.sums")
    eve, bob = lake.server.client_as("eve"), lake.server.client_as("bob")
    lake.admin.grants.grant("BROWSE", "catalog", "main", "bob@example.com")
    for privilege, kind, name in (
        ("USE CATALOG", "catalog", "main"),
        ("USE SCHEMA", "schema", "main.sales"),
        ("SELECT", "table", "main.sales.bills"),
    ):
        lake.admin.grants.grant(privilege, kind, name, "eve@example.com")

    def hidden(client: Client) -> list[bool]:
        return [node.hidden for node in client.lineage.traverse("main.sales.bills").nodes]

    for _ in range(2):
        assert (hidden(eve), hidden(bob)) == ([False, True], [False, False])
        lake.admin.grants.grant("SELECT", "table", "main.sales.sums", "eve@example.com")
        assert (hidden(eve), hidden(bob)) == ([False, False], [False, False])
        lake.admin.grants.revoke("SELECT", "table", "main.sales.sums", "eve@example.com")


def test_what_a_grant_showed_is_hidden_once_it_has_ended_and_nobody_changed_anything(lake: Lake) -> None:
    for name in ("ends", "begins"):
        lake.admin.tables.create(f"main.sales.{name}", columns=[{"name": "id", "type_text": "BIGINT"}])
    lake.made("sales.begins", "sales.ends")
    zoe = lake.server.client_as("zoe")
    end = datetime.now(UTC) + timedelta(seconds=2)
    for privilege, kind, name, until in (
        ("USE CATALOG", "catalog", "main", None),
        ("USE SCHEMA", "schema", "main.sales", None),
        ("SELECT", "table", "main.sales.begins", None),
        ("SELECT", "table", "main.sales.ends", end),
    ):
        lake.admin.grants.grant(privilege, kind, name, "zoe@example.com", expire_time=until)

    def hidden() -> list[bool]:
        return [node.hidden for node in zoe.lineage.traverse("main.sales.begins").nodes]

    assert hidden() == [False, False]
    give_up = time.monotonic() + 60
    while hidden() == [False, False]:
        assert time.monotonic() < give_up, "the grant does not end"
        time.sleep(0.05)
    assert hidden() == [False, True]


def test_an_asset_nobody_knows_is_decided_by_itself(lake: Lake) -> None:
    state = LineageState("epoch", 1, Graph.of(1, []), Map(), Map(), 3, MappingNumbers())
    snapshot = lake.server.app.follower.at_head().snapshot
    roster = Roster(state, snapshot)
    groups = roster.groups_of(np.arange(4, dtype=np.int32), snapshot)
    assert [roster.groups[number] for number in groups.tolist()] == [None] * 4


def test_rows_of_an_answer_are_read_like_a_tuple(lake: Lake) -> None:
    lake.made("sales.menu", "s3://bucket|out")
    lake.made("sales.menu", "kafka://broker|out")
    found = lake.admin.lineage.traverse("main.sales.menu", direction="downstream")
    assert list(found.edges) == [LineageEdge("0", "1"), LineageEdge("0", "2")]
    assert (found.edges[-1], found.edges[:1]) == (LineageEdge("0", "2"), (LineageEdge("0", "1"),))
    assert [node.id for node in found.nodes] == ["0", "1", "2"]
    assert found.nodes[0] in found.nodes
    with pytest.raises(IndexError):
        found.edges[2]
