"""Many callers, one transaction; and what lineage never touches."""

from __future__ import annotations

import random
import string
import threading
import time

import pytest
from sqlalchemy import func, select

from lakewarden_policy import load_policy
from lakewarden_server.authz.follower import Follower
from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import DeadlineExceeded, Internal, LakewardenError, Overloaded, Reason
from lakewarden_server.entities import (
    AuditLog,
    Base,
    ChangeLog,
    LineageEvent,
    LineageHead,
    Metastore,
    StoragePath,
)
from lakewarden_server.lineage import recorder as recorders
from lakewarden_server.lineage.facets import understand
from lakewarden_server.lineage.recorder import Recorder
from lakewarden_server.lineage.recording import Received
from lineage.corpus import NOW, event, job_event, read
from lineage.stored import Lineage
from storage.worlds import catalog, committed, metastore, user, writing
from storage.worlds import schema as schema_of
from storage.worlds import table as table_of

CALLERS = 24


def count(database, entity) -> int:
    with database.reading() as connection:
        return connection.execute(select(func.count()).select_from(entity)).scalar_one()


def received(*bodies: bytes) -> list[Received]:
    return [Received(told, understand(told)) for told in map(read, bodies)]


def told(number: int) -> bytes:
    return event(run=number, second=number, inputs=["a"], outputs=["b"])


def in_threads(actions) -> None:
    threads = [threading.Thread(target=action) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_concurrent_callers_are_all_answered_and_share_transactions(database):
    lineage = Lineage(database)
    in_threads([lambda number=number: lineage.record(told(number)) for number in range(CALLERS)])
    assert lineage.edge("a", "b")["runs"] == CALLERS
    with database.reading() as connection:
        transactions = connection.execute(select(LineageHead.sequence)).scalar_one()
    assert transactions < CALLERS


def test_lineage_touches_neither_the_head_of_decisions_nor_change_log_nor_audit(database):
    lineage = Lineage(database)
    before = database.head()[0], count(database, ChangeLog), count(database, AuditLog)
    lineage.record(told(1))
    assert (database.head()[0], count(database, ChangeLog), count(database, AuditLog)) == before
    assert count(database, LineageEvent) == 1


def test_the_tables_of_lineage_are_not_change_logged():
    from lakewarden_server.storage.change_log import LOGGED_TABLES

    lineage = {name for name in Base.metadata.tables if name.startswith("lineage_")}
    assert len(lineage) == 16
    assert not lineage & LOGGED_TABLES


def test_more_events_than_may_wait_are_refused_at_once(database):
    lineage = Lineage(database)
    small = Recorder(database, queue_events_max=2)
    with pytest.raises(Overloaded):
        small.record(lineage.origin, received(told(1), told(2), told(3)), time=NOW, deadline=monotonic() + 10)
    assert count(database, LineageEvent) == 0
    assert small.record(lineage.origin, received(told(1)), time=NOW, deadline=monotonic() + 10) == [True]


def blocked(monkeypatch):
    """Recording stops until the second event is set; the first says that it has begun."""
    begun, go = threading.Event(), threading.Event()
    record = recorders.record

    def waiting(*arguments):
        begun.set()
        assert go.wait(20)
        return record(*arguments)

    monkeypatch.setattr(recorders, "record", waiting)
    return begun, go


def test_whoever_waits_too_long_is_told_and_nothing_of_theirs_is_recorded(database, monkeypatch):
    lineage = Lineage(database)
    begun, go = blocked(monkeypatch)
    first = threading.Thread(target=lambda: lineage.record(told(1)))
    first.start()
    assert begun.wait(20)
    with pytest.raises(DeadlineExceeded):
        lineage.recorder.record(lineage.origin, received(told(2)), time=NOW, deadline=monotonic() + 0.1)
    go.set()
    first.join()
    lineage.record(told(3))
    assert lineage.edge("a", "b")["runs"] == 2


def test_nobody_is_answered_before_the_commit(database, monkeypatch):
    lineage = Lineage(database)
    begun, go = blocked(monkeypatch)
    answered = []
    thread = threading.Thread(target=lambda: answered.append(lineage.record(told(1))))
    thread.start()
    assert begun.wait(20)
    assert answered == []
    assert count(database, LineageEvent) == 0
    go.set()
    thread.join()
    assert answered == [[True]]
    assert count(database, LineageEvent) == 1


@pytest.mark.parametrize("error", [ZeroDivisionError(), Internal(Reason.INTERNAL_ERROR, "refused")])
def test_an_event_nobody_foresaw_fails_alone(database, monkeypatch, error):
    """Callers in one transaction with a fault: it is that caller's, and the others are recorded."""
    lineage = Lineage(database)
    begun, go = blocked(monkeypatch)
    record = recorders.record

    def faulty(store, origin, events, *more):
        if any(each.event.job.name == "fault" for each in events):
            raise error
        return record(store, origin, events, *more)

    failed = []

    def fault():
        try:
            lineage.record(event(run=99, job="fault"))
        except type(error) as raised:
            failed.append(raised)

    first = threading.Thread(target=lambda: lineage.record(told(0)))
    first.start()
    assert begun.wait(20)
    monkeypatch.setattr(recorders, "record", faulty)
    others = [threading.Thread(target=lambda n=n: lineage.record(told(n))) for n in (1, 2, 3)]
    others.insert(1, threading.Thread(target=fault))
    for thread in others:
        thread.start()
    give_up = monotonic() + 20
    while lineage.recorder.waiting < 4:
        assert monotonic() < give_up
        time.sleep(0.01)
    go.set()
    for thread in [first, *others]:
        thread.join()
    assert len(failed) == 1
    assert lineage.edge("a", "b")["runs"] == 4


def test_whoever_records_for_another_is_not_told_of_the_others_fault(database, monkeypatch):
    lineage = Lineage(database)
    record = recorders.record

    def faulty(store, origin, events, *more):
        if any(each.event.job.name == "fault" for each in events):
            raise ZeroDivisionError
        return record(store, origin, events, *more)

    monkeypatch.setattr(recorders, "record", faulty)
    monkeypatch.setattr(recorders, "COMMIT_EVENTS_MAX", 1)
    another = recorders._Submission(lineage.origin, received(event(run=99, job="fault")), NOW)
    lineage.recorder._queue.append(another)
    lineage.recorder._events += 1
    lineage.record(told(1))
    assert lineage.edge("a", "b")["runs"] == 1
    assert (another.done, type(another.error)) == (True, ZeroDivisionError)


def test_names_longer_than_an_index_takes_are_recorded(database):
    lineage = Lineage(database)
    long = "".join(random.Random(1).choices(string.ascii_letters, k=4_000))
    job = job_event(1, long, ["a"], ["b"])
    assert lineage.record(job) == [True]
    assert lineage.record(job) == [False]


def test_a_database_that_refuses_is_told_to_all_who_waited(database):
    lineage = Lineage(database)
    bodies = received(told(1))
    database.close()
    database.engines.writer.dispose()
    if database.dialect == "sqlite":
        assert database.engines.path is not None
        database.engines.path.unlink()
        with pytest.raises(LakewardenError):
            lineage.recorder.record(lineage.origin, bodies, time=NOW, deadline=monotonic() + 5)


@pytest.fixture
def governed(database):
    """A metastore with the table main.sales.orders at a path."""
    owner = user("ada@example.com")
    store = metastore(owner)
    main = catalog(store, "main")
    sales = schema_of(main, "sales")
    orders = table_of(sales, "orders")
    committed(database, owner, store, main, sales, orders)
    return store, orders


def test_a_path_in_a_table_of_ours_is_that_table(database, governed):
    store, orders = governed
    with writing(database) as uow:
        uow.session.add(StoragePath(securable_id=orders.id, use="DATA", url="s3://lake/tables/orders"))
        uow.commit()
    snapshot = Follower(database, load_policy()).at_head().snapshot
    lineage = Lineage(database, metastore_id=store.id, snapshot=snapshot)
    path = {"namespace": "s3a://lake", "name": "/tables/orders/dt=2026-01-01", "facets": {}}
    beside = {"namespace": "s3://lake", "name": "tables/orders2", "facets": {}}
    named = {"namespace": "unitycatalog://host", "name": "main.sales.orders", "facets": {}}
    lineage.record(
        event(run=1, inputs=[path, beside], outputs=["b"]), event(run=2, inputs=[named], outputs=["c"])
    )
    assert lineage.meaning("tables/orders")["securable"] == orders.id
    assert lineage.meaning("tables/orders") == lineage.meaning("main.sales.orders")
    assert lineage.meaning("tables/orders2")["securable"] is None


def test_a_name_or_path_binds_to_no_table_of_another_metastore(database, governed):
    _store, orders = governed
    with writing(database) as uow:
        uow.session.add(StoragePath(securable_id=orders.id, use="DATA", url="s3://lake/tables/orders"))
        uow.commit()
    snapshot = Follower(database, load_policy()).at_head().snapshot
    lineage = Lineage(database, metastore_id="another", snapshot=snapshot)
    path = {"namespace": "s3://lake", "name": "tables/orders", "facets": {}}
    named = {"namespace": "unitycatalog://host", "name": "main.sales.orders", "facets": {}}
    lineage.record(event(inputs=[path, named], outputs=["b"]))
    assert {line["securable"] for line in lineage.lines("asset")} == {None}


def test_a_name_in_our_catalog_is_bound_to_the_securable_and_follows_no_rename(database, governed):
    store, orders = governed
    follower = Follower(database, load_policy())
    lineage = Lineage(database, metastore_id=store.id, snapshot=follower.at_head().snapshot)
    ours = {"namespace": "unitycatalog://host:443", "name": "Main.Sales.Orders", "facets": {}}
    lineage.record(event(inputs=[ours], outputs=["mart"]))
    assert lineage.meaning("main.sales.orders")["securable"] == orders.id
    sequence = lineage.sequence()
    with writing(database) as uow:
        renamed = uow.session.get(type(orders), orders.id)
        renamed.name, renamed.name_key = "bookings", "bookings"
        uow.commit()
    assert lineage.sequence() == sequence
    lineage = Lineage(database, metastore_id=store.id, snapshot=follower.at_head().snapshot)
    later = {**ours, "name": "main.sales.bookings"}
    lineage.record(event(second=9, run=2, inputs=[later], outputs=["mart"]))
    assert lineage.meaning("main.sales.bookings") == lineage.meaning("main.sales.orders")
    assert lineage.edge("main.sales.bookings", "mart")["runs"] == 2
    assert [change.kind for change in lineage.changes(sequence) if change.state != "LIVE"] == []
    assert isinstance(store, Metastore)


def test_a_large_call_is_recorded_in_transactions_that_let_others_in(database, monkeypatch):
    monkeypatch.setattr(recorders, "COMMIT_EVENTS_MAX", 3)
    lineage = Lineage(database)
    assert lineage.record(*[told(number) for number in range(10)], told(4)) == [True] * 10 + [False]
    with database.reading() as connection:
        assert connection.execute(select(LineageHead.sequence)).scalar_one() == 4


def recorded_together(lineage, monkeypatch, *calls: tuple[str, bytes]) -> list[list[bool]]:
    """What calls of principals are answered that come, in this order, while another is recorded."""
    begun, go = blocked(monkeypatch)
    first = threading.Thread(target=lambda: lineage.record(told(0)))
    first.start()
    assert begun.wait(20)
    answers: list[list[bool]] = [[] for _ in calls]

    def call(place: int, principal_id: str, body: bytes) -> None:
        origin = lineage.origin._replace(principal_id=principal_id)
        answers[place] = lineage.recorder.record(origin, received(body), time=NOW, deadline=monotonic() + 60)

    threads = [first]
    for place, (principal_id, body) in enumerate(calls):
        threads.append(threading.Thread(target=call, args=(place, principal_id, body)))
        threads[-1].start()
        give_up = monotonic() + 20
        while lineage.recorder.waiting <= place:
            assert monotonic() < give_up
            time.sleep(0.01)
    go.set()
    for thread in threads:
        thread.join()
    return answers


def test_every_change_of_calls_that_share_a_transaction_is_told(database, monkeypatch):
    lineage = Lineage(database)
    pairs = [("c", "d"), ("e", "f"), ("g", "h")]
    bodies = [event(run=n, inputs=[one], outputs=[other]) for n, (one, other) in enumerate(pairs, 1)]
    recorded_together(lineage, monkeypatch, *zip(("ada", "eve", "ada"), bodies, strict=True))
    assert transactions(database) == 2
    assert sorted(change.edge_id for change in lineage.changes() if change.kind == "EDGE") == [1, 2, 3, 4]
    assert len([change for change in lineage.changes() if change.kind == "ASSET"]) == 8


def test_calls_of_one_origin_are_recorded_as_one_and_each_is_told_of_its_own(database, monkeypatch):
    lineage, recorded = Lineage(database), []
    record = recorders.record
    monkeypatch.setattr(recorders, "record", lambda *told: recorded.append(told[2]) or record(*told))
    calls = [("ada", told(1)), ("ada", told(2)), ("ada", told(1)), ("eve", told(1)), ("ada", told(3))]
    assert recorded_together(lineage, monkeypatch, *calls) == [[True], [True], [False], [True], [True]]
    assert [len(together) for together in recorded] == [1, 3, 1, 1]
    assert lineage.edge("a", "b")["runs"] == 5


def transactions(database) -> int:
    with database.reading() as connection:
        return connection.execute(select(LineageHead.sequence)).scalar_one()


def test_heavy_events_are_recorded_in_transactions_of_their_own(database, monkeypatch):
    monkeypatch.setattr(recorders, "COMMIT_WEIGHT_MAX", 300)
    inputs, outputs = ([f"{side}{n}" for n in range(20)] for side in "io")
    lineage = Lineage(database)
    heavy = [event("START", n, run=n, inputs=inputs, outputs=outputs) for n in range(3)]
    assert lineage.record(*heavy, told(9)) == [True] * 4
    assert transactions(database) == 4
    # An event that says little is heavy where its run has said much.
    assert lineage.record(*(event("COMPLETE", 10, run=n) for n in range(3)), told(9)) == [True] * 3 + [False]
    assert transactions(database) == 8
    assert lineage.edge("i0", "o0")["runs"] == 3


def test_the_rest_of_a_heavy_call_comes_after_those_who_wait(database, monkeypatch):
    monkeypatch.setattr(recorders, "COMMIT_WEIGHT_MAX", 1)
    lineage = Lineage(database)
    order = []
    record = recorders.record

    def noted(store, origin, events, *more):
        fresh = record(store, origin, events, *more)
        order.extend(each.event.run_id[-1] for each in events[: len(fresh)])
        return fresh

    monkeypatch.setattr(recorders, "record", noted)
    waiting = recorders._Submission(lineage.origin, received(told(9)), NOW)
    lineage.recorder._append(recorders._Submission(lineage.origin, received(told(1), told(2), told(3)), NOW))
    lineage.recorder._append(waiting)
    lineage.record(told(4))
    assert (order, waiting.done) == (["1", "9", "4"], True)


def test_a_transaction_that_takes_too_long_is_given_up(database, monkeypatch):
    monkeypatch.setattr(recorders, "RECORD_SECONDS_MAX", 0.5)
    lineage = Lineage(database)
    record = recorders.record

    def slow(*arguments):
        time.sleep(0.6)
        return record(*arguments)

    monkeypatch.setattr(recorders, "record", slow)
    with pytest.raises(DeadlineExceeded):
        lineage.record(told(1))
    assert count(database, LineageEvent) == 0
