"""Declared lineage with an end that was dropped: who is told of it, and who may take it back."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from lakewarden import Client, InvalidArgument, NotFound, PermissionDenied
from lakewarden._external_lineage import shown
from lakewarden.cli import main
from lakewarden_server.testing import serve
from lineage.lake import Lake
from lineage.test_declared import ANN, RAW, REPORT


@pytest.fixture(scope="module")
def lake() -> Iterator[Lake]:
    with serve() as server:
        lake = Lake(server, ("raw.orders", "sales.report"))
        admin = lake.admin
        admin.models.create("main.sales.churn")
        admin.models.create_version("main.sales.churn", source="s3://lake/models/churn")
        role = {"role_arn": "arn:aws:iam::123456789012:role/lake"}
        admin.storage_credentials.create("key", "aws_iam_role", role)
        server.client_as("ann")
        for privilege, kind, name in (
            ("USE CATALOG", "catalog", "main"), ("USE SCHEMA", "schema", "main.raw"),
            ("USE SCHEMA", "schema", "main.sales"),
        ):  # fmt: skip
            admin.grants.grant(privilege, kind, name, ANN)
        yield lake


@pytest.fixture
def ann(lake: Lake) -> Client:
    return lake.server.client_as("ann")


def marked(client: Client, name: str) -> list[tuple[str, bool, str, bool]]:
    """What is listed of an object: the ends, and which of them are marked as dropped."""
    return [
        (shown(found.source), found.source.dropped, shown(found.target), found.target.dropped)
        for found in client.external_lineage.list(name)
    ]


def grants_of(lake: Lake, *grants: tuple[str, str, str], revoke: bool = False) -> None:
    change = lake.admin.grants.revoke if revoke else lake.admin.grants.grant
    for grant in grants:
        change(*grant, ANN)


def test_what_is_declared_of_a_dropped_table_is_listed_and_taken_back_by_its_id(
    lake: Lake, ann: Client
) -> None:
    admin = lake.admin
    admin.tables.create("main.sales.gone", columns=[{"name": "id", "type_text": "BIGINT"}])
    made = admin.external_lineage.create(RAW, "main.sales.gone")
    admin.tables.delete("main.sales.gone")
    whole = [(RAW, False, "main.sales.gone", True)]
    assert marked(admin, RAW) == whole
    with pytest.raises(PermissionDenied):
        admin.external_lineage.delete(RAW, "main.sales.gone")

    def not_told() -> bool:
        told = []
        for row_id in (made.id, "no-such-id"):
            with pytest.raises(NotFound) as refused:
                ann.external_lineage.delete_by_id(row_id)
            told.append(str(refused.value))
        return told[0] == told[1] and marked(ann, RAW) == []

    reads, browses = ("SELECT", "table", RAW), ("BROWSE", "catalog", "main")
    manages = ("MANAGE", "schema", "main.sales")
    grants_of(lake, reads)
    assert not_told()
    grants_of(lake, browses)
    assert marked(ann, RAW) == whole
    with pytest.raises(PermissionDenied, match="takes MANAGE on the schema"):
        ann.external_lineage.delete_by_id(made.id)
    grants_of(lake, reads, revoke=True)
    grants_of(lake, manages)
    with pytest.raises(PermissionDenied, match=f"SELECT denied on table {RAW}"):
        ann.external_lineage.delete_by_id(made.id)
    grants_of(lake, reads)
    ann.external_lineage.delete_by_id(made.id)
    grants_of(lake, reads, browses, manages, revoke=True)
    with pytest.raises(NotFound):
        admin.external_lineage.delete_by_id(made.id)


def test_who_declared_it_is_told_and_takes_it_back_when_an_end_was_dropped(lake: Lake, ann: Client) -> None:
    """Also of what is gone for good, whose name nobody knows any more, and from either end."""
    admin = lake.admin
    admin.external_metadata.create("feed", "KAFKA", "feed")
    grants = (
        ("SELECT", "table", RAW), ("MODIFY", "table", RAW), ("MODIFY", "external_metadata", "feed"),
    )  # fmt: skip
    grants_of(lake, *grants)
    to = ann.external_lineage.create(RAW, "feed", target_type="external_metadata")
    since = ann.external_lineage.create("feed", RAW, source_type="external_metadata")
    others = admin.external_lineage.create(RAW, REPORT)
    admin.external_metadata.delete("feed")
    whole = {(RAW, False, "", True), ("", True, RAW, False)}
    assert set(marked(ann, RAW)) == whole
    assert set(marked(admin, RAW)) == whole | {(RAW, False, REPORT, False)}
    with pytest.raises(NotFound):
        ann.external_lineage.delete_by_id(others.id)
    grants_of(lake, ("MODIFY", "table", RAW), revoke=True)
    with pytest.raises(PermissionDenied, match="MODIFY denied"):
        ann.external_lineage.delete_by_id(since.id)
    ann.external_lineage.delete_by_id(to.id)
    for found in (since, others):
        admin.external_lineage.delete_by_id(found.id)
    grants_of(lake, ("SELECT", "table", RAW), revoke=True)
    with pytest.raises(InvalidArgument, match="say either it or the source"):
        admin.external_lineage._call("DeleteExternalLineage", id=to.id, source={"table": RAW})


def test_who_declared_it_does_not_learn_what_the_other_end_was_called_since(lake: Lake, ann: Client) -> None:
    admin = lake.admin
    admin.tables.create("main.sales.known", columns=[{"name": "id", "type_text": "BIGINT"}])
    grants = (
        ("SELECT", "table", RAW), ("SELECT", "table", "main.sales.known"), ("MODIFY", "table", "main.sales.known"),
    )  # fmt: skip
    grants_of(lake, *grants)
    made = ann.external_lineage.create(RAW, "main.sales.known")
    grants_of(lake, *grants[1:], revoke=True)
    admin.tables.rename("main.sales.known", "secret")
    admin.tables.delete("main.sales.secret")
    assert marked(ann, RAW) == [(RAW, False, "", True)]
    assert marked(admin, RAW) == [(RAW, False, "main.sales.secret", True)]
    ann.external_lineage.delete_by_id(made.id)
    grants_of(lake, grants[0], revoke=True)


def test_a_path_whose_location_is_gone_and_a_version_that_is_gone_do_not_hold_what_is_declared(
    lake: Lake,
) -> None:
    admin = lake.admin
    admin.external_locations.create("brief", "s3://lake/brief", "key")
    admin.models.create_version("main.sales.churn", source="s3://lake/models/churn")
    made = [
        admin.external_lineage.create(RAW, "s3://lake/brief/x"),
        admin.external_lineage.create(RAW, "main.sales.churn/2", target_type="model_version"),
    ]
    admin.external_locations.delete("brief")
    admin.models.delete_version("main.sales.churn", 2)
    assert sorted(marked(admin, RAW)) == [
        (RAW, False, "main.sales.churn/2", False),
        (RAW, False, "s3://lake/brief/x", True),
    ]
    for found in made:
        admin.external_lineage.delete_by_id(found.id)
    assert marked(admin, RAW) == []


def test_a_table_that_is_restored_has_what_is_declared_of_it(lake: Lake) -> None:
    admin = lake.admin
    admin.tables.create("main.sales.back")
    admin.external_lineage.create(RAW, "main.sales.back")
    admin.tables.delete("main.sales.back")
    admin.tables.undelete("main.sales.back")
    assert marked(admin, RAW) == [(RAW, False, "main.sales.back", False)]
    admin.external_lineage.delete(RAW, "main.sales.back")


def test_the_command_marks_what_was_dropped_and_takes_back_by_id(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAKEWARDEN_ENDPOINT", lake.server.endpoint)
    monkeypatch.setenv("LAKEWARDEN_TOKEN", lake.server.admin_token)
    monkeypatch.setenv("LAKEWARDEN_WORKSPACE", lake.server.workspace or "")
    lake.admin.tables.create("main.sales.short")
    made = lake.admin.external_lineage.create(RAW, "main.sales.short")
    lake.admin.tables.delete("main.sales.short")
    assert main(["lineage", "declared", RAW, "-o", "json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["target"], told["create_time"]) == (
        "main.sales.short (dropped)",
        made.create_time.ToJsonString(),
    )
    for wrong in ([], [RAW], [RAW, REPORT, "--id", made.id]):
        assert main(["lineage", "undeclare", *wrong]) == 2
    assert main(["lineage", "undeclare", "--id", made.id]) == 0
    assert marked(lake.admin, RAW) == []
