"""Every sort of tampering with the audit of a database, for the tests of what finds it. The log has 6 records or more."""

from __future__ import annotations

from sqlalchemy import Connection, text

from lakewarden_server.storage import audit


def last(connection: Connection) -> int:
    """Number of the last record."""
    return int(connection.execute(text("SELECT max(sequence) FROM audit_log")).scalar_one())


def edit(connection: Connection) -> None:
    connection.execute(text("UPDATE audit_log SET outcome = 'DENIED' WHERE sequence = 3"))


def edit_detail(connection: Connection) -> None:
    connection.execute(text("UPDATE audit_log SET detail = '[7]' WHERE sequence = 3"))


def edit_time(connection: Connection) -> None:
    connection.execute(
        text("UPDATE audit_log SET time = (SELECT max(time) FROM audit_log) WHERE sequence = 1")
    )


def edit_into_nonsense(connection: Connection) -> None:
    """SQLite stores any text where PostgreSQL insists on JSON, so there it is another document."""
    detail = "nonsense" if connection.dialect.name == "sqlite" else "[]"
    connection.execute(text(f"UPDATE audit_log SET detail = '{detail}' WHERE sequence = 3"))


def delete_one(connection: Connection) -> None:
    connection.execute(text("DELETE FROM audit_log WHERE sequence = 4"))


def delete_first(connection: Connection) -> None:
    connection.execute(text("DELETE FROM audit_log WHERE sequence = 1"))


def delete_and_close_the_gap(connection: Connection) -> None:
    delete_one(connection)
    for number in range(5, last(connection) + 1):
        connection.execute(text("UPDATE audit_log SET sequence = :n - 1 WHERE sequence = :n"), {"n": number})
    connection.execute(text("UPDATE audit_head SET sequence = sequence - 1"))


def insert_in_the_middle(connection: Connection) -> None:
    for number in range(last(connection), 3, -1):
        connection.execute(text("UPDATE audit_log SET sequence = :n + 1 WHERE sequence = :n"), {"n": number})
    _copy(connection, 3, 4)
    connection.execute(text("UPDATE audit_head SET sequence = sequence + 1"))


def insert_before_the_first(connection: Connection) -> None:
    _copy(connection, 1, 0)


def insert_at_the_end(connection: Connection) -> None:
    _copy(connection, last(connection), last(connection) + 1)


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
    for row in audit._records_after(connection, None, last(connection)):
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
    edit_into_nonsense,
    delete_one,
    delete_first,
    delete_and_close_the_gap,
    insert_in_the_middle,
    insert_before_the_first,
    insert_at_the_end,
    swap,
    cut_the_tail,
    empty,
)
SEEN_BY_THE_EXPORTED_HEAD = (cut_the_tail_and_the_head, forge_the_chain)
