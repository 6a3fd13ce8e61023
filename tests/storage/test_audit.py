"""The audit chain: every sort of tampering is found, and an intact chain has no finding."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from lakewarden_server.core.clock import monotonic
from lakewarden_server.storage import Database, audit
from lakewarden_server.storage.audit import ChainHead
from storage.tampering import SEEN_BY_THE_EXPORTED_HEAD, SEEN_FROM_INSIDE, swap
from storage.worlds import record, user, writing

RECORDS = 8


def filled(database: Database) -> ChainHead:
    """A chain of some records in several transactions; returns its head as it would be exported."""
    for number in range(RECORDS // 2):
        with writing(database) as uow:
            uow.session.add(user(f"{number}@example.com"))
            uow.audit(record(object_id=str(number), detail={"ключ": "значение 🔑", "n": number, "f": 0.1}))
            uow.audit(record(object_id=str(number), subject_name="bob@example.com", workspace_id="w"))
            uow.commit()
    with database.read() as reading:
        return audit.chain_head(reading.connection)


def findings(database: Database, exported: ChainHead | None = None) -> list[audit.Finding]:
    with database.read() as uow:
        return audit.verify(uow.connection, exported)


def tamper(database: Database, how: Callable[[Connection], None]) -> None:
    with database.transaction(deadline=monotonic() + 10) as connection:
        how(connection)
        connection.commit()


def test_an_intact_chain_has_no_finding(database: Database) -> None:
    assert findings(database) == []
    exported = filled(database)
    assert exported.sequence == RECORDS
    assert findings(database, exported) == []


def test_a_chain_longer_than_one_batch_is_intact(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    exported = filled(database)
    monkeypatch.setattr(audit, "VERIFY_BATCH", 3)
    assert findings(database, exported) == []
    tamper(database, swap)
    assert findings(database)


def test_an_exported_head_stays_good_while_the_chain_grows(database: Database) -> None:
    exported = filled(database)
    filled_again = user("new@example.com")
    with writing(database) as uow:
        uow.session.add(filled_again)
        uow.audit(record())
        uow.commit()
    assert findings(database, exported) == []


@pytest.mark.parametrize("how", SEEN_FROM_INSIDE)
def test_tampering_is_found(database: Database, how: Callable[[Connection], None]) -> None:
    filled(database)
    tamper(database, how)
    assert findings(database)


@pytest.mark.parametrize("how", [*SEEN_FROM_INSIDE, *SEEN_BY_THE_EXPORTED_HEAD])
def test_parts_of_any_size_find_the_same(
    database: Database, how: Callable[[Connection], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    exported = filled(database)
    tamper(database, how)
    whole = findings(database, exported)
    for size in (1, 2, RECORDS):
        monkeypatch.setattr(audit, "VERIFY_BATCH", size)
        assert findings(database, exported) == whole


@pytest.mark.parametrize("how", SEEN_BY_THE_EXPORTED_HEAD)
def test_a_consistent_forgery_is_found_by_the_exported_head(
    database: Database, how: Callable[[Connection], None]
) -> None:
    exported = filled(database)
    tamper(database, how)
    assert findings(database) == []
    assert findings(database, exported)
