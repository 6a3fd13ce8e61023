"""Who sees a path that has other names: whoever sees every external location over its paths, however they were linked."""

from __future__ import annotations

import pytest

from lakewarden import Client, PermissionDenied
from lakewarden_server.lineage.follower import LineageFollower
from lineage.corpus import dataset, event, symlinks
from lineage.lake import Lake, may_use, of
from lineage.volume_files import upstream

HIDDEN = "s3://lake/secret/f"


@pytest.fixture
def lake(stored_lake: Lake) -> Lake:
    stored_lake.admin.external_locations.create("open", "s3://bench", "key")
    return stored_lake


def teller(lake: Lake, name: str, *sees: str) -> Client:
    """Who may tell of lineage, and sees a table and some external locations."""
    client = may_use(lake, name, "sales.report")
    lake.admin.grants.grant("LINEAGE PRODUCER", "workspace", "workspace", f"{name}@example.com")
    for location in sees:
        lake.admin.grants.grant("BROWSE", "external_location", location, f"{name}@example.com")
    return client


def told(client: Client, run: int, path: tuple[str, str], *links: tuple[str, str], output: str = "") -> None:
    """A run read a path, which has other names, into a table or dataset."""
    linked = {"symlinks": symlinks(*links)} if links else {}
    client.lineage_events.record(
        event(
            run=run,
            second=run,
            inputs=[dataset(path[1], path[0], **linked)],
            outputs=[of(output) if output else dataset("o", "eve")],
        )
    )


def sees(client: Client, path: str) -> bool:
    try:
        return bool(client.lineage.traverse(path).nodes)
    except PermissionDenied:
        return False


def paths_of_x(lake: Lake, follower: LineageFollower) -> list[tuple[str, ...]]:
    """What a server knows, beside its name, of where `s3://bench/x` lies."""
    with lake.server.app.database.read() as uow:
        return [node.other_paths for node in follower.at_head(uow).nodes.values() if node.name == "x"]


@pytest.mark.parametrize("other", [("s3://bench", "x"), ("s3://a-bench", "x"), ("a://a", "x")])
def test_a_symlink_shows_no_path_in_a_location_that_is_hidden(lake: Lake, other: tuple[str, str]) -> None:
    if other[0] == "s3://a-bench":
        lake.admin.external_locations.create("other", "s3://a-bench", "key")
        bob, eve = teller(lake, "bob", "lake"), teller(lake, "eve", "other")
    else:
        bob, eve = teller(lake, "bob", "lake"), teller(lake, "eve", "open")
    told(bob, 1, ("s3://lake", "secret/f"), output="sales.report")
    assert upstream(bob, "main.sales.report") == {("s3://lake secret/f", "sales.report")}
    told(eve, 2, other, ("s3://lake", "secret/f"))
    assert upstream(eve, "main.sales.report") == {("(hidden)", "sales.report")}
    assert not sees(eve, HIDDEN)
    assert sees(lake.admin, HIDDEN)


def test_who_names_a_path_first_sees_it_only_with_its_location(lake: Lake) -> None:
    bob, eve = teller(lake, "bob", "lake"), teller(lake, "eve", "open")
    told(eve, 1, ("a://a", "x"), ("s3://lake", "secret/f"))
    told(bob, 2, ("s3://lake", "secret/f"), output="sales.report")
    assert upstream(eve, "main.sales.report") == {("(hidden)", "sales.report")}
    assert not sees(eve, HIDDEN)
    assert upstream(bob, "main.sales.report") == {("a://a x", "sales.report")}


def test_a_location_shows_nothing_that_another_named_elsewhere(lake: Lake) -> None:
    bob, eve = teller(lake, "bob"), teller(lake, "eve", "open")
    told(bob, 1, ("snowflake://acme", "DB.PAY.ROLL"), output="sales.report")
    assert sorted(upstream(bob, "main.sales.report")) == [("snowflake://acme DB.PAY.ROLL", "sales.report")]
    told(eve, 2, ("s3://bench", "x"), ("snowflake://acme", "DB.PAY.ROLL"))
    assert not sees(eve, "s3://bench/x")
    assert upstream(eve, "main.sales.report") == {("(hidden)", "sales.report")}


def test_a_path_of_two_locations_is_seen_with_both_on_every_server(lake: Lake) -> None:
    bob, ben = teller(lake, "bob", "lake", "open"), teller(lake, "ben", "open")
    told(bob, 1, ("s3://bench", "x"), output="sales.report")
    assert sees(ben, "s3://bench/x")
    follower = LineageFollower()
    assert paths_of_x(lake, follower) == [()]
    # The asset keeps its name and whoever told of it; what it lies in is more than before.
    told(bob, 2, ("s3://bench", "x"), ("s3://lake", "secret/f"))
    assert not sees(ben, "s3://bench/x")
    assert sees(bob, "s3://bench/x")
    assert upstream(bob, "main.sales.report") == {("s3://bench x", "sales.report")}
    assert paths_of_x(lake, follower) == paths_of_x(lake, LineageFollower()) == [(HIDDEN,)]
    lake.admin.grants.grant("BROWSE", "external_location", "lake", "ben@example.com")
    assert sees(ben, "s3://bench/x")
