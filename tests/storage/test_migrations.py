"""Migrations give exactly the mapped classes' schema, up, down and up again, and whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Text, inspect, text

from lakewarden_policy import ACCOUNT_ID, ACCOUNT_USERS_ID, ACCOUNT_USERS_NAME
from lakewarden_server.core.ids import new_id
from lakewarden_server.entities import Base, GroupMember, Principal, Securable, Token, TokenUse, Workspace
from lakewarden_server.storage import Database, audit, create_database, migrations
from lakewarden_server.storage.migrations import (
    current_revision,
    downgrade,
    known_revisions,
    latest_revision,
    migrate,
)
from storage.worlds import catalog, committed, dump, grant, metastore, user, writing

ROWS = 500


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without a schema."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'empty.db'}"
    else:
        url = request.getfixturevalue("postgresql_server").create()
    database = create_database(url)
    yield database
    database.close()


def differences(database: Database) -> list[object]:
    with database.engines.reader.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, Base.metadata))


def test_the_schema_is_that_of_the_mapped_classes(database: Database) -> None:
    assert differences(database) == []


def test_control_a_missing_column_is_seen(database: Database) -> None:
    with database.engines.writer.begin() as connection:
        connection.execute(text("ALTER TABLE tables DROP COLUMN storage_location"))
    (difference,) = differences(database)
    assert "storage_location" in repr(difference)


def test_constraints_are_those_of_the_mapped_classes(database: Database) -> None:
    """What Alembic does not compare: checks, and foreign keys' deferral."""
    with database.engines.reader.connect() as connection:
        inspector = inspect(connection)
        for table in Base.metadata.sorted_tables:
            checks = {found["name"] for found in inspector.get_check_constraints(table.name)}
            wanted = {constraint.name for constraint in table.constraints if "ck_" in str(constraint.name)}
            assert wanted <= checks, table.name
            for key in inspector.get_foreign_keys(table.name):
                assert key["options"] == {"deferrable": True, "initially": "DEFERRED"}, (table.name, key)


def test_an_unmigrated_database_has_no_revision(empty: Database) -> None:
    assert current_revision(empty) is None
    migrate(empty)
    assert current_revision(empty) == latest_revision()


def test_there_is_one_line_of_migrations() -> None:
    assert len(ScriptDirectory.from_config(migrations._config()).get_heads()) == 1


def test_up_down_and_up_again(empty: Database) -> None:
    migrate(empty)
    downgrade(empty, "base")
    with empty.engines.reader.connect() as connection:
        assert set(inspect(connection).get_table_names()) <= {"alembic_version"}
    migrate(empty)
    assert differences(empty) == []
    assert committed(empty, user("ann@example.com")) == 1


def test_migrating_again_changes_nothing(database: Database) -> None:
    ann = user("ann@example.com")
    store = metastore(ann)
    committed(database, ann, store, *[catalog(store, f"c{number}") for number in range(ROWS)])
    before = dump(database)
    migrate(database)
    assert dump(database) == before


def test_a_migration_that_fails_leaves_nothing(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(config: object) -> None:
        command.upgrade(config, "head")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        migrations._run(empty, fail)
    with empty.engines.reader.connect() as connection:
        assert inspect(connection).get_table_names() == []
    migrate(empty)
    assert current_revision(empty) == latest_revision()


def test_identities_of_an_older_database_keep_what_they_hold(database: Database) -> None:
    """From 0008, the release before external ids, roles and the permission to use tokens."""
    ann, team = user("ann@example.com"), user("team", kind="GROUP")
    store = metastore(ann)
    place = Workspace(id=new_id(), parent_id=ACCOUNT_ID, name="lab", name_key="lab", owner_id=ann.id)
    users = user("lab users", id=f"{place.id}:users", kind="GROUP", system=True)
    with writing(database) as uow:
        now = uow.time
    member = GroupMember(group_id=team.id, member_id=ann.id)
    token = Token(
        id="t" * 22, principal_id=ann.id, kind="PAT", digest=b"d", pepper_id="k", expire_time=now + timedelta(days=1)
    )  # fmt: skip
    held = [grant(store, team, "CREATE_CATALOG"), grant(place, ann, "ADMIN")]
    held[1].expire_time, held[1].reason = now + timedelta(days=1), "on call"
    committed(database, ann, team, store, place, users, member, token, *held)
    before = dump(database)["grants"]
    downgrade(database, "0008")
    migrate(database)
    found = dump(database)
    given = [row for row in found["grants"] if "USE_TOKENS" in row]
    assert [row for row in found["grants"] if row not in given] == before
    assert [row[:3] for row in given] == [(place.id, users.id, "USE_TOKENS")]
    with database.read() as view:
        assert view.session.get_one(GroupMember, (team.id, ann.id)).sources == ["ADMIN"]
        assert view.session.get_one(Principal, ann.id).external_id == ""
        assert view.session.get_one(TokenUse, token.id).last_used_time >= now
    assert differences(database) == []


def test_the_seed_is_what_the_policy_engine_expects(database: Database) -> None:
    with database.read() as uow:
        account = uow.session.get_one(Securable, ACCOUNT_ID)
        everybody = uow.session.get_one(Principal, ACCOUNT_USERS_ID)
        assert (account.kind, account.namespace, account.parent_id) == ("ACCOUNT", "account", None)
        assert (everybody.kind, everybody.name, everybody.system) == ("GROUP", ACCOUNT_USERS_NAME, True)
        assert everybody.name_key == ACCOUNT_USERS_NAME
        assert audit.chain_head(uow.connection) == (0, audit.GENESIS_HASH)


def test_two_databases_have_two_epochs(make_database_url) -> None:
    epochs = set()
    for dialect in ("sqlite", "sqlite", "postgresql", "postgresql"):
        database = create_database(make_database_url(dialect))
        epochs.add(database.head()[0].epoch)
        database.close()
    assert len(epochs) == 4


def test_key_text_is_text_everywhere() -> None:
    """The migration spells the type out; a mapped key column must not drift from it unseen."""
    keys = [
        column
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if column.name == "name_key"
    ]
    assert keys
    assert all(isinstance(column, Column) and isinstance(column.type, Text) for column in keys)


def test_revisions_are_those_of_the_chain_that_is_run() -> None:
    location = Path(migrations.__file__).parent
    config = Config()
    config.set_main_option("script_location", str(location))
    chain = ScriptDirectory.from_config(config)
    assert latest_revision() == chain.get_current_head()
    assert known_revisions() == {script.revision for script in chain.walk_revisions()}
