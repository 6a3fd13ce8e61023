"""Declared lineage through a real server: what is declared is in the graph, who may declare, and what is left when it changes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from lakewarden import AlreadyExists, Client, InvalidArgument, NotFound, PermissionDenied, ResourceExhausted
from lakewarden._external_lineage import shown
from lakewarden_server.entities import LineageDeclaration, LineageEdge, LineageMapping
from lakewarden_server.lineage import declaring
from lakewarden_server.testing import serve
from lineage.lake import Lake, of

ANN = "ann@example.com"
RAW, REPORT, SECRET = "main.raw.orders", "main.sales.report", "main.hidden.orders"
DASHBOARD = {"target_type": "external_metadata"}


@pytest.fixture(scope="module")
def lake() -> Iterator[Lake]:
    with serve() as server:
        tables = ("raw.orders", "sales.report", "sales.copy", "hidden.orders", "sales.moving")
        lake = Lake(server, tables, ("id", "key", "other"))
        admin = lake.admin
        admin.external_metadata.create("dashboard", "TABLEAU", "dashboard", columns=["revenue"])
        admin.models.create("main.sales.churn")
        admin.models.create_version("main.sales.churn", source="s3://lake/models/churn")
        role = {"role_arn": "arn:aws:iam::123456789012:role/lake"}
        admin.storage_credentials.create("key", "aws_iam_role", role)
        admin.external_locations.create("drop", "s3://lake/drop", "key")
        server.client_as("ann")
        for privilege, kind, name in (
            ("USE CATALOG", "catalog", "main"), ("USE SCHEMA", "schema", "main.raw"),
            ("USE SCHEMA", "schema", "main.sales"),
        ):  # fmt: skip
            admin.grants.grant(privilege, kind, name, ANN)
        yield lake


@pytest.fixture(autouse=True)
def nothing_is_left(lake: Lake) -> Iterator[None]:
    """Each test takes back what it declared, and then the graph has no edge any more."""
    yield
    with lake.server.app.database.reading() as connection:
        assert connection.execute(select(LineageDeclaration.id)).all() == []
        assert {row.state for row in connection.execute(select(LineageEdge.state))} <= {"RETRACTED"}


@pytest.fixture
def ann(lake: Lake) -> Client:
    return lake.server.client_as("ann")


def neighbours(client: Client, name: str, direction: str, **more: Any) -> set[str]:
    found = client.lineage.traverse(name, direction=direction, max_depth=1, **more)
    return {node.label for node in found.nodes if node.distance}


def columns(lake: Lake) -> list[list[tuple[str, str]]]:
    """Of each live edge, which column was made of which."""
    with lake.server.app.database.reading() as connection:
        statement = select(LineageMapping.columns).join_from(
            LineageEdge, LineageMapping, LineageEdge.mapping_hash == LineageMapping.hash
        )
        stored = connection.execute(statement.where(LineageEdge.state == "LIVE")).scalars().all()
    return sorted(sorted((use[1], use[0]) for use in mapping) for mapping in stored)


ENDS = [
    ((RAW, ""), ("dashboard", "external_metadata"), "dashboard"),
    (("dashboard", "external_metadata"), (REPORT, ""), REPORT),
    (("s3://lake/drop/orders", ""), (RAW, ""), RAW),
    ((REPORT, "table"), ("s3://lake/drop/report", "path"), "s3://lake drop/report"),
    ((RAW, ""), ("main.sales.churn/1", "model_version"), "main.sales.churn"),
    ((RAW, ""), (REPORT, ""), REPORT),
]


@pytest.mark.parametrize(("source", "target", "label"), ENDS, ids=[target[0] for _, target, _ in ENDS])
def test_what_is_declared_is_in_the_graph_until_it_is_taken_back(
    lake: Lake, source: tuple[str, str], target: tuple[str, str], label: str
) -> None:
    admin = lake.admin
    ends = {"source_type": source[1], "target_type": target[1]}
    made = admin.external_lineage.create(
        source[0], target[0], columns=[("id", "key")], properties={"a": "b"}, **ends
    )
    assert (shown(made.source), shown(made.target), dict(made.properties)) == (
        source[0],
        target[0],
        {"a": "b"},
    )
    assert made.created_by == made.updated_by == "admin@example.com"
    root = {"asset_type": "" if source[1] == "model_version" else source[1]}
    assert neighbours(admin, source[0], "downstream", **root) == {label}
    assert columns(lake) == [[("id", "key")]]
    listed = list(admin.external_lineage.list(source[0], asset_type=source[1], direction="downstream"))
    assert (
        listed
        == [made]
        == list(admin.external_lineage.list(target[0], asset_type=target[1], direction="upstream"))
    )
    assert not list(admin.external_lineage.list(source[0], asset_type=source[1], direction="upstream"))
    with pytest.raises(AlreadyExists):
        admin.external_lineage.create(source[0], target[0], **ends)
    admin.external_lineage.delete(source[0], target[0], **ends)
    assert neighbours(admin, source[0], "downstream", **root) == set()
    with pytest.raises(NotFound):
        admin.external_lineage.delete(source[0], target[0], **ends)


def test_an_update_replaces_what_the_mask_names_whole(lake: Lake) -> None:
    declared = lake.admin.external_lineage
    before = declared.create(RAW, REPORT, columns=[("id", "id"), ("id", "key")], properties={"a": "b"})
    after = declared.update(RAW, REPORT, columns=[("id", "other")])
    assert columns(lake) == [[("id", "other")]], "nothing of what was said before"
    assert (after.id, dict(after.properties), after.create_time) == (
        before.id,
        {"a": "b"},
        before.create_time,
    )
    declared.update(RAW, REPORT, columns=[], properties={})
    assert columns(lake) == [[]]
    assert neighbours(lake.admin, REPORT, "upstream") == {RAW}
    declared.delete(RAW, REPORT)
    with pytest.raises(NotFound):
        declared.update(RAW, REPORT, columns=[])
    again = declared.create(RAW, REPORT)
    assert again.id != before.id
    declared.delete(RAW, REPORT)


RIGHTS = [
    # source, target, the grants it takes
    ((RAW, ""), (REPORT, ""), [("SELECT", "table", RAW), ("SELECT", "table", REPORT), ("MODIFY", "table", REPORT)]),
    ((RAW, ""), ("dashboard", "external_metadata"), [("SELECT", "table", RAW), ("MODIFY", "external_metadata", "dashboard")]),
    (
        ("dashboard", "external_metadata"), (REPORT, ""),
        [("MODIFY", "external_metadata", "dashboard"), ("SELECT", "table", REPORT), ("MODIFY", "table", REPORT)],
    ),
    (
        ("s3://lake/drop/a", ""), ("s3://lake/drop/b", ""),
        [("READ FILES", "external_location", "drop"), ("WRITE FILES", "external_location", "drop")],
    ),
    (
        (RAW, ""), ("main.sales.churn/1", "model_version"),
        [("SELECT", "table", RAW), ("CREATE MODEL VERSION", "registered_model", "main.sales.churn")],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("source", "target", "grants"), RIGHTS, ids=[target[0] for _, target, _ in RIGHTS])
def test_it_takes_reading_the_source_and_writing_the_target(
    lake: Lake,
    ann: Client,
    source: tuple[str, str],
    target: tuple[str, str],
    grants: list[tuple[str, str, str]],
) -> None:
    ends = {"source_type": source[1], "target_type": target[1]}

    def all_ways_are_refused() -> None:
        for act in (ann.external_lineage.create, ann.external_lineage.delete):
            with pytest.raises(PermissionDenied):
                act(source[0], target[0], **ends)
        with pytest.raises(PermissionDenied):
            ann.external_lineage.update(source[0], target[0], columns=[], **ends)

    for left_out in grants:
        for grant in grants:
            if grant != left_out:
                lake.admin.grants.grant(*grant, ANN)
        all_ways_are_refused()
        for grant in grants:
            if grant != left_out:
                lake.admin.grants.revoke(*grant, ANN)
    for grant in grants:
        lake.admin.grants.grant(*grant, ANN)
    ann.external_lineage.create(source[0], target[0], **ends)
    lake.admin.external_lineage.delete(source[0], target[0], **ends)
    for grant in grants:
        lake.admin.grants.revoke(*grant, ANN)


def test_what_is_hidden_is_like_what_is_not_there(lake: Lake, ann: Client) -> None:
    lake.admin.external_lineage.create(RAW, SECRET)
    lake.admin.external_lineage.create(RAW, REPORT)

    def refusals(name: str) -> list[str]:
        told = []
        for call in (
            lambda: ann.external_lineage.create(name, REPORT),
            lambda: ann.external_lineage.create(REPORT, name),
            lambda: ann.external_lineage.delete(RAW, name),
            lambda: list(ann.external_lineage.list(name)),
        ):
            with pytest.raises(PermissionDenied) as denied:
                call()
            told.append(str(denied.value).replace(name, "NAME"))
        return told

    for table in (RAW, REPORT):
        lake.admin.grants.grant("SELECT", "table", table, ANN)
    assert refusals(SECRET) == refusals("main.hidden.nothing")
    assert {shown(found.target) for found in ann.external_lineage.list(RAW)} == {REPORT}
    assert {shown(found.target) for found in lake.admin.external_lineage.list(RAW)} == {REPORT, SECRET}
    for table in (RAW, REPORT):
        lake.admin.grants.revoke("SELECT", "table", table, ANN)
    for target in (SECRET, REPORT):
        lake.admin.external_lineage.delete(RAW, target)


def test_pages_hold_what_is_seen_and_tokens_are_of_their_list(lake: Lake, ann: Client) -> None:
    targets = [f"s3://lake/drop/{number}" for number in range(7)]
    for target in [*targets, SECRET]:
        lake.admin.external_lineage.create(RAW, target)
    found = list(lake.admin.external_lineage.list(RAW, page_size=3))
    assert sorted(shown(each.target) for each in found) == sorted([*targets, SECRET])
    assert [each.id for each in found] == sorted(each.id for each in found)
    page = lake.admin.external_lineage._call("ListExternalLineage", object={"table": RAW}, page_size=3)
    assert (len(page.external_lineage), bool(page.next_page_token)) == (3, True)
    with pytest.raises(InvalidArgument) as refused:
        lake.admin.external_lineage._call(
            "ListExternalLineage", object={"table": REPORT}, page_token=page.next_page_token
        )
    assert refused.value.reason == "PAGE_TOKEN_INVALID"
    for target in [*targets, SECRET]:
        lake.admin.external_lineage.delete(RAW, target)


def test_a_page_of_large_relationships_is_bounded_by_its_bytes(lake: Lake) -> None:
    columns = [(f"{number:04}{'s' * 250}", f"{number:04}{'t' * 250}") for number in range(1_000)]
    targets = [f"s3://lake/drop/{number}" for number in range(5)]
    wide = "s3://lake/drop/wide"
    for target in targets:
        lake.admin.external_lineage.create(wide, target, columns=columns)
    page = lake.admin.external_lineage._call("ListExternalLineage", object={"path": wide})
    assert 1 <= len(page.external_lineage) < len(targets)
    assert page.ByteSize() < 1 << 21
    assert sorted(shown(each.target) for each in lake.admin.external_lineage.list(wide)) == targets
    for target in targets:
        lake.admin.external_lineage.delete(wide, target)


def test_a_renamed_table_keeps_what_is_declared(lake: Lake) -> None:
    lake.admin.external_lineage.create(RAW, "main.sales.moving")
    lake.admin.tables.rename("main.sales.moving", "moved")
    assert neighbours(lake.admin, RAW, "downstream") == {"main.sales.moved"}
    assert [shown(found.target) for found in lake.admin.external_lineage.list(RAW)] == ["main.sales.moved"]
    lake.admin.external_lineage.delete(RAW, "main.sales.moved")


@pytest.mark.parametrize(
    ("source", "target", "more", "field"),
    [
        (RAW, RAW, {}, "target"),
        (RAW, REPORT, {"columns": [("", "x")]}, "columns"),
        (RAW, REPORT, {"columns": [("x", "y" * 256)]}, "columns"),
        (RAW, REPORT, {"columns": [("x", str(number)) for number in range(1_001)]}, "columns"),
        (RAW, REPORT, {"properties": {"": "x"}}, "properties"),
        (RAW, "main.sales.churn/2", {"target_type": "model_version"}, "target"),
        ("s3://lake/drop/../x", REPORT, {}, "source"),
    ],
)
def test_what_cannot_be_declared_is_refused(
    lake: Lake, source: str, target: str, more: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        lake.admin.external_lineage.create(source, target, **more)
    assert (refused.value.reason, refused.value.metadata["field"]) == ("FIELD_INVALID", field)


@pytest.mark.parametrize(
    ("pair", "told"),
    [
        (("nothing", "id"), "main.raw.orders has no column 'nothing'"),
        (("id", "nothing"), "main.sales.report has no column 'nothing'"),
        (("nothing.field", "id"), "main.raw.orders has no column 'nothing.field'"),
    ],
)
def test_a_column_that_a_table_has_not_is_refused_and_named(
    lake: Lake, ann: Client, pair: tuple[str, str], told: str
) -> None:
    declared = lake.admin.external_lineage
    with pytest.raises(InvalidArgument) as refused:
        declared.create(RAW, REPORT, columns=[("id", "id"), pair])
    assert (refused.value.reason, refused.value.metadata["field"]) == ("FIELD_INVALID", "columns")
    assert told in str(refused.value)
    declared.create(RAW, REPORT, columns=[("ID", "Key"), ("id.part", "other")])
    with pytest.raises(InvalidArgument, match=told):
        declared.update(RAW, REPORT, columns=[pair])
    assert columns(lake) == [[("id", "key"), ("id.part", "other")]], "as the tables spell them"
    declared.delete(RAW, REPORT)
    # Who may not declare it is not told which columns there are.
    refusals = []
    for column in (pair, ("id", "id")):
        with pytest.raises(PermissionDenied) as denied:
            ann.external_lineage.create(RAW, REPORT, columns=[column])
        refusals.append(str(denied.value))
    assert refusals[0] == refusals[1]


def test_any_column_may_be_said_of_what_has_none_that_are_known(lake: Lake) -> None:
    lake.admin.tables.create("main.sales.unknown")
    lake.admin.external_lineage.create(
        "main.sales.unknown", "dashboard", columns=[("any", "thing")], **DASHBOARD
    )
    assert columns(lake) == [[("any", "thing")]]
    lake.admin.external_lineage.delete("main.sales.unknown", "dashboard", **DASHBOARD)
    lake.admin.tables.delete("main.sales.unknown")


def test_a_metastore_has_a_bounded_number(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(declaring, "RELATIONSHIPS_MAX", 1)
    lake.admin.external_lineage.create(RAW, REPORT)
    with pytest.raises(ResourceExhausted) as refused:
        lake.admin.external_lineage.create(RAW, "main.sales.copy")
    assert refused.value.reason == "QUOTA_EXCEEDED"
    lake.admin.external_lineage.delete(RAW, REPORT)


def test_whoever_knows_the_run_of_a_declaration_changes_nothing_of_it(lake: Lake, ann: Client) -> None:
    """Events of others with the same run and job are of other runs."""
    lake.admin.external_lineage.create(RAW, REPORT)
    lake.admin.grants.grant("LINEAGE PRODUCER", "workspace", "workspace", ANN)
    with lake.server.app.database.reading() as connection:
        row = connection.execute(select(LineageDeclaration.__table__)).one()
    ann.lineage_events.record(
        {
            "eventType": "FAIL", "eventTime": "2026-11-27T12:00:00Z", "producer": "x", "schemaURL": "x",
            "run": {"runId": row.run_id}, "job": {"namespace": declaring.JOB_NAMESPACE, "name": f"declared/{row.id}"},
        }
    )  # fmt: skip
    assert neighbours(lake.admin, REPORT, "upstream") == {RAW}
    lake.admin.external_lineage.delete(RAW, REPORT)


def test_who_declared_adds_nothing_to_the_run_of_it_either(lake: Lake, ann: Client) -> None:
    """Else an edge would be told as declared by who may not declare it, and one stay that was taken back."""
    for privilege, kind, name in (
        ("USE CATALOG", "catalog", "main"), ("USE SCHEMA", "schema", "main.raw"), ("USE SCHEMA", "schema", "main.sales"),
        ("SELECT", "table", RAW), ("SELECT", "table", REPORT), ("MODIFY", "table", REPORT),
    ):  # fmt: skip
        lake.admin.grants.grant(privilege, kind, name, ANN)
    lake.admin.grants.grant("LINEAGE PRODUCER", "workspace", "workspace", ANN)
    ann.external_lineage.create(RAW, REPORT)
    (edge,) = ann.lineage.history(RAW, REPORT)
    said = {
        "eventType": "COMPLETE", "eventTime": "2026-01-01T12:00:00Z", "producer": "x", "schemaURL": "x",
        "run": {"runId": edge.last_run}, "job": {"namespace": "x", "name": "x"},
        "inputs": [of("raw.orders")], "outputs": [of("sales.report"), of("hidden.orders")],
    }  # fmt: skip
    later = (datetime.now(UTC) + timedelta(hours=20)).isoformat()
    for body in (said, said | {"eventTime": later}):
        with pytest.raises(InvalidArgument) as refused:
            ann.lineage_events.record(body)
        assert refused.value.metadata["code"] == "RUN_ID_INVALID"
    with pytest.raises(InvalidArgument):
        ann.lineage.record_sql(f"INSERT INTO {SECRET} SELECT * FROM {RAW}", run_id=edge.last_run)
    assert neighbours(lake.admin, RAW, "downstream") == {REPORT}
    lake.admin.external_lineage.delete(RAW, REPORT)
    assert neighbours(lake.admin, RAW, "downstream") == set()


def test_the_same_on_both_databases(database_url: str) -> None:
    with serve(database_url=database_url) as server:
        lake = Lake(server, ("raw.orders", "sales.report"), ("id", "key"))
        lake.admin.external_lineage.create(RAW, REPORT, columns=[("id", "id")])
        lake.admin.external_lineage.update(RAW, REPORT, columns=[("id", "key")])
        assert columns(lake) == [[("id", "key")]]
        assert len(list(lake.admin.external_lineage.list(RAW))) == 1
        lake.admin.external_lineage.delete(RAW, REPORT)
        assert columns(lake) == []
