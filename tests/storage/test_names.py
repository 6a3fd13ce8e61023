"""Uniqueness and order of names are the same on both databases and hold when writers race."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import insert

from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import Aborted, AlreadyExists, FailedPrecondition, LakewardenError, Reason
from lakewarden_server.entities import Bootstrap, Catalog, Metastore, Principal, Securable
from lakewarden_server.storage import Database, create_database
from lakewarden_server.storage.repositories import principals, securables
from storage.worlds import catalog, committed, dump, grant, metastore, schema, table, user, writing

RACERS = 6
NAMES = [
    "z",
    "Z",
    "a",
    "ä",
    "é",
    "e\u0301",
    "ß",
    "ss1",
    "Ω",
    "я",
    "Я",
    "名前",
    "ﬁn",
    "10",
    "9",
    "_x",
    "a-b",
    "ab",
    "İ",
    "😀",
    "\uffdc",
]


def key(name: str) -> str:
    """The key rule of the policy package, written out so that this test has its own copy."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


@pytest.fixture
def store(database: Database) -> Metastore:
    """A metastore with its owner, committed."""
    ann = user("ann@example.com")
    made = metastore(ann)
    committed(database, ann, made)
    return made


def test_a_live_name_is_taken_once(database: Database, store: Metastore) -> None:
    committed(database, catalog(store, "main"))
    before = dump(database)
    with pytest.raises(AlreadyExists) as caught:
        committed(database, catalog(store, "MAIN"))
    assert caught.value.reason == Reason.NAME_TAKEN
    assert "main" not in caught.value.message.lower()
    assert dump(database) == before


def test_the_same_name_lives_in_another_container_and_namespace(database: Database, store: Metastore) -> None:
    main, other = catalog(store, "main"), catalog(store, "other")
    committed(database, main, other, schema(main, "s"), schema(other, "s"))
    assert committed(database, table(schema(main, "t"), "t", parent_id=main.id)) > 0


def test_a_deleted_name_is_free_and_its_successor_is_another_object(
    database: Database, store: Metastore
) -> None:
    first = catalog(store, "main")
    committed(database, first)
    for _ in range(3):
        with writing(database) as uow:
            found = securables.child(uow.session, store.id, "catalog", "main")
            assert found is not None
            found.deleted_time = uow.time
            uow.commit()
        second = catalog(store, "main")
        committed(database, second)
        assert second.id != first.id
    with database.read() as reading:
        assert [row.id for row in securables.children(reading.session, store.id)] == [second.id]


def test_a_principal_name_is_unique_among_all_kinds(database: Database) -> None:
    committed(database, user("ann@example.com"))
    with pytest.raises(AlreadyExists):
        committed(
            database, Principal(id="g", kind="GROUP", name="Ann@example.com", name_key="ann@example.com")
        )


def test_one_of_many_racers_gets_the_name(database: Database, store: Metastore) -> None:
    with ThreadPoolExecutor(RACERS) as pool:
        futures = [pool.submit(committed, database, catalog(store, "main")) for _ in range(RACERS)]
    errors = [future.exception() for future in futures]
    assert sum(error is None for error in errors) == 1
    assert all(isinstance(error, AlreadyExists) for error in errors if error)
    assert database.head()[0].revision == 2


def test_a_duplicate_that_is_no_name_is_a_lost_race(database: Database, store: Metastore) -> None:
    ann = user("bob@example.com")
    committed(database, ann, grant(store, ann))
    with pytest.raises(Aborted):
        committed(database, grant(store, ann))
    with pytest.raises(Aborted):
        committed(database, user("other@example.com", id=ann.id))


def test_a_missing_parent_is_refused_at_commit_and_the_database_goes_on(
    database: Database, store: Metastore
) -> None:
    with pytest.raises(Aborted):
        committed(database, catalog(store, "orphan", parent_id="nowhere"))
    assert committed(database, catalog(store, "main")) == 2


def test_the_second_bootstrap_is_refused(database: Database) -> None:
    def bootstrap() -> None:
        with writing(database) as uow:
            uow.session.execute(insert(Bootstrap).values(id=1, principal_id="p", create_time=uow.time))
            uow.commit()

    with ThreadPoolExecutor(RACERS) as pool:
        futures = [pool.submit(bootstrap) for _ in range(RACERS)]
    errors = [future.exception() for future in futures]
    assert errors.count(None) == 1
    refusals = [error for error in errors if error]
    assert all(isinstance(error, FailedPrecondition) for error in refusals)
    assert {error.reason for error in refusals if isinstance(error, LakewardenError)} == {
        Reason.ALREADY_INITIALIZED
    }


def fill_names(database: Database) -> list[str]:
    """Creates one principal a name and returns the keys in the database's order, page by page."""
    committed(
        database, *[user(name, name_key=key(name)) for name in {key(name): name for name in NAMES}.values()]
    )
    keys: list[str] = []
    with database.read() as uow:
        while page := principals.of_kind(uow.session, "USER", after_key=keys[-1] if keys else "", limit=4):
            keys += [row.name_key for row in page]
    return keys


def test_keys_are_ordered_by_code_point(database: Database) -> None:
    assert fill_names(database) == sorted({key(name) for name in NAMES})


def test_key_columns_do_not_take_the_order_of_the_databases_language(
    make_database_url: Callable[[str], str],
) -> None:
    """The server of these tests has no languages, so the promise is read from the catalog: collation "C"."""
    database = create_database(make_database_url("postgresql"))
    with database.read() as uow:
        rows = uow.connection.exec_driver_sql(
            "SELECT table_name, column_name FROM information_schema.columns WHERE collation_name = 'C'"
            " AND table_schema = 'public'"
        )
        found = {tuple(row) for row in rows}
    database.close()
    assert found == {
        ("securables", "name_key"),
        ("principals", "name_key"),
        ("principals", "external_id"),
        ("columns", "name_key"),
        ("column_masks", "column_key"),
        ("grants", "privilege"),
        ("model_aliases", "alias_key"),
        ("external_locations", "url"),
        ("storage_paths", "url"),
        ("tags", "column_key"),
        ("tags", "key"),
        ("lineage_names", "location"),
    }


def test_children_are_paged_in_the_same_order(make_database_url: Callable[[str], str]) -> None:
    orders = []
    for dialect in ("sqlite", "postgresql"):
        database = create_database(make_database_url(dialect))
        ann = user("ann@example.com")
        made = metastore(ann)
        unique = {key(name): name for name in NAMES}
        committed(
            database, ann, made, *[catalog(made, name, name_key=place) for place, name in unique.items()]
        )
        with database.read(deadline=monotonic() + 10) as uow:
            names: list[str] = []
            last: Securable | None = None
            while page := securables.children(uow.session, made.id, after=last, limit=3):
                names += [row.name_key for row in page]
                last = page[-1]
            assert all(isinstance(row, Catalog) for row in page)
        orders.append(names)
        database.close()
    assert orders[0] == orders[1] == sorted({key(name) for name in NAMES})
