"""The audit chain: every sort of tampering is found, and an intact chain has no finding."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Connection, text

from lakewarden_server.core.clock import monotonic
from lakewarden_server.storage import Database, audit
from lakewarden_server.storage.audit import ChainHead
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


def edit(connection: Connection) -> None:
    connection.execute(text("UPDATE audit_log SET outcome = 'DENIED' WHERE sequence = 3"))


def edit_detail(connection: Connection) -> None:
    connection.execute(text("UPDATE audit_log SET detail = '{}' WHERE sequence = 3"))


def edit_time(connection: Connection) -> None:
    connection.execute(
        text("UPDATE audit_log SET time = (SELECT max(time) FROM audit_log) WHERE sequence = 1")
    )


def delete_one(connection: Connection) -> None:
    connection.execute(text("DELETE FROM audit_log WHERE sequence = 4"))


def delete_first(connection: Connection) -> None:
    connection.execute(text("DELETE FROM audit_log WHERE sequence = 1"))


def delete_and_close_the_gap(connection: Connection) -> None:
    delete_one(connection)
    for number in range(5, RECORDS + 1):
        connection.execute(text("UPDATE audit_log SET sequence = :n - 1 WHERE sequence = :n"), {"n": number})
    connection.execute(text("UPDATE audit_head SET sequence = sequence - 1"))


def insert_in_the_middle(connection: Connection) -> None:
    for number in range(RECORDS, 3, -1):
        connection.execute(text("UPDATE audit_log SET sequence = :n + 1 WHERE sequence = :n"), {"n": number})
    _copy(connection, 3, 4)
    connection.execute(text("UPDATE audit_head SET sequence = sequence + 1"))


def insert_at_the_end(connection: Connection) -> None:
    _copy(connection, RECORDS, RECORDS + 1)


def swap(connection: Connection) -> None:
    for old, new in ((4, 100), (5, 4), (100, 5)):
        connection.execute(
            text("UPDATE audit_log SET sequence = :new WHERE sequence = :old"), {"old": old, "new": new}
        )


def cut_the_tail(connection: Connection) -> None:
    connection.execute(text("DELETE FROM audit_log WHERE sequence > 5"))


def empty(connection: Connection) -> None:
    connection.execute(text("DELETE FROM audit_log"))


def cut_the_tail_and_the_head(connection: Connection) -> None:
    cut_the_tail(connection)
    connection.execute(
        text("UPDATE audit_head SET sequence = 5, hash = (SELECT hash FROM audit_log WHERE sequence = 5)")
    )


def forge_the_chain(connection: Connection) -> None:
    """Edits a record and computes every later hash anew, as somebody who knows the format would."""
    edit(connection)
    previous = audit.GENESIS_HASH
    for row in list(audit._records(connection)):
        row["previous_hash"] = previous
        previous = audit.chain_hash(row)
        connection.execute(
            text("UPDATE audit_log SET previous_hash = :old, hash = :new WHERE sequence = :sequence"),
            {"old": row["previous_hash"], "new": previous, "sequence": row["sequence"]},
        )
    connection.execute(text("UPDATE audit_head SET hash = :new"), {"new": previous})


def _copy(connection: Connection, source: int, target: int) -> None:
    columns = (
        "previous_hash, hash, revision, time, actor_id, actor_name, subject_name, workspace_id, request_id, method, "
        "operation, object_kind, object_id, object_name, outcome, detail"
    )
    connection.execute(
        text(
            f"INSERT INTO audit_log (sequence, {columns}) SELECT :target, {columns} FROM audit_log WHERE sequence = :source"
        ),
        {"source": source, "target": target},
    )


SEEN_FROM_INSIDE = (
    edit,
    edit_detail,
    edit_time,
    delete_one,
    delete_first,
    delete_and_close_the_gap,
    insert_in_the_middle,
    insert_at_the_end,
    swap,
    cut_the_tail,
    empty,
)
SEEN_BY_THE_EXPORTED_HEAD = (cut_the_tail_and_the_head, forge_the_chain)


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


@pytest.mark.parametrize("how", SEEN_BY_THE_EXPORTED_HEAD)
def test_a_consistent_forgery_is_found_by_the_exported_head(
    database: Database, how: Callable[[Connection], None]
) -> None:
    exported = filled(database)
    tamper(database, how)
    assert findings(database) == []
    assert findings(database, exported)
