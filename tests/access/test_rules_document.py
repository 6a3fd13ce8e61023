"""RULES.md is what the protos and the policy say today, and says so for a method it has never seen."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from importlib import resources

import pytest

from access.rpcs import offered
from lakewarden.v1 import rules_pb2
from lakewarden_policy import load_policy
from lakewarden_server.rules_document import (
    EMPTY_LIST,
    OWN_IDENTITY,
    REFUSED,
    SAYS_NO,
    document,
    told_as,
    without_grants,
)


def _stored() -> str:
    return resources.files("lakewarden_policy").joinpath("RULES.md").read_text(encoding="utf-8")


def test_stored_document_is_a_fresh_one() -> None:
    fresh = subprocess.run(
        [sys.executable, "-m", "lakewarden_server.rules_document"], capture_output=True, text=True, check=True
    )
    assert fresh.stdout == _stored(), "run `make rules`"


def test_every_operation_of_the_policy_stands_in_it() -> None:
    text = _stored()
    told = {name: f"`{told_as(name)}`" for name in load_policy().operations}
    assert [name for name, spelled in told.items() if spelled not in text] == []
    # What is told once is one rule: the same for every kind of object, as it was written.
    written: dict[str, set[tuple[str, ...]]] = {}
    for name, operation in load_policy().operations.items():
        written.setdefault(told_as(name), set()).add(operation.requires)
    assert {told for told, requires in written.items() if len(requires) > 1} == set()


def test_a_changed_rule_changes_the_document() -> None:
    """The control: a weaker rule cannot pass with the same text."""
    methods = offered()
    name = "lakewarden.v1.CatalogService/DeleteCatalog"
    weaker = replace(methods[name], rule=rules_pb2.Rule(operation="catalog.get", self="full_name"))
    assert document({**methods, name: weaker}.values(), load_policy()) != _stored()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("TableService/DeleteTable", REFUSED),
        ("TableService/ListTables", EMPTY_LIST),
        ("UserService/ListUsers", OWN_IDENTITY),
        ("SessionService/GetSession", OWN_IDENTITY),
        ("AuthorizationService/Check", SAYS_NO),
        ("AuthorizationService/AuthorizePlan", SAYS_NO),
        ("GrantService/UpdateGrants", REFUSED),
    ],
)
def test_column_without_grants_is_read_off_the_policy(name: str, expected: str) -> None:
    assert without_grants(offered()[f"lakewarden.v1.{name}"], load_policy()) == expected
