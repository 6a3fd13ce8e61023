"""By reflection: every RPC has a rule, a client method, a command or a reason why not, and tests; every reason is raised."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from access import objects, places, test_existence_oracle, test_who_may
from access.rpcs import offered
from access.world import REQUESTS
from client.test_api_coverage import COMMANDS, METHODS, WITHOUT_A_COMMAND
from lakewarden_policy import load_policy
from lakewarden_server.core.errors import Reason
from lakewarden_server.pipeline.rules import operations_of

TESTS = Path(__file__).parents[1]
SERVER = TESTS.parent / "server" / "lakewarden_server"


SECURABLES = {
    "Metastore", "Workspace", "Catalog", "Schema", "Table", "Volume", "RegisteredModel",
    "View", "MaterializedView", "StreamingTable", "Function",
}  # fmt: skip
SECURABLES |= {noun.service for noun in places.NOUNS}


def _names() -> set[str]:
    return {name.removeprefix("lakewarden.v1.") for name in offered()}


@pytest.mark.parametrize("name", sorted(offered()))
def test_rpc_has_a_rule_of_the_policy(name: str) -> None:
    method = offered()[name]
    assert operations_of(method)
    assert all(operation in load_policy().operations for operation in operations_of(method))


def test_rpc_writes_exactly_when_its_name_says_so() -> None:
    """Under the head row, or what decides nothing beside it."""
    verbs = ("Create", "Update", "Delete", "Set", "Undelete", "Drop", "Refresh", "Rotate", "Record")
    wrong = [
        name
        for name, method in offered().items()
        if (method.rule.write or method.rule.records) != name.rpartition("/")[2].startswith(verbs)
    ]
    assert wrong == []


def test_every_rpc_has_a_client_method_and_a_command_or_a_reason() -> None:
    assert set(METHODS) == _names()
    assert {rpc for rpc, _ in COMMANDS} | set(WITHOUT_A_COMMAND) == _names()


def test_every_rpc_is_asked_who_may_call_it_and_what_it_gives_away() -> None:
    asked = {rpc for rpc, _ in test_who_may.ACTS.values()} | set(test_who_may.ASKED_ELSEWHERE)
    hiding = {
        *test_existence_oracle.BODIES,
        *test_existence_oracle.GRANTS,
        *test_existence_oracle.BINDINGS,
        *test_existence_oracle.TAGS,
        *test_existence_oracle.SUBJECTS,
        *objects.BODIES,
    }
    assert asked == set(REQUESTS) == _names()
    assert hiding <= _names()


def test_every_rpc_is_used_through_the_client_in_the_services_suite() -> None:
    """By the client method's spelling: what no test of the services calls is not tested to work."""
    text = "\n".join(
        path.read_text(encoding="utf-8")
        for suite in ("services", "lineage", "system_tables")
        for path in (TESTS / suite).glob("test_*.py")
    )
    missing = [rpc for rpc in _names() if rpc not in text and not re.search(_spelling(rpc), text)]
    assert missing == []


def test_every_reason_is_expected_by_a_test() -> None:
    expected = {word for path in TESTS.rglob("test_*.py") if path != Path(__file__) for word in _words(path)}
    assert sorted(set(Reason) - expected) == []


def test_every_reason_is_raised_by_the_server() -> None:
    raised = "\n".join(
        path.read_text(encoding="utf-8") for path in SERVER.rglob("*.py") if path.name != "errors.py"
    )
    raised += (SERVER / "storage" / "errors.py").read_text(encoding="utf-8")
    raised += (SERVER / "pipeline" / "errors.py").read_text(encoding="utf-8")
    unused = {reason for reason in Reason if f"Reason.{reason.name}" not in raised}
    assert unused == set()


def test_search_for_words_finds_no_reason_that_is_not_there() -> None:
    """The control."""
    assert "NO_SUCH" + "_REASON" not in set(_words(Path(__file__)))
    assert Reason.NAME_TAKEN in set(_words(TESTS / "services" / "test_securables.py"))


def _words(path: Path) -> Iterator[str]:
    """The string constants of a test file, and the names of `Reason` it uses."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "Reason":
            yield node.attr


def _spelling(rpc: str) -> str:
    """`TableService/CreateTable` is `tables.create` in Python, or a resource's method by any of its names."""
    service, method = rpc.removesuffix("Service").split("Service/")
    resource = {
        "Audit": "audit", "Authorization": "authorization", "Session": "session", "ServicePrincipal": "service_principals",
        "RegisteredModel": "models",
        "WorkspaceBinding": "workspace_bindings",
        "MaterializedView": "materialized_views", "StreamingTable": "streaming_tables",
        "StorageCredential": "storage_credentials", "ServiceCredential": "service_credentials",
        "WorkspaceObject": "workspace_objects", "Permission": "permissions",
        "FederationPolicy": "federation_policies", "IpAccessList": "ip_access_lists",
        "ExternalLocation": "external_locations", "LineageGraph": "lineage", "LineageGovernance": "lineage_governance", "Lineage": "lineage_events",
         "ExternalMetadata": "external_metadata", "ExternalLineage": "external_lineage",
    }.get(service, f"{service.lower()}s")  # fmt: skip
    verbs = {
        "Check": "check", "BatchCheck": "batch_check", "AuthorizePlan": "authorize_plan", "GetSession": "get",
        "Explain": "explain", "Simulate": "simulate", "FilterSecurables": "filter_securables",
        "ListAccessible": "list_accessible", "ListPrincipals": "list_principals",
        "WatchPolicy": "watch_policy", "RecordOpenLineage": "record", "RecordOpenLineageBatch": "record_batch",
        "RecordSql": "record_sql", "ListSystemTables": "system_tables", "ReadSystemTable": "system_table",
        "CreateAccessToken": "create_access_token",
        "CreateServicePrincipalSecret": "create_secret", "ListServicePrincipalSecrets": "secrets",
        "DeleteServicePrincipalSecret": "delete_secret",
        "ListEffectivePrivileges": "effective",
        "GetPermissions": "get", "SetPermissions": "set", "ListPermissionLevels": "levels",
        "ListGrants": "list", "UpdateGrants": "(grant|revoke|update)", "ListGroupMembers": "members",
        "UpdateGroupMembers": "update_members", "UpdateGroup": "rename",
        "FindLineageLeaks": "leaks", "SimulateRevoke": "simulate_revoke",
        "TraverseLineage": "traverse", "StreamLineage": "stream", "FindLineagePaths": "paths", "AnalyzeImpact": "impact",
        "GetLineageHistory": "history",
        "GetAuditHead": "head", "VerifyAuditLog": "verify", "ReplayDecisions": "replay",
        "ListShareObjects": "objects", "UpdateShareObjects": "update_objects", "ListShareRecipients": "recipients",
        "CreateShareRecipient": "add_recipient", "DeleteShareRecipient": "remove_recipient",
        "CreateModelVersion": "create_version", "GetModelVersion": "get_version", "ListModelVersions": "versions",
        "UpdateModelVersion": "update_version", "DeleteModelVersion": "delete_version",
        "RotateToken": "rotate", "ListWorkspaceTokens": "list_of_workspace", "DeleteWorkspaceToken": "delete_of_workspace",
        "GetIpAccessSettings": "is_enforced", "UpdateIpAccessSettings": "enforce",
        "ListDeletedTables": "list_deleted", "UndeleteTable": "undelete",
        "SetModelAlias": "set_alias", "DeleteModelAlias": "delete_alias",
        "SetRowFilter": "set_row_filter", "DropRowFilter": "drop_row_filter",
        "SetColumnMask": "set_column_mask", "DropColumnMask": "drop_column_mask", "RefreshMaterializedView": "refresh",
    }  # fmt: skip
    matched = re.match(r"Create|Get|List|Update|Delete", method)
    assert method in verbs or matched, f"add to `verbs` here how the client method of {rpc} is called"
    verb = verbs.get(method) or (matched[0].lower() if matched else "")
    if method in ("AuthorizePlan", "ListSystemTables", "ReadSystemTable"):
        return rf"[\w)]\.{verb}\("
    # The suite of securables calls all five of them by `noun.of(client).<verb>`.
    of_each = r"|\.of\(\w+\)" if service in SECURABLES else ""
    return rf"(\.{resource}{of_each})\.{verb}\b"
