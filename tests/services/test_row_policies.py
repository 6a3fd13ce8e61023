"""Row filters and column masks: set, shown, kept safe, and told to engines that apply them; nobody else reads the table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from lakewarden import PlanAnswer
from lakewarden_policy import SqlFunction
from lakewarden_server.services.expansion import Session, policy_sql
from lakewarden_server.testing import EmbeddedServer, serve
from services.errors import fails

ANN = "ann@example.com"
ALL = ("ROW_FILTER", "COLUMN_MASK", "VIEW_EXPANSION")
COLUMNS = [{"name": name, "type_text": "VARCHAR"} for name in ("id", "SSN", "region", 'od"d')]
Fresh = Callable[[str], str]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def hr(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    """Functions to filter and mask with, and ann, who reads everything in `main` but owns nothing."""
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_server").create_migrated()
    with serve(database_url=url) as server:
        admin = server.client()
        server.client_as("ann")
        admin.catalogs.create("main")
        admin.schemas.create("main.hr")
        for name in ("inner", "outer"):
            admin.groups.create(name)
        admin.groups.update_members("outer", add=["inner"])
        create = admin.functions.create
        create("main.hr.own", ["r VARCHAR"], "BOOLEAN", "r = 'eu' OR is_account_group_member('outer')")
        create("main.hr.mine", ["who VARCHAR"], "BOOL", "who = current_user()")
        create("main.hr.stars", ["x VARCHAR"], "VARCHAR", "CASE WHEN session_user() = x THEN X ELSE '*' END")
        create("main.hr.pair", ["x VARCHAR", "y VARCHAR"], "VARCHAR", "concat(y, 'x', x)")
        create("main.hr.text", ["x VARCHAR"], "VARCHAR", "x")
        create("main.hr.lookup", ["x VARCHAR"], "BOOLEAN", "x IN (SELECT 'a')")
        create("main.hr.total", ["x VARCHAR"], "BOOLEAN", "max(x) = 'a'")
        create("main.hr.nested", ["x VARCHAR"], "BOOLEAN", "main.hr.own(x)")
        create(
            "main.hr.lambda", ["x VARCHAR"], "BOOLEAN", "list_contains(list_transform([x], y -> y || x), 'a')"
        )
        admin.grants.grant(["USE CATALOG", "USE SCHEMA", "SELECT", "MODIFY"], "catalog", "main", ANN)
        yield server


@pytest.fixture
def people(hr: EmbeddedServer, fresh: Fresh) -> str:
    return hr.client().tables.create(f"main.hr.{fresh('people')}", COLUMNS).full_name


def _plan(
    client: Any, name: str, *, can: tuple[str, ...] = ALL, privilege: str = "SELECT", kind: str = "TABLE"
) -> PlanAnswer:
    access = SimpleNamespace(full_name=name, privilege=privilege, securable_type=kind)
    answer: PlanAnswer = client.authorize_plan([access], capabilities=can)
    return answer


def test_function_that_guards_is_named_to_who_may_see_it(hr: EmbeddedServer, people: str) -> None:
    admin, ann = hr.client(), hr.client_as("ann")
    admin.tables.set_row_filter(people, "main.hr.own", ["region"])
    admin.tables.set_column_mask(people, "ssn", "main.hr.stars")

    def shown() -> set[tuple[str, str]]:
        listed = {table.full_name: table for table in ann.tables.list("main.hr")}
        return {
            (table.row_filter.function, table.columns[1].mask.function)
            for table in (ann.tables.get(people), listed[people])
        }

    assert ann.tables.get(people).HasField("row_filter")
    assert shown() == {("", "")}
    with fails("COLUMN_IN_USE", "FAILED_PRECONDITION") as failure:
        ann.tables.update(people, columns=[COLUMNS[0], *COLUMNS[2:]])
    assert "stars" not in failure.error.message
    admin.grants.grant("EXECUTE", "function", "main.hr.stars", ANN)
    assert shown() == {("", "main.hr.stars")}
    admin.grants.revoke("EXECUTE", "function", "main.hr.stars", ANN)


def test_filter_is_set_shown_and_dropped(hr: EmbeddedServer, people: str) -> None:
    admin = hr.client()
    changed = admin.tables.set_row_filter(people, "MAIN.hr.own", ["REGION"])
    assert (changed.row_filter.function, list(changed.row_filter.columns)) == ("main.hr.own", ["region"])
    listed = {table.full_name: table for table in admin.tables.list("main.hr")}
    assert listed[people].row_filter == changed.row_filter
    replaced = admin.tables.set_row_filter(people, "main.hr.mine", ["id"], etag=changed.etag)
    assert replaced.row_filter.function == "main.hr.mine"
    with fails("ETAG_MISMATCH"):
        admin.tables.drop_row_filter(people, etag=changed.etag)
    assert not admin.tables.drop_row_filter(people).HasField("row_filter")
    assert not admin.tables.drop_row_filter(people).HasField("row_filter"), "once more changes nothing"


def test_mask_is_set_shown_and_dropped(hr: EmbeddedServer, people: str) -> None:
    admin = hr.client()
    changed = admin.tables.set_column_mask(people, "ssn", "main.hr.pair", using=["ID"])
    mask = {column.name: column.mask for column in changed.columns if column.HasField("mask")}
    assert {name: (found.function, list(found.using_columns)) for name, found in mask.items()} == {
        "SSN": ("main.hr.pair", ["id"])
    }
    assert next(iter(admin.tables.list("main.hr", omit_columns=True))).columns == []
    dropped = admin.tables.drop_column_mask(people, "Ssn")
    assert not any(column.HasField("mask") for column in dropped.columns)
    with fails("FIELD_INVALID", saying="no column"):
        admin.tables.drop_column_mask(people, "nothing")


@pytest.mark.parametrize(
    ("function", "columns", "reason"),
    [
        ("own", ["nothing"], "FIELD_INVALID"),
        ("own", [], "FIELD_INVALID"),
        ("own", ["id", "region"], "FIELD_INVALID"),
        ("text", ["id"], "FUNCTION_UNSUITABLE"),
        ("lookup", ["id"], "FUNCTION_UNSUITABLE"),
        ("total", ["id"], "FUNCTION_UNSUITABLE"),
        ("nested", ["id"], "FUNCTION_UNSUITABLE"),
        ("lambda", ["id"], "FUNCTION_UNSUITABLE"),
        ("no_such_function", ["id"], "ACCESS_DENIED"),
    ],
)
def test_function_that_does_not_fit_is_refused(
    hr: EmbeddedServer, people: str, function: str, columns: list[str], reason: str
) -> None:
    with fails(reason):
        hr.client().tables.set_row_filter(people, f"main.hr.{function}", columns)


def test_setting_needs_management_and_execute(hr: EmbeddedServer, people: str) -> None:
    admin, ann = hr.client(), hr.client_as("ann")
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        ann.tables.set_row_filter(people, "main.hr.own", ["region"])
    admin.grants.grant("MANAGE", "table", people, ANN)
    with fails("ACCESS_DENIED", "PERMISSION_DENIED", saying="function main.hr.own"):
        ann.tables.set_row_filter(people, "main.hr.own", ["region"])
    admin.grants.grant("EXECUTE", "function", "main.hr.own", ANN)
    ann.tables.set_row_filter(people, "main.hr.own", ["region"])
    admin.grants.revoke("EXECUTE", "function", "main.hr.own", ANN)
    ann.tables.drop_row_filter(people)


def test_plan_tells_filter_and_masks_about_the_session_user(hr: EmbeddedServer, people: str) -> None:
    admin, ann = hr.client(), hr.client_as("ann")
    admin.tables.set_row_filter(people, "main.hr.own", ["region"])
    admin.tables.set_column_mask(people, "SSN", "main.hr.stars")
    admin.tables.set_column_mask(people, 'od"d', "main.hr.pair", using=["id"])
    answer = _plan(ann, people)
    assert answer.allowed
    assert answer.row_filters[people] == "((\"region\") = 'eu' OR FALSE)"
    assert answer.column_masks[people] == {
        "SSN": f"(CASE WHEN '{ANN}' = (\"SSN\") THEN (\"SSN\") ELSE '*' END)",
        'od"d': '(CONCAT(("id"), \'x\', ("od""d")))',
    }
    admin.groups.update_members("inner", add=[ANN])
    assert _plan(ann, people).row_filters[people].endswith("OR TRUE)")
    admin.groups.update_members("inner", remove=[ANN])


def test_name_with_a_quote_stays_a_literal() -> None:
    """Names may hold none today; the expression must not rest on it."""
    function = SqlFunction("f", ("who",), "who = current_user()")
    shown = policy_sql(function, ["id"], Session("o'neil' OR 'a' = 'a", frozenset()))
    assert shown == "((\"id\") = 'o''neil'' OR ''a'' = ''a')"


def test_nobody_is_told_the_text_that_was_written_for_another() -> None:
    body = "who = current_user() OR is_account_group_member('a') OR is_account_group_member('b')"
    sessions = [
        Session(user, frozenset(groups))
        for user in ("ann", "bob")
        for groups in ((), ("a",), ("b",), ("a", "b"), ("c",))
    ]
    for session in (*sessions, *reversed(sessions)):
        shown = policy_sql(SqlFunction("f", ("who",), body), ["id"], session)
        told = " OR ".join("TRUE" if group in session.groups else "FALSE" for group in ("a", "b"))
        assert shown == f"((\"id\") = '{session.user}' OR {told})"
    other = policy_sql(SqlFunction("f", ("who",), body), ["other"], sessions[0])
    assert other.startswith('(("other") =')
    assert policy_sql(SqlFunction("f", ("who",), "who = 'x'"), ["id"], sessions[0]) == "((\"id\") = 'x')"


@pytest.mark.parametrize("missing", ["ROW_FILTER", "COLUMN_MASK"])
@pytest.mark.parametrize("privilege", ["SELECT", "MODIFY", "ALL PRIVILEGES"])
def test_engine_that_does_not_apply_them_is_denied(
    hr: EmbeddedServer, people: str, missing: str, privilege: str
) -> None:
    admin, ann = hr.client(), hr.client_as("ann")
    admin.grants.grant("ALL PRIVILEGES", "table", people, ANN)
    admin.tables.set_row_filter(people, "main.hr.own", ["region"])
    admin.tables.set_column_mask(people, "SSN", "main.hr.stars")
    answer = _plan(ann, people, can=tuple(set(ALL) - {missing}), privilege=privilege)
    assert not answer.allowed
    assert missing in answer.denials[0].reason
    assert answer.row_filters == {}
    assert answer.column_masks == {}
    assert _plan(ann, people, privilege=privilege).allowed
    assert ann.authorization.check(privilege, "table", people).allowed, "the right itself is not in question"


def test_audit_says_which_function_guards_which_columns(hr: EmbeddedServer, people: str) -> None:
    admin = hr.client()
    admin.tables.set_column_mask(people, "ssn", "main.hr.pair", using=["ID"])
    (record,) = admin.audit.list(action="table.set_policy", limit=1)
    assert (record.object_name, record.detail["function"]) == (people, "main.hr.pair")
    assert json.loads(record.detail["columns"]) == ["SSN", "id"]


def test_owner_and_admin_are_filtered_too(hr: EmbeddedServer, people: str) -> None:
    admin = hr.client()
    admin.tables.set_row_filter(people, "main.hr.mine", ["id"])
    assert not _plan(admin, people, can=()).allowed
    assert "admin@example.com" in _plan(admin, people).row_filters[people]


def test_function_in_use_is_not_deleted(hr: EmbeddedServer, people: str) -> None:
    admin = hr.client()
    admin.schemas.create("main.safe")
    admin.functions.create("main.safe.f", ["x VARCHAR"], "BOOLEAN", "x = 'a'")
    admin.tables.set_row_filter(people, "main.safe.f", ["id"])
    for delete in (
        lambda: admin.functions.delete("main.safe.f"),
        lambda: admin.schemas.delete("main.safe", force=True),
    ):
        with fails("FUNCTION_IN_USE", "FAILED_PRECONDITION", saying=people):
            delete()
    with fails("FUNCTION_IN_USE", saying="uses nothing but its parameters"):
        admin.functions.redefine("main.safe.f", "x IN (SELECT 'a')")
    admin.functions.redefine("main.safe.f", "x = 'b'")
    assert "'b'" in _plan(hr.client_as("ann"), people).row_filters[people]
    assert admin.functions.rename("main.safe.f", "g").name == "g"
    assert admin.tables.get(people).row_filter.function == "main.safe.g"
    admin.tables.delete(people)
    admin.schemas.delete("main.safe", force=True)


def test_table_and_function_that_go_together_may_go(hr: EmbeddedServer) -> None:
    admin = hr.client()
    admin.schemas.create("main.gone")
    admin.tables.create("main.gone.t", COLUMNS)
    admin.functions.create("main.gone.f", ["x VARCHAR"], "BOOLEAN", "x = 'a'")
    admin.tables.set_row_filter("main.gone.t", "main.gone.f", ["id"])
    admin.schemas.delete("main.gone", force=True)


def test_columns_in_use_are_neither_dropped_nor_renamed(hr: EmbeddedServer, people: str) -> None:
    admin = hr.client()
    admin.tables.set_row_filter(people, "main.hr.own", ["region"])
    admin.tables.set_column_mask(people, "SSN", "main.hr.pair", using=["id"])
    for lost in ("id", "SSN", "region"):
        kept = [column for column in COLUMNS if column["name"] != lost]
        with fails("COLUMN_IN_USE", "FAILED_PRECONDITION", saying=lost.lower()):
            admin.tables.update(people, columns=[*kept, {"name": f"{lost}2", "type_text": "INT"}])
    changed = admin.tables.update(people, columns=[*reversed(COLUMNS), {"name": "new", "type_text": "INT"}])
    assert [column.name for column in changed.columns if column.HasField("mask")] == ["SSN"]


def test_restored_table_is_as_guarded_as_before(hr: EmbeddedServer, people: str) -> None:
    admin, ann = hr.client(), hr.client_as("ann")
    admin.functions.create("main.hr.brief", ["x VARCHAR"], "BOOLEAN", "x = 'a'")
    admin.tables.set_row_filter(people, "main.hr.brief", ["id"])
    admin.tables.set_column_mask(people, "SSN", "main.hr.stars")
    admin.tables.delete(people)
    admin.functions.delete("main.hr.brief")
    assert admin.tables.undelete(people).HasField("row_filter")
    answer = _plan(ann, people)
    assert not answer.allowed
    assert "is gone" in answer.denials[0].reason
    admin.tables.drop_row_filter(people)
    assert set(_plan(ann, people).column_masks[people]) == {"SSN"}


def test_policies_of_the_base_hold_through_views(hr: EmbeddedServer, people: str, fresh: Fresh) -> None:
    """A view is read as its owner, but filters and masks ask about whoever runs the query."""
    admin, ann = hr.client(), hr.client_as("ann")
    low, high = f"main.hr.{fresh('low')}", f"main.hr.{fresh('high')}"
    admin.tables.set_row_filter(people, "main.hr.mine", ["id"])
    admin.views.create(low, f"SELECT id, ssn FROM {people} WHERE current_user() <> ''")
    admin.views.create(high, f"SELECT id FROM {low}")
    for without in ("ROW_FILTER", "VIEW_EXPANSION"):
        denied = _plan(ann, high, can=tuple(set(ALL) - {without}), kind="VIEW")
        assert not denied.allowed
        assert without in denied.denials[0].reason
    relations = _plan(ann, high, kind="VIEW").relations
    assert relations[people].row_filter == f"((\"id\") = '{ANN}')"
    assert f"'{ANN}' <> ''" in relations[low].definition
    assert set(relations) == {people, low, high}


def test_functions_in_views_are_told_as_their_bodies_or_the_view_is_denied(
    hr: EmbeddedServer, people: str, fresh: Fresh
) -> None:
    admin, ann = hr.client(), hr.client_as("ann")
    name = f"main.hr.{fresh('view')}"
    admin.views.create(
        name, f"SELECT main.hr.pair(id, main.hr.text(ssn)) AS x, main.hr.nested(id) AS n FROM {people}"
    )
    definition = _plan(ann, name, kind="VIEW").relations[name].definition
    assert definition.startswith(
        "SELECT (CONCAT((((ssn))), 'x', (id))) AS x, ((((id)) = 'eu' OR FALSE)) AS n FROM"
    )
    admin.views.redefine(name, f"SELECT id || main.hr.text(ssn), main.hr.text('a') FROM {people}")
    definition = _plan(ann, name, kind="VIEW").relations[name].definition
    assert ' AS "id || main.hr.text(ssn)", ' in definition, "an engine would name it after the body"
    admin.views.redefine(name, f"SELECT main.hr.lookup(id) AS x FROM {people}")
    assert ann.authorization.check("SELECT", "view", name).allowed
    denied = _plan(ann, name, kind="VIEW")
    assert not denied.allowed
    assert "cannot be expanded" in denied.denials[0].reason
    assert _plan(ann, name, can=(), kind="VIEW").allowed, (
        "an engine with views of its own calls the function itself"
    )


@pytest.mark.parametrize("can", [(), ALL])
def test_what_reads_a_guarded_table_out_of_a_function_or_refresh_is_denied(
    hr: EmbeddedServer, people: str, fresh: Fresh, can: tuple[str, ...]
) -> None:
    """A yes without a filter would be a yes without the filter: nothing in it says what to apply inside."""
    admin, ann = hr.client(), hr.client_as("ann")
    function, stored = f"main.hr.{fresh('peek')}", f"main.hr.{fresh('stored')}"
    admin.functions.create(function, ["x VARCHAR"], "VARCHAR", f"(SELECT max(ssn) FROM {people})")
    admin.materialized_views.create(stored, f"SELECT ssn FROM {people}")
    admin.grants.grant("EXECUTE", "function", function, ANN)
    admin.grants.grant("REFRESH", "materialized_view", stored, ANN)
    asked = (("EXECUTE", "FUNCTION", function), ("REFRESH", "MATERIALIZED_VIEW", stored))
    for privilege, kind, name in asked:
        assert _plan(ann, name, privilege=privilege, kind=kind, can=can).allowed
    admin.tables.set_column_mask(people, "SSN", "main.hr.stars")
    for privilege, kind, name in asked:
        assert not _plan(ann, name, privilege=privilege, kind=kind, can=can).allowed
        assert ann.authorization.check(privilege, kind, name).allowed, (
            "the grant stands; only how to read cannot be told"
        )
    assert _plan(ann, stored, kind="MATERIALIZED_VIEW", can=can).allowed, "stored rows are read as they are"
