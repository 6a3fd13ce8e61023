"""Registered models: versions and aliases. What models share with every securable is in test_securables.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lakewarden import Client
from lakewarden.v1 import registered_models_pb2
from lakewarden_server.services import model_versions
from lakewarden_server.testing import EmbeddedServer
from services.errors import fails

Fresh = Callable[[str], str]
READY = registered_models_pb2.ModelVersion.READY
PENDING = registered_models_pb2.ModelVersion.PENDING_REGISTRATION


@pytest.fixture
def model(both: EmbeddedServer, fresh: Fresh) -> str:
    """Full name of a model without versions."""
    admin, catalog = both.client(), fresh("catalog")
    admin.catalogs.create(catalog)
    return admin.models.create(f"{catalog}.default.churn").full_name


def _let_in(admin: Client, model: str, privilege: str, principal: str) -> None:
    catalog, schema, _ = model.split(".")
    admin.grants.grant("USE CATALOG", "catalog", catalog, principal)
    admin.grants.grant("USE SCHEMA", "schema", f"{catalog}.{schema}", principal)
    admin.grants.grant(privilege, "registered_model", model, principal)


def test_version_keeps_what_it_was_created_with(both: EmbeddedServer, model: str) -> None:
    admin = both.client()
    made = admin.models.create_version(
        model, source="s3://b/m", run_id="r7", run_link="https://runs/7", comment="first"
    )
    assert (made.full_name, made.version, made.status) == (model, 1, READY)
    assert (made.source, made.run_id, made.run_link) == ("s3://b/m", "r7", "https://runs/7")
    assert made.comment == "first"
    assert made.created_by == made.updated_by == "admin@example.com"
    assert admin.models.get_version(model, 1) == made
    assert list(admin.models.versions(model)) == [made]


def test_version_numbers_are_never_used_twice(both: EmbeddedServer, model: str) -> None:
    admin = both.client()
    assert [admin.models.create_version(model).version for _ in range(3)] == [1, 2, 3]
    for number in (2, 3):
        admin.models.delete_version(model, number)
    assert admin.models.create_version(model).version == 4
    assert [version.version for version in admin.models.versions(model)] == [1, 4]
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND", saying="no version 3"):
        admin.models.get_version(model, 3)


def test_recreated_model_begins_anew_and_inherits_nothing(both: EmbeddedServer, model: str) -> None:
    admin, loader = both.client(), both.client_as("loader")
    _let_in(admin, model, "EXECUTE", "loader@example.com")
    admin.models.create_version(model, comment="old")
    admin.models.set_alias(model, "champion", 1)
    assert loader.models.get_version(model, "champion").version == 1
    admin.models.delete(model)
    again = admin.models.create(model)
    assert list(again.aliases) == []
    assert list(admin.models.versions(model)) == []
    assert admin.models.create_version(model).version == 1
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        loader.models.get_version(model, 1)


def test_alias_points_to_one_version_and_moves(both: EmbeddedServer, model: str) -> None:
    admin = both.client()
    first, second = (admin.models.create_version(model).version for _ in range(2))
    before = admin.models.get(model).etag
    assert list(admin.models.set_alias(model, "Champion", first).aliases) == ["Champion"]
    assert admin.models.get(model).etag != before
    assert admin.models.get_version(model, "CHAMPION").version == first
    assert list(admin.models.set_alias(model, "champion", second).aliases) == ["champion"]
    admin.models.set_alias(model, "backup", second)
    assert [(alias.alias, alias.version) for alias in admin.models.get(model).aliases] == [
        ("backup", second),
        ("champion", second),
    ]
    assert [list(version.aliases) for version in admin.models.versions(model)] == [
        [],
        ["backup", "champion"],
    ]
    assert admin.models.get_version(model, "champion").version == second


def test_deleted_version_takes_its_aliases_along_and_no_others(both: EmbeddedServer, model: str) -> None:
    admin = both.client()
    for alias in ("old", "new"):
        admin.models.set_alias(model, alias, admin.models.create_version(model).version)
    admin.models.delete_version(model, 1)
    assert [alias.alias for alias in admin.models.get(model).aliases] == ["new"]
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND", saying="no alias old"):
        admin.models.get_version(model, "old")


def test_deleted_alias_leaves_its_version(both: EmbeddedServer, model: str) -> None:
    admin = both.client()
    admin.models.set_alias(model, "champion", admin.models.create_version(model).version)
    admin.models.delete_alias(model, "champion")
    assert list(admin.models.get_version(model, 1).aliases) == []
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND", saying="no alias champion"):
        admin.models.delete_alias(model, "champion")


def test_absent_version_is_not_found(both: EmbeddedServer, model: str) -> None:
    models = both.client().models
    for call in (
        lambda: models.get_version(model, 1),
        lambda: models.update_version(model, 1, comment="x"),
        lambda: models.delete_version(model, 2**40),
        lambda: models.set_alias(model, "champion", 1),
    ):
        with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
            call()


def test_pending_version_is_finished_once(both: EmbeddedServer, model: str) -> None:
    admin = both.client()
    assert admin.models.create_version(model, status="PENDING_REGISTRATION").status == PENDING
    assert admin.models.update_version(model, 1, status="READY", comment="done").comment == "done"
    assert admin.models.update_version(model, 1, status="READY").status == READY
    for status in ("PENDING_REGISTRATION", "FAILED_REGISTRATION"):
        with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="READY for good"):
            admin.models.update_version(model, 1, status=status)
    assert admin.models.get_version(model, 1).status == READY


@pytest.mark.parametrize("alias", ["7", "v12", "V3", "latest", "LATEST", "a.b", "", "two words"])
def test_alias_that_reads_like_a_version_or_no_name_is_refused(
    both: EmbeddedServer, model: str, alias: str
) -> None:
    admin = both.client()
    admin.models.create_version(model)
    with fails("NAME_INVALID", "INVALID_ARGUMENT"):
        admin.models.set_alias(model, alias, 1)


@pytest.mark.parametrize(
    "field", [{"source": "x" * 4_097}, {"run_id": "x" * 256}, {"run_link": "x\0"}, {"comment": "é" * 2_049}]
)
def test_version_over_a_limit_is_refused_and_takes_no_number(
    both: EmbeddedServer, model: str, field: dict[str, str]
) -> None:
    admin = both.client()
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying=next(iter(field))):
        admin.models.create_version(model, **field)
    assert admin.models.create_version(model).version == 1


def test_get_version_wants_a_number_or_an_alias(both: EmbeddedServer, model: str) -> None:
    models = both.client().models
    for wanted in ({}, {"version": 1, "alias": "champion"}):
        with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="either"):
            models._call("GetModelVersion", full_name=model, **wanted)


def test_models_have_a_limit_of_versions_and_of_aliases(
    both: EmbeddedServer, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = both.client()
    monkeypatch.setattr(model_versions, "VERSIONS_MAX", 2)
    monkeypatch.setattr(model_versions, "ALIASES_MAX", 2)
    for alias in ("a", "b"):
        admin.models.set_alias(model, alias, admin.models.create_version(model).version)
    with fails("QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED", saying="2 versions"):
        admin.models.create_version(model)
    with fails("QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED", saying="2 aliases"):
        admin.models.set_alias(model, "c", 1)
    admin.models.set_alias(model, "a", 2)
    admin.models.delete_version(model, 1)
    assert admin.models.create_version(model).version == 3


def test_versions_come_in_full_pages_by_number(both: EmbeddedServer, model: str) -> None:
    admin = both.client()
    for _ in range(5):
        admin.models.create_version(model)
    reply = admin.models._call("ListModelVersions", full_name=model, page_size=2)
    assert [version.version for version in reply.model_versions] == [1, 2]
    assert [version.version for version in admin.models.versions(model, page_size=2)] == [1, 2, 3, 4, 5]
    with fails("PAGE_TOKEN_INVALID", "INVALID_ARGUMENT"):
        admin.models._call("ListModelVersions", full_name=model, page_token="bogus")


def test_who_executes_reads_versions_and_changes_none(both: EmbeddedServer, model: str) -> None:
    admin, loader = both.client(), both.client_as("executor")
    admin.models.set_alias(model, "champion", admin.models.create_version(model).version)
    _let_in(admin, model, "EXECUTE", "executor@example.com")
    assert loader.models.get_version(model, "champion").version == 1
    assert [alias.alias for alias in loader.models.get(model).aliases] == ["champion"]
    for call in (
        lambda: loader.models.create_version(model),
        lambda: loader.models.update_version(model, 1, comment="mine"),
        lambda: loader.models.delete_version(model, 1),
        lambda: loader.models.set_alias(model, "champion", 1),
        lambda: loader.models.delete_alias(model, "champion"),
    ):
        with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED"):
            call()


def test_who_registers_versions_finishes_them_and_does_nothing_else(both: EmbeddedServer, model: str) -> None:
    admin, trainer = both.client(), both.client_as("trainer")
    _let_in(admin, model, "CREATE MODEL VERSION", "trainer@example.com")
    version = trainer.models.create_version(model, status="PENDING_REGISTRATION").version
    assert trainer.models.update_version(model, version, status="READY").status == READY
    for call in (
        lambda: trainer.models.update_version(model, version, comment="mine"),
        lambda: trainer.models.update_version(model, version, comment="mine", status="READY"),
        lambda: trainer.models.set_alias(model, "champion", version),
        lambda: trainer.models.update(model, comment="mine"),
    ):
        with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED"):
            call()


def test_version_does_not_stand_in_the_way_of_forced_deletion(both: EmbeddedServer, model: str) -> None:
    admin = both.client()
    admin.models.set_alias(model, "champion", admin.models.create_version(model).version)
    catalog = model.partition(".")[0]
    with fails("NOT_EMPTY", "FAILED_PRECONDITION"):
        admin.catalogs.delete(catalog)
    admin.catalogs.delete(catalog, force=True)
    assert catalog not in [row.name for row in admin.catalogs.list()]


def test_owner_gives_a_model_only_to_oneself_and_ones_groups(
    both: EmbeddedServer, model: str, fresh: Fresh
) -> None:
    admin, name = both.client(), fresh("modeller")
    owner, mine, other = both.client_as(name), fresh("mine"), fresh("other")
    for group in (mine, other):
        admin.groups.create(group)
    admin.groups.update_members(mine, add=[f"{name}@example.com"])
    _let_in(admin, model, "EXECUTE", f"{name}@example.com")
    # A metastore admin may give it to anybody.
    admin.models.set_owner(model, f"{name}@example.com")
    for somebody in (other, "admin@example.com"):
        with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED"):
            owner.models.set_owner(model, somebody)
    assert owner.models.set_owner(model, f"{name}@example.com").owner == f"{name}@example.com"
    assert owner.models.set_owner(model, mine).owner == mine
