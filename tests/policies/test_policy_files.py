"""The shipped policy files say what they should, and a damaged one is refused with file and line."""

from __future__ import annotations

import pytest

from lakewarden_policy import (
    FILTERED,
    KINDS,
    PUBLIC,
    WORKSPACE_GROUPS,
    Policy,
    UnknownOperation,
    UnknownPrivilege,
    load_policy,
    policy_texts,
)

EXCLUDED_FROM_ALL = {"MANAGE", "EXTERNAL_USE_SCHEMA", "ALL_PRIVILEGES"}


def damaged(before: str, after: str) -> Policy:
    """The shipped policy with the first occurrence of a text replaced, wherever it stands."""
    texts = policy_texts()
    assert any(before in text for text in texts)
    return Policy(*(text.replace(before, after, 1) for text in texts))


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("TABLE,MODIFY,yes", "TABEL,MODIFY,yes", r"privileges.csv:\d+: unknown kind 'TABEL'"),
        ("TABLE,MODIFY,yes", "TABLE,MODIFY,maybe", r"privileges.csv:\d+: grantable 'maybe'"),
        (",,,files,Use a path", ",,,storage,Use a path", r"privileges.csv:\d+: writes 'storage'"),
        ("TABLE,MODIFY,yes,WORKSPACE", "TABLE,MODIFY,yes,WORLD", r"privileges.csv:\d+: scope 'WORLD'"),
        ("TABLE,MODIFY,yes", "TABLE,modify,yes", r"privileges.csv:\d+: 'modify' is not a privilege name"),
        ("TABLE,MODIFY,yes", "TABLE,SELECT,yes", r"privileges.csv:\d+: TABLE:SELECT is defined twice"),
        ("SELECT MODIFY APPLY_TAG,", "SELECT MODIFY DANCE,", r"privileges.csv:\d+: .* unknown act 'TABLE:DANCE'"),
        ("TABLE:MANAGE TABLE:BROWSE", "TABLE:MANAGE TABLE:OWNER", r"privileges.csv:\d+: .* cannot be conferred"),
        ("self TABLE:SELECT", "schema TABLE:SELECT", r"privileges.csv:\d+: gate .* can never be reached"),
        ("self TABLE:SELECT", "volume VOLUME:USE", r"privileges.csv:\d+: gate .* neither self nor a container"),
        ("WORKSPACE,MANAGE,no", "WORKSPACE,LURK,no,ACCOUNT,,,,no,x\nWORKSPACE,MANAGE,no", "nothing confers WORKSPACE:LURK"),
        ("kind,privilege", "privilege,kind", "privileges.csv:1: the header"),
        ("self has TABLE:BROWSE", "self has TABLE:PEEK", r"operations.csv:\d+: unknown act 'TABLE:PEEK'"),
        ("self has TABLE:BROWSE", "self has SCHEMA:BROWSE", r"operations.csv:\d+: 'self' of table.get is never a SCHEMA"),
        ("self has TABLE:BROWSE", "moon has TABLE:BROWSE", r"operations.csv:\d+: table.get has no object 'moon'"),
        ("self has TABLE:BROWSE", "self likes TABLE:BROWSE", r"operations.csv:\d+: term"),
        ("self has TABLE:BROWSE", "self can TABLE:SELECT", r"operations.csv:\d+: table.get repeats"),
        ("self has TABLE:BROWSE", "public", r"operations.csv:\d+: table.get is public"),
        ("table.get,self has", "table.get,subject has", r"operations.csv:\d+: 'subject' of table.get"),
        ("self has VIEW:SELECT & schema", "self can VIEW:SELECT & schema", "operations.csv: view.get asks the owner"),
        ("table.update.columns", "tabel.update.columns", r"operations.csv:\d+: .*tabel"),
        ("catalog.grant.EXTERNAL_USE_SCHEMA", "catalog.grant.EXTERNAL_USE", "unknown privilege EXTERNAL_USE"),
        ("session.get,public,our choice 2026-11-20: everybody may know who they are", "session.get,public,", "where its rule"),
    ],
)  # fmt: skip
def test_damaged_policy_file_is_refused_with_its_line(before: str, after: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        damaged(before, after)


@pytest.mark.parametrize("kind", ["CATALOG", "SCHEMA", "TABLE"])
def test_all_privileges_confers_every_grantable_privilege_but_the_excluded(kind: str) -> None:
    policy = load_policy()
    conferred = {act.partition(":")[2] for act in policy.here[f"{kind}:ALL_PRIVILEGES"]}
    assert set(policy.grantable(kind)) - EXCLUDED_FROM_ALL <= conferred
    assert conferred.isdisjoint({"MANAGE", "EXTERNAL_USE_SCHEMA", "OWNER"})


@pytest.mark.parametrize("act", ["CATALOG:ALL_PRIVILEGES", "SCHEMA:ALL_PRIVILEGES"])
def test_all_privileges_on_a_container_reaches_every_data_privilege_inside(act: str) -> None:
    policy = load_policy()
    for below in ("SCHEMA", "TABLE") if act.startswith("CATALOG") else ("TABLE",):
        wanted = {f"{below}:{name}" for name in policy.grantable(below)} - {
            f"{below}:MANAGE",
            f"{below}:EXTERNAL_USE_SCHEMA",
        }
        assert wanted <= policy.inside[act]
        assert f"{below}:MANAGE" not in policy.inside[act]


def test_no_owner_above_holds_data_inside() -> None:
    policy = load_policy()
    data = {
        "TABLE:SELECT",
        "TABLE:MODIFY",
        "TABLE:APPLY_TAG",
        "SCHEMA:USE_SCHEMA",
        "SCHEMA:SELECT",
        "SCHEMA:CREATE_TABLE",
    }
    for owner in ("METASTORE:OWNER", "CATALOG:OWNER", "SCHEMA:OWNER", "ACCOUNT:ADMIN"):
        assert policy.inside[owner].isdisjoint(data)


def test_what_is_passed_down_is_closed_so_that_one_lookup_answers() -> None:
    policy = load_policy()
    for act, conferred in policy.inside.items():
        for below in conferred:
            assert policy.inside[below] <= conferred, (act, below)
            assert policy.here[below] <= conferred, (act, below)


def test_only_what_concerns_the_caller_alone_is_public_and_only_lists_are_filtered() -> None:
    operations = load_policy().operations.values()
    public = [operation.name for operation in operations if operation.opens == PUBLIC]
    assert public == ["session.get", "token.exchange"]
    assert all(operation.name.endswith(".list") for operation in operations if operation.opens == FILTERED)


def test_every_kind_of_securable_has_the_operations_every_service_needs() -> None:
    operations = load_policy().operations
    for kind in ("metastore", "workspace", "catalog", "schema", "table"):
        for verb in (
            "create",
            "get",
            "list",
            "update",
            "update.name",
            "update.owner",
            "delete",
            "grant",
            "grants_all",
            "miss",
        ):
            assert f"{kind}.{verb}" in operations
    assert {kind.lower() + ".get" for kind in KINDS} <= set(operations)


def test_selector_without_a_row_falls_back_and_an_unknown_operation_is_an_error() -> None:
    policy = load_policy()
    assert policy.operation("table.update", "comment").name == "table.update"
    assert policy.operation("table.update", "name").name == "table.update.name"
    for spelling in ("query engine", "Query_Engine", "QUERY_ENGINE"):
        assert policy.operation("workspace.grant", spelling).name == "workspace.grant.QUERY_ENGINE"
    for path in ("owner.id", "OWNER", " owner"):
        assert policy.operation("metastore.update", path).name == "metastore.update.owner"
    with pytest.raises(UnknownOperation, match=r"table\.dance"):
        policy.operation("table.dance")


def test_privilege_is_accepted_with_spaces_or_underscores_in_any_case() -> None:
    policy = load_policy()
    assert policy.parse_privilege("CATALOG", "use catalog") == "USE_CATALOG"
    assert policy.parse_privilege("CATALOG", "Use_Catalog") == "USE_CATALOG"


@pytest.mark.parametrize("text", ["USE CATALOG", "OWNER", "BROWSE", "", "ſELECT"])
def test_privilege_that_does_not_suit_the_kind_is_refused_naming_those_that_do(text: str) -> None:
    with pytest.raises(
        UnknownPrivilege, match="Those that are: SELECT, MODIFY, APPLY TAG, MANAGE, ALL PRIVILEGES"
    ):
        load_policy().parse_privilege("TABLE", text)


def test_digest_changes_with_any_file() -> None:
    model, privileges, operations, levels = policy_texts()
    digest = Policy(model, privileges, operations, levels).digest
    assert digest == load_policy().digest
    assert len(digest) == 64
    changed = [
        Policy(model + "\n", privileges, operations, levels),
        Policy(model, privileges.replace("Read rows.", "Read."), operations, levels),
        Policy(model, privileges, operations.replace("admin roles", "roles"), levels),
    ]
    assert len({digest, *(policy.digest for policy in changed)}) == 4


def test_workspace_groups_follow_what_confers_the_permissions() -> None:
    """Who is assigned to a workspace is a member of its groups: two tables that must say the same."""
    policy = load_policy()
    for role, permission in (("users", "WORKSPACE:USER"), ("admins", "WORKSPACE:ADMIN")):
        conferring = {act for act, conferred in policy.here.items() if permission in conferred}
        assert WORKSPACE_GROUPS[role] == conferring | {permission}
