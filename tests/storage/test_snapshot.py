"""The snapshot of the policy engine is exactly what the tables hold, and nothing deleted."""

from __future__ import annotations

from datetime import timedelta

from lakewarden_policy import ACCOUNT_ID, ACCOUNT_USERS_ID
from lakewarden_server.entities import GroupMember, Principal, Securable, Table, Token
from lakewarden_server.storage import Database, load_snapshot
from lakewarden_server.storage.repositories import columns, grants, principals, securables, tokens
from lakewarden_server.storage.retention import RETENTION
from storage.worlds import catalog, committed, grant, metastore, schema, table, user, writing


def test_a_fresh_database_has_the_account_and_its_users(database: Database) -> None:
    with database.read() as uow:
        snapshot = load_snapshot(uow.connection)
    assert snapshot.head == database.head()[0]
    assert set(snapshot.principals) == {ACCOUNT_USERS_ID}
    assert ACCOUNT_ID in snapshot.securables


def test_a_snapshot_holds_what_was_written(database: Database) -> None:
    ann, bob = user("ann@example.com"), user("bob@example.com", active=False)
    team = Principal(id="team", kind="GROUP", name="team", name_key="team")
    store = metastore(ann)
    main = catalog(store, "main")
    inside = schema(main, "sales")
    orders = table(inside, "orders")
    with writing(database) as uow:
        token = Token(
            id="t" * 22,
            principal_id=ann.id,
            kind="PAT",
            digest=b"\x01\x02",
            pepper_id="1",
            create_time=uow.time,
            expire_time=uow.time,
        )
        uow.session.add_all([ann, bob, team, store, main, inside, orders, token, grant(orders, team)])
        uow.session.add(GroupMember(group_id=team.id, member_id=ann.id))
        uow.commit()
        time = uow.time
    with database.read() as reading:
        snapshot = load_snapshot(reading.connection)
    assert snapshot.resolve("TABLE", "main.sales.orders", store.id).id == orders.id  # type: ignore[union-attr]
    assert snapshot.principals[bob.id].active is False
    assert team.id in snapshot.closure(ann.id)
    found = snapshot.tokens["t" * 22]
    assert (found.digest, found.expire_time, found.workspace_id) == (b"\x01\x02", time.timestamp(), None)
    assert any(row[:2] == (team.id, orders.id) for row in snapshot.rows())


def test_grants_that_last_and_grants_that_end_are_both_read(database: Database) -> None:
    ann = user("ann@example.com")
    store = metastore(ann)
    lasting, ending, ended = (grant(store, ann, name) for name in ("CREATE_CATALOG", "MANAGE", "BROWSE"))
    with writing(database) as uow:
        ending.expire_time, ended.expire_time = uow.time + timedelta(days=1), uow.time - timedelta(days=1)
        uow.session.add_all([ann, store, lasting, ending, ended])
        uow.commit()
        end = ending.expire_time.timestamp()
    with database.read() as reading:
        snapshot = load_snapshot(reading.connection)
    granted = {row for row in snapshot.rows() if row.principal_id == ann.id and row.object_id == store.id}
    assert {row.act.partition(":")[2] for row in granted} == {"OWNER", "CREATE_CATALOG", "MANAGE"}
    assert {row.act: snapshot.expire_time(row) for row in granted} == {
        "METASTORE:OWNER": None,
        "METASTORE:CREATE_CATALOG": None,
        "METASTORE:MANAGE": end,
    }


def test_a_writer_sees_the_state_before_its_own_revision(database: Database) -> None:
    ann = user("ann@example.com")
    committed(database, ann)
    with writing(database) as uow:
        snapshot = load_snapshot(uow.connection, head=uow.previous)
        assert snapshot.head == database.head()[0]
        uow.session.add(user("bob@example.com"))
        uow.session.flush()
        after = load_snapshot(uow.connection, head=uow.head)
        assert len(after.principals) == len(snapshot.principals) + 1


def test_the_deleted_are_not_in_it(database: Database) -> None:
    ann = user("ann@example.com")
    store = metastore(ann)
    main = catalog(store, "main")
    inside = schema(main, "sales")
    orders = table(inside, "orders")
    committed(database, ann, store, main, inside, orders)
    with writing(database) as uow:
        doomed = securables.subtree(uow.session, main.id)
        assert [row.id for row in doomed] == [main.id, inside.id, orders.id]
        for row in doomed:
            row.deleted_time = uow.time
        uow.commit()
    with database.read() as reading:
        assert {row.kind for row in load_snapshot(reading.connection).securables.values()} >= {"METASTORE"}
        assert main.id not in load_snapshot(reading.connection).securables
        assert orders.id not in load_snapshot(reading.connection).securables
        assert securables.child(reading.session, store.id, "catalog", "main") is None
        assert not securables.has_children(reading.session, store.id)
        assert securables.by_ids(reading.session, Securable, [orders.id, store.id]) == [
            reading.session.get(Securable, store.id)
        ]


def test_deleted_table_is_another_kind_while_it_can_be_restored(database: Database) -> None:
    ann = user("ann@example.com")
    store = metastore(ann)
    main = catalog(store, "main")
    inside = schema(main, "sales")
    orders = table(inside, "orders")
    committed(database, ann, store, main, inside, orders, grant(orders, ann))
    for age, kind in ((timedelta(0), "DELETED_TABLE"), (RETENTION, None)):
        with writing(database) as uow:
            uow.session.get_one(Table, orders.id).deleted_time = uow.time - age
            uow.commit()
        with database.read() as reading:
            snapshot = load_snapshot(reading.connection)
        found = snapshot.securables.get(orders.id)
        assert (found.kind if found else None) == kind
        assert snapshot.children(inside.id, "TABLE") == ()
        assert snapshot.children(inside.id, "DELETED_TABLE") == ((orders.id,) if kind else ())
        # Its owner is known by it, its grants are not.
        rows = {row.act for row in snapshot.rows() if row.object_id == orders.id}
        assert rows == ({"DELETED_TABLE:OWNER"} if kind else set())


def test_repositories_find_by_every_side(database: Database) -> None:
    ann, bob = user("ann@example.com"), user("bob@example.com")
    store = metastore(ann)
    held = [grant(store, bob, "CREATE_CATALOG"), grant(store, ann, "BROWSE"), grant(store, bob, "BROWSE")]
    committed(database, ann, bob, store, *held)
    with database.read() as uow:
        session = uow.session
        assert [row.id for row in principals.by_ids(session, [bob.id, "none", ann.id])] == [bob.id, ann.id]
        assert principals.by_key(session, "ann@example.com") is not None
        assert [row.privilege for row in grants.of_principal(session, bob.id)] == ["BROWSE", "CREATE_CATALOG"]
        assert len(grants.of_securable(session, store.id)) == 3
        assert len(grants.of_securable(session, store.id, principal_id=ann.id)) == 1
        assert grants.find(session, store.id, ann.id, "BROWSE") is not None
        assert principals.by_external_id(session, "USER", "00u1") is None
        assert tokens.of_principal(session, ann.id) == []
        assert columns.of_tables(session, ["none"]) == {}
