"""Leaks through a real server: copies of masked columns that are not masked, who reads them, and who is told."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from math import inf
from typing import Any

import pytest

from lakewarden import Client, LakewardenError, PermissionDenied
from lakewarden.cli import main
from lakewarden.v1 import lineage_governance_pb2 as pb
from lakewarden_server.lineage import column_uses, leaks
from lakewarden_server.services import lineage_leaks
from lakewarden_server.services.lineage_graph import LINEAGE_SECONDS_MAX
from lakewarden_server.testing import EmbeddedServer, serve
from lineage.corpus import dataset, event
from lineage.lake import OURS, Lake

PEOPLE, CONTACTS = "main.crm.people", "main.marts.contacts"
LOCKED = "CASE WHEN is_account_group_member('privacy') THEN x ELSE '***' END"
CTAS = "CREATE TABLE marts.contacts AS SELECT id, lower(email) AS contact FROM crm.people WHERE region = 'EU'"
OWN = "is_account_group_member('privacy') OR x = 'EU'"
RUNS = itertools.count(1)
Told = tuple[str, str, tuple[str, ...]]


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    with serve() as found:
        for name in ("ann", "bob", "eve"):
            found.client_as(name)
        found.client().grants.grant("QUERY ENGINE", "workspace", "workspace", "admin@example.com")
        yield found


@pytest.fixture
def lake(server: EmbeddedServer) -> Iterator[Lake]:
    """People with a masked email; Ann and Bob read the marts, Eve of privacy reads everything and so does the admin."""
    found = Lake(server)
    admin, grants = found.admin, found.admin.grants
    for schema in ("crm", "marts"):
        admin.schemas.create(f"main.{schema}")
    text = [{"name": name, "type_text": "VARCHAR"} for name in ("id", "email", "region")]
    admin.tables.create(PEOPLE, columns=text)
    admin.tables.create(CONTACTS, columns=[{**text[0]}, {**text[1], "name": "contact"}])
    admin.functions.create("main.crm.locked", ["x VARCHAR"], "VARCHAR", LOCKED)
    admin.functions.create("main.crm.own", ["x VARCHAR"], "BOOLEAN", OWN)
    for group, members in (("privacy", ("eve", "admin")), ("analysts", ("ann", "bob"))):
        admin.groups.create(group)
        admin.groups.update_members(group, add=[f"{name}@example.com" for name in members])
    admin.tables.set_column_mask(PEOPLE, "email", "main.crm.locked")
    grants.grant(["USE CATALOG", "USE SCHEMA"], "catalog", "main", "account users")
    grants.grant("SELECT", "catalog", "main", "privacy")
    grants.grant("SELECT", "schema", "main.marts", "analysts")
    yield found
    admin.catalogs.delete("main", force=True)
    for group in ("privacy", "analysts"):
        admin.groups.delete(group)


def made(lake: Lake, source: str, target: str, *, masking: bool = False, **columns: str) -> None:
    """A run made one table of another, and its columns of columns; now, since the tables of the test before had the same names."""
    how = {"type": "DIRECT", "subtype": "TRANSFORMATION", "masking": masking}
    fields = {
        column: {
            "inputFields": [{"namespace": OURS, "name": source, "field": used, "transformations": [how]}]
        }
        for column, used in columns.items()
    }
    facets = {"columnLineage": {"fields": fields}} if columns else {}
    outputs = [dataset(target, OURS, **facets)]
    now = time.time() - 1_767_225_600
    lake.record(event(second=now, run=next(RUNS), inputs=[dataset(source, OURS)], outputs=outputs))


def of(client: Client, *tables: str, **asked: Any) -> list[Told]:
    """Source, copy and readers of every leak told."""
    answer = client.lineage_governance.leaks(tables, **asked)
    assert answer.truncated_by == ""
    return [(_shown(leak.way[0]), _shown(leak.way[-1]), readers(leak)) for leak in answer.leaks]


def readers(leak: pb.LineageLeak) -> tuple[str, ...]:
    return tuple(f"{each.source.principal} {each.principal_count}" for each in leak.readers)


def _shown(step: pb.LeakStep) -> str:
    return f"{step.name}.{step.column}" if step.column else step.name


LEAK = (f"{PEOPLE}.email", f"{CONTACTS}.contact", ("analysts 2",))


def test_a_copy_of_a_masked_column_is_found_until_it_is_masked_or_nobody_reads_it(lake: Lake) -> None:
    admin = lake.admin
    assert of(admin) == []
    admin.lineage.record_sql(CTAS, catalog="main", job_namespace="airflow", job_name="load")
    assert of(admin) == [LEAK]
    (leak,) = admin.lineage_governance.leaks().leaks
    assert (leak.protection, leak.function) == (pb.LineageLeak.COLUMN_MASK, "main.crm.locked")
    assert (leak.evidence, leak.indirect, leak.source_grants_hidden) == (pb.LineageLeak.COLUMN, False, False)
    assert [list(step.jobs) for step in leak.way] == [[], ["airflow load"]]
    source = leak.readers[0].source
    assert (source.privilege, source.full_name, source.principal) == ("SELECT", "main.marts", "analysts")

    admin.tables.set_column_mask(CONTACTS, "contact", "main.crm.locked")
    assert of(admin) == []
    admin.tables.drop_column_mask(CONTACTS, "contact")
    assert of(admin) == [LEAK]
    admin.grants.revoke("SELECT", "schema", "main.marts", "analysts")
    assert of(admin) == []
    admin.grants.grant("SELECT", "table", CONTACTS, "bob@example.com")
    assert of(admin) == [(*LEAK[:2], ("bob@example.com 1",))]
    # Who belongs to those whom the mask spares reads the source as it is.
    admin.groups.update_members("privacy", add=["bob@example.com"])
    assert of(admin) == []
    admin.groups.update_members("privacy", remove=["bob@example.com"])
    admin.tables.drop_column_mask(PEOPLE, "email")
    assert of(admin) == []


def test_the_command_shows_leaks_and_fails_where_asked_to(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    lake.admin.lineage.record_sql(CTAS, catalog="main", job_namespace="airflow", job_name="load")
    server = lake.server
    line = ["lineage", "leaks", "--endpoint", server.endpoint, "--token", server.admin_token]
    line += ["--workspace", "workspace"]
    assert main(line) == 0
    shown = capsys.readouterr().out
    assert "main.crm.people.email" in shown
    assert "mask main.crm.locked" in shown
    assert "SELECT on schema main.marts to analysts (2)" in shown
    assert main([*line, "--fail", "--format", "json"]) == 1
    assert '"column": "contact"' in capsys.readouterr().out
    for wrong in ("nonsense", CONTACTS, f"{CONTACTS}."):
        assert main([*line, "--column", wrong]) == 2
        assert "write catalog.schema.table.column" in capsys.readouterr().err
    lake.admin.tables.set_column_mask(CONTACTS, "contact", "main.crm.locked")
    assert main([*line, "--fail"]) == 0


def test_an_answer_that_is_not_whole_fails_too(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.admin.lineage.record_sql(CTAS, catalog="main")
    monkeypatch.setattr(lineage_leaks, "PLACES_MAX", 0)
    answer = lake.admin.lineage_governance.leaks()
    assert (list(answer.leaks), answer.truncated_by) == ([], "NODES")
    server = lake.server
    line = ["lineage", "leaks", "--endpoint", server.endpoint, "--token", server.admin_token]
    assert main([*line, "--workspace", "workspace", "--fail"]) == 1
    monkeypatch.setattr(lineage_leaks, "PLACES_MAX", 1)
    assert of(lake.admin) == [LEAK]
    monkeypatch.setattr(lineage_leaks, "ANSWER_BYTES_MAX", 10)
    answer = lake.admin.lineage_governance.leaks()
    assert (list(answer.leaks), answer.truncated_by) == ([], "LEAKS")
    monkeypatch.undo()
    monkeypatch.setattr(column_uses, "USES_READ_MAX", 0)
    answer = lake.admin.lineage_governance.leaks()
    assert (list(answer.leaks), answer.truncated_by) == ([], "TIME")
    monkeypatch.undo()
    monkeypatch.setattr(lineage_leaks, "LEAKS_MAX", 0)
    assert lake.admin.lineage_governance.leaks().truncated_by == "LEAKS"
    monkeypatch.setattr(lineage_leaks, "SOURCES_MAX", 0)
    assert lake.admin.lineage_governance.leaks().truncated_by == "SOURCES"


@pytest.mark.parametrize(("looks", "told"), [(2, []), (4, [CONTACTS])])
def test_time_that_runs_out_within_a_step_ends_it_and_what_was_found_is_told(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, looks: int, told: list[str]
) -> None:
    lake.admin.lineage.record_sql(CTAS, catalog="main")
    asked = []

    class Clock:
        """Runs out for what follows, with the first edge of a step, and never for what decides."""

        def __call__(self) -> float:
            asked.append(None)
            return 0.0 if len(asked) < looks else inf

    monkeypatch.setattr(leaks, "monotonic", Clock())
    lake.admin.lineage.record_sql(
        "CREATE TABLE marts.more AS SELECT contact FROM marts.contacts", catalog="main"
    )
    answer = lake.admin.lineage_governance.leaks()
    assert [leak.way[-1].name for leak in answer.leaks] == told
    assert answer.truncated_by == "TIME"


def test_half_of_the_time_is_for_deciding_about_what_was_found(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(
        lineage_leaks, "Followed", lambda *given: asked.append(given[1]) or leaks.Followed(*given)
    )
    lake.admin.lineage.record_sql(CTAS, catalog="main")
    began = time.monotonic()
    lake.admin.lineage_governance.leaks()
    assert all(0 < until - began < LINEAGE_SECONDS_MAX / 2 + 1 for until in asked)
    assert asked


def test_a_view_shows_what_the_table_it_reads_shows(lake: Lake) -> None:
    admin = lake.admin
    admin.views.create("main.marts.seen", f"SELECT email FROM {PEOPLE}", columns=["email"])
    admin.views.create("main.marts.told", f"SELECT contact FROM {CONTACTS}", columns=["contact"])
    admin.lineage.record_sql(f"CREATE VIEW main.marts.seen AS SELECT email FROM {PEOPLE}")
    assert of(admin) == []
    made(lake, "main.marts.seen", CONTACTS, contact="email")
    admin.lineage.record_sql(f"CREATE VIEW main.marts.told AS SELECT contact FROM {CONTACTS}")
    told = (LEAK[0], "main.marts.told.contact", LEAK[2])
    assert of(admin) == [LEAK, told]
    admin.tables.set_column_mask(CONTACTS, "contact", "main.crm.locked")
    # The mask on what the view reads is on the view.
    assert of(admin) == []


def test_what_was_masked_on_the_way_or_only_chose_rows_is_no_copy(lake: Lake) -> None:
    admin = lake.admin
    made(lake, PEOPLE, CONTACTS, masking=True, contact="email")
    assert of(admin) == []
    admin.lineage.record_sql(
        "INSERT INTO marts.contacts (id) SELECT id FROM crm.people WHERE email <> ''", catalog="main"
    )
    assert of(admin) == []
    (leak,) = admin.lineage_governance.leaks(include_indirect=True).leaks
    assert (leak.indirect, leak.evidence, leak.way[-1].column) == (True, pb.LineageLeak.TABLE, "")


def test_a_filtered_table_and_lineage_without_columns_are_weaker_evidence(lake: Lake) -> None:
    admin = lake.admin
    made(lake, PEOPLE, CONTACTS)
    assert of(admin) == [(f"{PEOPLE}.email", CONTACTS, ("analysts 2",))]
    admin.tables.set_row_filter(PEOPLE, "main.crm.own", ["region"])
    leaks = admin.lineage_governance.leaks([PEOPLE]).leaks
    assert {(leak.protection, leak.evidence) for leak in leaks} == {
        (pb.LineageLeak.COLUMN_MASK, pb.LineageLeak.TABLE),
        (pb.LineageLeak.ROW_FILTER, pb.LineageLeak.TABLE),
    }
    admin.lineage.record_sql(CTAS, catalog="main")
    # Of the column more is known now; which of the filtered rows are there nobody said.
    assert [_shown(leak.way[-1]) for leak in admin.lineage_governance.leaks().leaks] == [
        CONTACTS,
        f"{CONTACTS}.contact",
    ]
    admin.tables.set_row_filter(CONTACTS, "main.crm.own", ["id"])
    assert of(admin) == [LEAK]


def test_a_named_column_is_followed_though_nothing_masks_it(lake: Lake) -> None:
    lake.admin.lineage.record_sql(CTAS, catalog="main")
    assert of(lake.admin, columns=[(PEOPLE, "ID")]) == [(f"{PEOPLE}.id", f"{CONTACTS}.id", ("analysts 2",))]
    assert len(of(lake.admin, columns=[(PEOPLE, "id")] * 2)) == 1
    lake.admin.grants.grant("SELECT", "table", PEOPLE, "bob@example.com")
    assert of(lake.admin, columns=[(PEOPLE, "id")])[0][2] == ("analysts 1",)
    with pytest.raises(LakewardenError) as refused:
        lake.admin.lineage_governance.leaks(columns=[(PEOPLE, "iban")])
    assert refused.value.reason == "FIELD_INVALID"
    with pytest.raises(LakewardenError):
        lake.admin.lineage_governance.leaks(max_depth=101)


def test_many_columns_of_a_wide_table_are_followed_in_time(lake: Lake) -> None:
    names = [f"c{number}" for number in range(2_000)]
    lake.admin.tables.create("main.crm.wide", columns=[{"name": n, "type_text": "VARCHAR"} for n in names])
    made(lake, "main.crm.wide", CONTACTS, contact="c0")
    asked = [("main.crm.wide", name) for name in names[:300]]
    assert [leak[:2] for leak in of(lake.admin, columns=asked)] == [
        ("main.crm.wide.c0", f"{CONTACTS}.contact")
    ]


def test_data_stays_where_it_went_when_a_table_on_the_way_is_dropped(lake: Lake) -> None:
    admin = lake.admin
    admin.tables.create("main.crm.stage", columns=[{"name": "mail", "type_text": "VARCHAR"}])
    admin.lineage.record_sql("INSERT INTO crm.stage (mail) SELECT email FROM crm.people", catalog="main")
    admin.lineage.record_sql(
        "INSERT INTO marts.contacts (contact) SELECT mail FROM crm.stage", catalog="main"
    )
    assert LEAK in of(admin)
    admin.tables.delete("main.crm.stage")
    assert of(admin) == [LEAK]


def test_it_is_told_to_who_sees_the_way_and_grants_on_the_copy(lake: Lake) -> None:
    """Grants on the source are another matter: without them all readers of the copy are named."""
    admin, ann = lake.admin, lake.server.client_as("ann")
    admin.lineage.record_sql(CTAS, catalog="main")
    assert of(ann) == []
    admin.grants.grant("BROWSE", "catalog", "main", "ann@example.com")
    assert of(ann) == []
    admin.grants.grant("MANAGE", "table", CONTACTS, "ann@example.com")
    (leak,) = ann.lineage_governance.leaks().leaks
    assert leak.source_grants_hidden
    assert leak.function == "main.crm.locked"
    assert readers(leak) == ("admin@example.com 1", "analysts 2", "privacy 2")
    admin.grants.grant("MANAGE", "table", PEOPLE, "ann@example.com")
    assert of(ann) == [LEAK]
    admin.grants.revoke("BROWSE", "catalog", "main", "ann@example.com")
    admin.grants.revoke("MANAGE", "table", PEOPLE, "ann@example.com")
    assert of(ann) == []
    for name in (PEOPLE, "main.crm.nothing"):
        with pytest.raises(PermissionDenied) as refused:
            ann.lineage_governance.leaks([name])
        assert (
            refused.value.message == f"table {name} does not exist, or you may not use it from this workspace"
        )


def test_a_way_through_a_hidden_table_is_not_told(lake: Lake) -> None:
    """To who sees both ends and grants on them: the same answer as without that table's lineage."""
    admin, ann = lake.admin, lake.server.client_as("ann")
    admin.schemas.create("main.dark")
    admin.tables.create("main.dark.stage", columns=[{"name": "mail", "type_text": "VARCHAR"}])
    for table in (PEOPLE, CONTACTS):
        admin.grants.grant("MANAGE", "table", table, "ann@example.com")
    before = ann.lineage_governance.leaks()
    admin.lineage.record_sql("INSERT INTO dark.stage (mail) SELECT email FROM crm.people", catalog="main")
    admin.lineage.record_sql(
        "INSERT INTO marts.contacts (contact) SELECT mail FROM dark.stage", catalog="main"
    )
    assert LEAK in of(admin)
    after = ann.lineage_governance.leaks()
    assert (list(after.leaks), after.truncated_by) == (list(before.leaks), "") == ([], "")
    admin.grants.grant("SELECT", "table", "main.dark.stage", "ann@example.com")
    assert LEAK in of(ann)
    # She sees that the column is masked, and not the function that does it.
    assert {leak.function for leak in ann.lineage_governance.leaks().leaks} == {""}


def test_what_bears_a_tag_is_followed_a_column_alone_and_a_table_as_a_whole(lake: Lake) -> None:
    admin = lake.admin
    admin.lineage.record_sql(CTAS, catalog="main")
    assert of(admin, tags=["pii"]) == []
    admin.tags.update("table", PEOPLE, set={"pii": "name"}, column="id")
    named = (f"{PEOPLE}.id", f"{CONTACTS}.id", ("analysts 2",))
    assert of(admin, tags=["pii"]) == of(admin, tags=["pii=name", "pii"]) == [named]
    assert of(admin, tags=["pii=", "pii=no", "PII"]) == []
    admin.tags.update("table", PEOPLE, set={"pii": "email"}, column="email")
    # Of a masked column only those are meant who are shown something else than what is there.
    assert of(admin, tags=["pii"]) == [LEAK, named]
    assert of(admin, tags=["pii=email"], columns=[(PEOPLE, "id"), (PEOPLE, "email")]) == [LEAK, named]
    whole = (PEOPLE, CONTACTS, ("analysts 2",))
    for kind, name in (("catalog", "main"), ("schema", "main.crm"), ("table", PEOPLE)):
        admin.tags.update(kind, name, set={"secret": "yes"})
        assert of(admin, tags=["secret=yes"]) == [whole]
        admin.tags.update(kind, name, set={"secret": "no"})
        assert of(admin, tags=["secret=yes"]) == []
    admin.grants.grant("SELECT", "table", PEOPLE, "analysts")
    assert of(admin, tags=["secret"]) == []
    for wrong in (["=x"], ["k"] * 101):
        with pytest.raises(LakewardenError) as refused:
            admin.lineage_governance.leaks(tags=wrong)
        assert refused.value.reason == "FIELD_INVALID"


def test_a_tagged_table_one_may_not_see_is_as_if_it_were_not_tagged(lake: Lake) -> None:
    admin, ann = lake.admin, lake.server.client_as("ann")
    admin.lineage.record_sql(CTAS, catalog="main")
    admin.grants.grant("MANAGE", "table", CONTACTS, "ann@example.com")
    before = ann.lineage_governance.leaks(tags=["pii"])
    admin.tags.update("table", PEOPLE, set={"pii": ""})
    admin.tags.update("table", PEOPLE, set={"pii": ""}, column="id")
    after = ann.lineage_governance.leaks(tags=["pii"])
    assert (list(after.leaks), after.truncated_by) == (list(before.leaks), before.truncated_by) == ([], "")
    admin.grants.grant("BROWSE", "catalog", "main", "ann@example.com")
    assert {leak.source_grants_hidden for leak in ann.lineage_governance.leaks(tags=["pii"]).leaks} == {True}
    admin.grants.revoke("BROWSE", "catalog", "main", "ann@example.com")
