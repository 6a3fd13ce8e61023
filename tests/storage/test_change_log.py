"""The change log tells everything: replayed from the start it gives the tables, whatever was done to them."""

from __future__ import annotations

import random
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from lakewarden_server.core.errors import Internal
from lakewarden_server.core.ids import new_id
from lakewarden_server.entities import (
    ChangeLog,
    Column,
    Grant,
    GroupMember,
    Principal,
    Securable,
    Table,
    Token,
    state,
)
from lakewarden_server.storage import Database
from lakewarden_server.storage.repositories import columns, principals, securables, tokens
from storage.worlds import POLICY_DIGEST, catalog, committed, grant, metastore, schema, table, user, writing

LOGGED = (Securable, Principal, GroupMember, Token, Grant, Column)
ROUNDS = 60


def log_rows(database: Database) -> list[ChangeLog]:
    with database.read() as uow:
        return list(uow.session.scalars(select(ChangeLog).order_by(ChangeLog.revision, ChangeLog.position)))


def test_a_new_entity_is_logged_with_its_whole_state_and_stamps(database: Database) -> None:
    ann = user("ann@example.com")
    revision = committed(database, ann)
    (row,) = log_rows(database)
    assert (row.revision, row.position, row.kind, row.object_id) == (revision, 0, "USER", ann.id)
    assert (row.operation, row.before) == ("CREATE", None)
    assert row.after == state(ann)
    assert row.after["revision"] == revision
    assert (row.nonce, row.policy_digest) == (database.head()[0].nonce, POLICY_DIGEST)
    assert ann.created_by == ann.updated_by == row.actor_id


def test_an_update_is_logged_with_the_state_in_the_database_before_it(database: Database) -> None:
    ann = user("ann@example.com")
    committed(database, ann)
    before = state(ann)
    with writing(database) as uow:
        row = uow.session.get_one(Principal, ann.id)
        row.display_name = "Ann"
        uow.session.flush()
        row.display_name = "Ann B."
        uow.commit()
    first, second = log_rows(database)[1:]
    assert first.before == before
    assert first.after is not None
    assert first.after["display_name"] == "Ann"
    assert second.before == first.after
    assert second.after is not None
    assert second.after["display_name"] == "Ann B."


def test_a_value_set_before_it_was_loaded_is_still_logged_with_what_it_was(database: Database) -> None:
    ann = user("ann@example.com", display_name="Ann")
    committed(database, ann)
    with writing(database) as uow:
        row = uow.session.get_one(Principal, ann.id)
        uow.session.expire(row)
        row.display_name = "Bea"
        uow.commit()
    last = log_rows(database)[-1]
    assert last.before is not None
    assert last.before["display_name"] == "Ann"


def test_a_property_changed_in_place_is_logged(database: Database) -> None:
    ann = user("ann@example.com")
    store = metastore(ann)
    main = catalog(store, "main", properties={"a": "1"})
    committed(database, ann, store, main)
    with writing(database) as uow:
        row = uow.session.get_one(Securable, main.id)
        row.properties["a"] = "2"
        uow.commit()
    last = log_rows(database)[-1]
    assert last.before is not None
    assert last.after is not None
    assert (last.before["properties"], last.after["properties"]) == ({"a": "1"}, {"a": "2"})


def test_a_tombstone_is_logged_as_a_deletion_with_its_state(database: Database) -> None:
    ann = user("ann@example.com")
    store = metastore(ann)
    committed(database, ann, store)
    with writing(database) as uow:
        uow.session.get_one(Securable, store.id).deleted_time = uow.time
        uow.commit()
    last = log_rows(database)[-1]
    assert last.operation == "DELETE"
    assert last.after is not None
    assert last.after["deleted_time"] is not None


def test_setting_a_value_to_what_it_is_changes_nothing(database: Database) -> None:
    ann = user("ann@example.com", display_name="Ann")
    committed(database, ann)
    with writing(database) as uow:
        uow.session.get_one(Principal, ann.id).display_name = "Ann"
        uow.commit()
    with database.read() as uow:
        assert uow.session.get_one(Principal, ann.id).revision == 1


def test_a_revision_without_changes_still_has_a_row(database: Database) -> None:
    with writing(database) as uow:
        uow.commit()
    (row,) = log_rows(database)
    assert (row.revision, row.kind, row.nonce) == (1, "HEAD", database.head()[0].nonce)


@pytest.mark.parametrize(
    "statement",
    [
        update(Principal).values(display_name="x"),
        delete(Grant),
        insert(Principal).values(id="p"),
        update(Table).values(table_type="EXTERNAL"),
    ],
    ids=["update", "delete", "insert", "update of a detail"],
)
def test_a_bulk_statement_that_could_not_be_logged_is_refused(database: Database, statement: Any) -> None:
    with writing(database) as uow, pytest.raises(Internal):
        uow.session.execute(statement)


def test_a_service_cannot_commit(database: Database) -> None:
    with writing(database) as uow:
        uow.session.add(user("ann@example.com"))
        uow.session.commit()
    assert database.head()[0].revision == 0
    assert log_rows(database) == []


def test_a_read_refuses_to_write(database: Database) -> None:
    with database.read() as uow:
        uow.session.add(user("ann@example.com"))
        with pytest.raises(Internal):
            uow.session.flush()


@pytest.mark.parametrize("seed", [1, 2])
def test_replaying_the_log_gives_the_tables(database: Database, seed: int) -> None:
    chance = random.Random(seed)
    for number in range(ROUNDS):
        with writing(database) as uow:
            act = chance.choice(ACTS)
            act(uow.session, chance, f"{seed}-{number}", uow.time)
            if chance.random() < 0.85:
                uow.commit()
    replayed: dict[tuple[str, str], dict[str, Any]] = {}
    rows = log_rows(database)
    for row in rows:
        key = (row.kind, row.object_id)
        if row.kind == "HEAD":
            continue
        assert row.before == replayed.get(key), f"seed {seed}: before-state of {key} at {row.revision}"
        replayed.pop(key, None)
        if row.after is not None:
            replayed[key] = row.after
    assert replayed == tables(database), f"seed {seed}"
    assert {row.revision for row in rows} == set(range(1, database.head()[0].revision + 1))
    assert {row.operation for row in rows} == {"CREATE", "UPDATE", "DELETE"}


def tables(database: Database) -> dict[tuple[str, str], dict[str, Any]]:
    with database.read() as uow:
        return {
            (row.change_kind(), row.change_id()): state(row)
            for entity in LOGGED
            for row in uow.session.scalars(select(entity))
            if row.revision > 0
        }


def create_tree(session: Session, chance: random.Random, name: str, _time: Any) -> None:
    owner = user(f"{name}@example.com")
    store = metastore(owner, name)
    main = catalog(store, name, properties={"n": name})
    inside = schema(main, name)
    orders = table(inside, name, column_count=2)
    session.add_all([owner, store, main, inside, orders, grant(orders, owner), grant(main, owner, "BROWSE")])
    session.add_all(_columns(orders, ["a", "b"]))


def create_group(session: Session, chance: random.Random, name: str, time: Any) -> None:
    group = Principal(id=new_id(), kind="GROUP", name=name, name_key=name)
    people = session.scalars(select(Principal).where(Principal.kind == "USER")).all()
    session.add(group)
    session.add_all(
        GroupMember(group_id=group.id, member_id=person.id)
        for person in chance.sample(people, min(2, len(people)))
    )
    session.add_all(
        Token(
            id=f"{name:>20}{index:02}",
            principal_id=person.id,
            kind="PAT",
            digest=b"\x00\xff",
            pepper_id="1",
            create_time=time,
            expire_time=time,
        )
        for index, person in enumerate(people[:1])
    )


def change_table(session: Session, chance: random.Random, name: str, _time: Any) -> None:
    for row in session.scalars(select(Table).where(Table.deleted_time.is_(None)).limit(1)):
        row.name, row.name_key, row.comment = name, name, "renamed"
        columns.replace(session, row.id, _columns(row, ["b", "a", "c"]))
        row.column_count = 3


def delete_tree(session: Session, chance: random.Random, name: str, time: Any) -> None:
    statement = select(Securable.id).where(Securable.kind == "METASTORE", Securable.deleted_time.is_(None))
    for root in session.scalars(statement.order_by(Securable.id).limit(1)):
        for doomed in securables.subtree(session, root):
            doomed.deleted_time = time
            for held in session.scalars(select(Grant).where(Grant.securable_id == doomed.id)):
                session.delete(held)


def delete_principal(session: Session, chance: random.Random, name: str, time: Any) -> None:
    for person in principals.of_kind(session, "USER", limit=5):
        for row in (*principals.memberships(session, person.id), *tokens.of_principal(session, person.id)):
            session.delete(row)
        person.deleted_time, person.name_key = time, person.id
        return


def _columns(parent: Table, names: list[str]) -> list[Column]:
    return [
        Column(table_id=parent.id, position=place, name=name, name_key=name, type_text="INT", type_name="INT")
        for place, name in enumerate(names)
    ]


ACTS = (create_tree, create_group, change_table, delete_tree, delete_principal)
