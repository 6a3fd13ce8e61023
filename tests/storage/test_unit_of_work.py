"""All or nothing: data, log, audit, idempotency and head together, whatever fails and wherever."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, select

from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import InvalidArgument, LakewardenError, Reason
from lakewarden_server.entities import AuditLog, ChangeLog, Idempotency, Principal
from lakewarden_server.storage import Database, DecisionRecord, create_database, idempotency
from lakewarden_server.storage.decisions import append_decisions
from storage.worlds import ACTOR, dump, record, user, writing

METHOD = "CreateUser"


def everything(database: Database, name: str = "bea@example.com") -> None:
    """A write that touches all there is to touch."""
    with writing(database) as uow:
        uow.session.add(user(name))
        uow.session.get_one(Principal, "account-users").display_name = name
        uow.audit(record(object_name=name))
        uow.remember(method=METHOD, request_id=name, payload_hash="hash", response=b"reply")
        uow.commit()


def test_a_write_left_without_commit_leaves_nothing(database: Database) -> None:
    everything(database)
    before = dump(database)
    with writing(database) as uow:
        uow.session.add(user("cid@example.com"))
        uow.audit(record())
        uow.remember(method=METHOD, request_id="other", payload_hash="hash", response=b"")
        uow.session.flush()
    assert dump(database) == before


def test_a_write_that_raises_leaves_nothing(database: Database) -> None:
    def fail() -> None:
        with writing(database) as uow:
            uow.session.add(user("cid@example.com"))
            uow.session.flush()
            raise ZeroDivisionError

    before = dump(database)
    with pytest.raises(ZeroDivisionError):
        fail()
    assert dump(database) == before
    everything(database)


def test_a_committed_write_has_all_its_parts(database: Database) -> None:
    everything(database)
    with database.read() as uow:
        for entity in (ChangeLog, AuditLog, Idempotency):
            assert {row.revision for row in uow.session.scalars(select(entity))} == {1}


def test_a_failure_of_any_database_call_leaves_nothing(database: Database) -> None:
    before = dump(database)
    failures = 0
    for number in range(1, 100):
        with broken_at(database, number) as fault:
            try:
                everything(database)
            except LakewardenError:
                failures += 1
                assert fault.struck, f"call {number} failed by itself"
        if not fault.struck:
            break
        assert dump(database) == before, f"call {number}"
    # Taking the head, reading, three inserts and an update with their log, audit, idempotency and COMMIT.
    assert failures >= 9
    assert failures == number - 1
    assert database.head()[0].revision == 1


class Fault:
    """Breaks the connection for real, just before the Nth call is sent."""

    def __init__(self, database: Database, number: int) -> None:
        self.database = database
        self.left = number
        self.struck = False
        self.thread = threading.get_ident()

    def count(self, connection: Any, *_rest: object) -> None:
        self.left -= 1
        if self.left == 0:
            self.struck = True
            driver = connection.connection.dbapi_connection
            if self.database.dialect == "sqlite":
                strikes = [1]
                driver.set_progress_handler(lambda: strikes.pop() if strikes else 0, 1)
            else:
                url = self.database.engines.writer.url.set(drivername="postgresql")
                with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as other:
                    other.execute("SELECT pg_terminate_backend(%s, 1000)", (driver.info.backend_pid,))


@contextmanager
def broken_at(database: Database, number: int) -> Iterator[Fault]:
    fault = Fault(database, number)
    listeners = (("before_cursor_execute", fault.count), ("commit", fault.count))
    for name, listener in listeners:
        event.listen(database.engines.writer, name, listener)
    try:
        yield fault
    finally:
        for name, listener in listeners:
            event.remove(database.engines.writer, name, listener)


def test_steps_are_reported_in_order(database_url: str) -> None:
    steps: list[str] = []
    database = create_database(database_url, on_step=steps.append)
    everything(database)
    database.close()
    assert steps == ["begun", "head_taken", "data_written", "audit_written", "committed"]


def test_a_step_hook_that_raises_before_commit_leaves_nothing(database_url: str) -> None:
    def stop(step: str) -> None:
        if step == "audit_written":
            raise ZeroDivisionError

    database = create_database(database_url, on_step=stop)
    before = dump(database)
    with pytest.raises(ZeroDivisionError):
        everything(database)
    assert dump(database) == before
    database.close()


def recalled(
    database: Database, *, request_id: str = "bea@example.com", payload_hash: str = "hash"
) -> bytes | None:
    with writing(database) as uow:
        return uow.recall(method=METHOD, request_id=request_id, payload_hash=payload_hash)


def test_the_same_request_gets_the_stored_response(database: Database) -> None:
    everything(database)
    assert recalled(database) == b"reply"
    assert recalled(database, request_id="another") is None


def test_a_request_id_with_another_payload_is_refused(database: Database) -> None:
    everything(database)
    with pytest.raises(InvalidArgument) as caught:
        recalled(database, payload_hash="other")
    assert caught.value.reason == Reason.REQUEST_ID_REUSED


def test_a_response_is_forgotten_after_a_day(database: Database) -> None:
    key = idempotency.RequestKey(ACTOR, METHOD, "bea@example.com")
    with database.transaction(deadline=monotonic() + 10) as connection:
        _, now = database.head()
        old = now - timedelta(hours=25)
        idempotency.remember(connection, key, payload_hash="old", response=b"old", revision=1, time=old)
        connection.commit()
    assert recalled(database) is None
    everything(database)
    assert recalled(database) == b"reply"
    with database.transaction(deadline=monotonic() + 10) as connection:
        assert idempotency.purge(connection, time=now) == 0
        assert idempotency.purge(connection, time=now + timedelta(hours=25)) == 1


def test_decisions_are_logged_without_touching_the_head(database: Database) -> None:
    head, now = database.head()
    decision = DecisionRecord(
        time=now,
        revision=head.revision,
        actor_id=ACTOR,
        actor_name="ann@example.com",
        request_id="request-1",
        method="Check",
        operation="table.get",
        object_name="main.sales.orders",
        outcome="DENIED",
        reason="PRIVILEGE_MISSING",
    )
    with database.transaction(deadline=monotonic() + 10) as connection:
        append_decisions(connection, [decision] * 3)
        connection.commit()
    assert database.head()[0] == head
    assert len(dump(database)["decision_log"]) == 3


def test_threads_are_served_in_the_order_they_came(make_database_url: Callable[[str], str]) -> None:
    database = create_database(make_database_url("sqlite"))
    served: list[int] = []

    def serve(number: int) -> None:
        everything(database, f"{number}@x.io")
        served.append(number)

    with writing(database):
        threads: list[threading.Thread] = []
        for number in range(8):
            threads.append(threading.Thread(target=serve, args=(number,)))
            threads[-1].start()
            while len(database._writers._waiters) <= number:
                pass
    for thread in threads:
        thread.join()
    with database.read() as uow:
        names = uow.session.scalars(select(AuditLog.object_name).order_by(AuditLog.sequence)).all()
    database.close()
    assert names == [f"{number}@x.io" for number in range(8)]
    assert len(served) == 8
