"""Questions about lineage put to a real server: what is shown, to whom, and what is not told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lakewarden import Client, LakewardenError, PermissionDenied
from lakewarden.cli import main
from lakewarden_server.testing import serve
from lineage.corpus import dataset, event
from lineage.lake import OURS, Lake, may_use, shown
from lineage.volume_files import registered

TABLES = ("raw.orders", "raw.prices", "sales.menu", "sales.dinner", "sales.report")


@pytest.fixture
def lake() -> Iterator[Lake]:
    with serve() as server:
        found = Lake(server, TABLES)
        found.made("kafka://broker:9092|clicks", "raw.orders")
        found.made("raw.orders", "sales.menu")
        found.made("raw.prices", "sales.menu")
        found.made("sales.menu", "sales.dinner")
        found.made("sales.dinner", "sales.report")
        yield found


def test_the_owner_sees_everything_both_ways(lake: Lake) -> None:
    found = lake.admin.lineage.traverse("main.sales.menu")
    assert shown(found) == (
        {"sales.menu", "raw.orders", "raw.prices", "sales.dinner", "sales.report", "kafka://broker clicks"},
        {
            ("raw.orders", "sales.menu"),
            ("raw.prices", "sales.menu"),
            ("sales.menu", "sales.dinner"),
            ("sales.dinner", "sales.report"),
            ("kafka://broker clicks", "raw.orders"),
        },
    )
    assert found.truncated_by == ""
    distances = {node.label: node.distance for node in found.nodes}
    assert (distances["main.sales.report"], distances["kafka://broker clicks"]) == (2, -2)


def test_a_neighbour_one_may_not_see_is_hidden_and_not_looked_behind(lake: Lake) -> None:
    reader = may_use(lake, "ada", "sales.menu")
    # What is worked out for one caller is not told to another.
    assert "sales.dinner" in shown(lake.admin.lineage.traverse("main.sales.menu", direction="downstream"))[0]
    found = reader.lineage.traverse("main.sales.menu", direction="downstream")
    assert shown(found) == ({"sales.menu", "(hidden)"}, {("sales.menu", "(hidden)")})
    hidden = next(node for node in found.nodes if node.hidden)
    assert (hidden.name, hidden.kind, found.truncated_by) == ("", "", "")


def test_not_even_the_bytes_of_an_answer_tell_what_was_recorded_of_hidden_tables() -> None:
    """The same lake twice, in one of them with runs between hidden tables before, among and after the others."""
    told = []
    for secret in (False, True):
        with serve() as server:
            lake = Lake(server, (*TABLES, "raw.dark", "raw.darker"))
            reader = may_use(lake, "ada", "sales.menu", "sales.report")
            for source, target in (("raw.orders", "sales.menu"), ("sales.menu", "sales.report")):
                if secret:
                    lake.made("raw.dark", "raw.darker")
                    lake.made("raw.darker", "raw.dark")
                lake.made(source, target)
            if secret:
                lake.made("raw.orders", "raw.dark")
                lake.made("raw.dark", "raw.orders")
            answer = reader.lineage._call("TraverseLineage", root={"table": "main.sales.menu"})
            told.append(answer.SerializeToString(deterministic=True))
    assert told[0] == told[1]
    assert b"sales.report" in told[0]


def test_handles_of_hidden_assets_do_not_tell_which_was_recorded_first(lake: Lake) -> None:
    """Of three hidden sources the last one recorded is known by its edge's state; its handle is any of the three."""
    reader = may_use(lake, "ada", "sales.menu")
    lake.made("sales.report", "sales.menu", kind="START")
    met = set()
    for _ in range(40):
        found = reader.lineage.traverse(
            "main.sales.menu", direction="upstream", include_states=["PROVISIONAL"]
        )
        assert [node.hidden for node in found.nodes] == [False, True, True, True]
        met |= {edge.source_id for edge in found.edges if edge.state == "PROVISIONAL"}
    assert met == {"1", "2", "3"}


def test_two_jobs_that_do_the_same_are_one_edge(lake: Lake) -> None:
    lake.made("raw.orders", "sales.menu")
    found = lake.admin.lineage.traverse("main.sales.menu", direction="upstream", max_depth=1)
    assert len(found.edges) == 2
    assert len(set(found.edges)) == 2


def test_a_grant_shows_it_with_the_next_call_and_a_revoke_hides_it(lake: Lake) -> None:
    reader = may_use(lake, "ada", "sales.menu", "sales.report")
    lake.admin.grants.grant("BROWSE", "catalog", "main", "ada@example.com")
    assert "sales.dinner" in shown(reader.lineage.traverse("main.sales.menu"))[0]
    lake.admin.grants.revoke("BROWSE", "catalog", "main", "ada@example.com")
    assert "sales.dinner" not in shown(reader.lineage.traverse("main.sales.menu"))[0]


def test_a_hidden_root_is_answered_like_one_that_does_not_exist(lake: Lake) -> None:
    reader = may_use(lake, "ada", "sales.menu")

    def refusal(name: str) -> tuple[str, str]:
        with pytest.raises(PermissionDenied) as refused:
            reader.lineage.traverse(name)
        return refused.value.reason, str(refused.value).replace(name, "X")

    assert refusal("main.sales.dinner") == refusal("main.sales.nothing")
    assert refusal("main.raw.orders") == refusal("main.none.at_all")
    assert refusal("kafka://broker/clicks") == refusal("s3://none/at/all")


def test_what_is_in_no_catalog_is_shown_to_admins_of_the_metastore_only(lake: Lake) -> None:
    reader = may_use(lake, "ada", "raw.orders")
    admin = lake.admin.lineage.traverse("clicks", namespace="kafka://broker:9092")
    assert "raw.orders" in shown(admin)[0]
    assert shown(reader.lineage.traverse("main.raw.orders", direction="upstream"))[0] == {
        "raw.orders",
        "(hidden)",
    }
    with pytest.raises(PermissionDenied):
        reader.lineage.traverse("clicks", namespace="kafka://broker:9092")


def test_a_catalog_that_is_not_bound_to_a_workspace_is_hidden_there(lake: Lake) -> None:
    lake.admin.catalogs.create("apart")
    lake.admin.schemas.create("apart.s")
    lake.admin.tables.create("apart.s.t", columns=[{"name": "id", "type_text": "BIGINT"}])
    lake.made("sales.report", "unitycatalog://lake.example.com|apart.s.t")
    assert "apart.s.t" in shown(lake.admin.lineage.traverse("main.sales.report"))[0]
    lake.admin.workspaces.create("elsewhere", metastore="metastore")
    there = lake.server.client(workspace="elsewhere")
    lake.admin.workspace_bindings.update("catalog", "apart", isolated=True)
    labels, _ = shown(there.lineage.traverse("main.sales.report", direction="downstream"))
    assert labels == {"sales.report", "(hidden)"}
    # Nor is it told when it is dropped, not even to who owns the metastore.
    lake.admin.tables.delete("apart.s.t")
    for client, name in ((there, "(hidden)"), (lake.admin, "apart.s.t")):
        found = client.lineage.traverse(
            "main.sales.report", direction="downstream", include_states=["DROPPED"]
        )
        assert {node.name or "(hidden)" for node in found.nodes} == {"main.sales.report", name}


def test_a_rename_shows_the_new_name_and_writes_no_lineage(lake: Lake) -> None:
    before = lake.changes()
    lake.admin.tables.rename("main.raw.orders", "purchases")
    lake.admin.schemas.rename("main.sales", "shop")
    registered(lake)
    assert lake.changes() == before
    labels, edges = shown(lake.admin.lineage.traverse("main.shop.menu"))
    assert {"raw.purchases", "shop.menu", "shop.dinner"} <= labels
    assert ("raw.purchases", "shop.menu") in edges


def test_a_dropped_table_stays_for_who_browses_what_it_was_in(lake: Lake) -> None:
    reader = may_use(lake, "ada", "sales.menu")
    lake.admin.tables.delete("main.raw.prices")
    assert shown(reader.lineage.traverse("main.sales.menu", direction="upstream"))[0] == {
        "sales.menu",
        "(hidden)",
    }
    lake.admin.grants.grant("BROWSE", "catalog", "main", "ada@example.com")
    found = reader.lineage.traverse("main.sales.menu", direction="upstream")
    assert {node.name for node in found.nodes if node.dropped} == {"main.raw.prices"}


def test_what_was_recorded_a_moment_ago_is_in_the_answer_and_a_failed_run_is_not(lake: Lake) -> None:
    lake.made("raw.orders", "sales.report", kind="START")
    assert ("raw.orders", "sales.report") not in shown(lake.admin.lineage.traverse("main.sales.report"))[1]
    sure = lake.admin.lineage.traverse("main.sales.report", include_states=["PROVISIONAL"])
    assert ("raw.orders", "sales.report") in shown(sure)[1]
    lake.made("raw.prices", "sales.report", kind="FAIL")
    everything = lake.admin.lineage.traverse("main.sales.report", include_states=["PROVISIONAL", "DROPPED"])
    assert ("raw.prices", "sales.report") not in shown(everything)[1]


def test_depth_and_number_of_nodes_bound_the_answer_and_it_says_so(lake: Lake) -> None:
    near = lake.admin.lineage.traverse("main.sales.menu", max_depth=1)
    assert (len(near.nodes), near.truncated_by) == (4, "DEPTH")
    few = lake.admin.lineage.traverse("main.sales.menu", max_nodes=2)
    assert (len(few.nodes), few.truncated_by) == (3, "NODES")


@pytest.mark.parametrize(
    "asked",
    [{"max_depth": 101}, {"max_depth": -1}, {"max_nodes": 20_001}, {"name": ""}, {"name": "main.sales"}],
)
def test_nonsense_is_refused_with_a_reason(lake: Lake, asked: dict[str, object]) -> None:
    with pytest.raises(LakewardenError) as refused:
        lake.admin.lineage.traverse(**{"name": "main.sales.menu"} | asked)  # type: ignore[arg-type]
    assert refused.value.reason in {"FIELD_INVALID", "NAME_INVALID"}


def test_ways_lead_through_what_may_be_seen_only(lake: Lake) -> None:
    def ways(client: Client) -> list[list[str]]:
        found = client.lineage.paths("main.raw.orders", "main.sales.report")
        return [[node.label.removeprefix("main.") for node in way] for way in found]

    lake.made("raw.orders", "raw.prices")
    whole = ["raw.orders", "sales.menu", "sales.dinner", "sales.report"]
    assert ways(lake.admin) == [whole, ["raw.orders", "raw.prices", *whole[1:]]]
    reader = may_use(lake, "ada", "raw.orders", "sales.report", "sales.menu")
    assert ways(reader) == []
    lake.admin.grants.grant("SELECT", "table", "main.sales.dinner", "ada@example.com")
    assert ways(reader) == [whole]


def test_the_command_line_shows_every_form(
    lake: Lake, capsys: pytest.CaptureFixture[str], tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("LAKEWARDEN_ENDPOINT", lake.server.endpoint)
    monkeypatch.setenv("LAKEWARDEN_TOKEN", lake.server.admin_token)
    monkeypatch.setenv("LAKEWARDEN_WORKSPACE", "workspace")
    assert main(["lineage", "upstream", "main.sales.menu"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "main.sales.menu",
        "  made of",
        "   ├─ main.raw.orders",
        "   │  └─ kafka://broker clicks  dataset",
        "   └─ main.raw.prices",
    ]
    for form in ("json", "dot", "mermaid", "svg"):
        assert main(["lineage", "show", "main.sales.menu", "--format", form]) == 0
        assert "main.sales.dinner" in capsys.readouterr().out
    target = tmp_path / "lineage.svg"
    assert main(["lineage", "show", "main.sales.menu", "--format", "svg", "--to", str(target)]) == 0
    assert target.read_text().startswith("<svg")
    assert main(["lineage", "paths", "main.raw.prices", "main.sales.dinner"]) == 0
    assert "main.raw.prices → main.sales.menu → main.sales.dinner" in capsys.readouterr().out
    assert main(["lineage", "paths", "main.sales.dinner", "main.raw.prices"]) == 1
    assert main(["lineage", "upstream", "main.sales.nothing"]) == 4


def test_an_answer_no_client_would_take_is_refused_and_a_smaller_one_given(lake: Lake) -> None:
    long, many = "x" * 3_900, 1_100
    names = [dataset(f"{number:04}{long}") for number in range(many)]
    for run, part in enumerate((names[: many // 2], names[many // 2 :]), 900):
        lake.record(event(run=run, inputs=part, outputs=[dataset("main.sales.report", OURS)]))
    with pytest.raises(LakewardenError, match="ask for fewer nodes") as refused:
        lake.admin.lineage.traverse("main.sales.report", direction="upstream", max_depth=1)
    assert refused.value.metadata["field"] == "max_nodes"
    found = lake.admin.lineage.traverse("main.sales.report", direction="upstream", max_depth=1, max_nodes=500)
    assert (len(found.nodes), found.truncated_by) == (501, "NODES")
