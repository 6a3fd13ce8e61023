"""One thread at a time reads events or records them."""

from __future__ import annotations

import threading
import time

import pytest

from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import DeadlineExceeded
from lakewarden_server.entities import LineageEvent
from lakewarden_server.lineage.recorder import Recorder
from lakewarden_server.services import lineage as services
from lakewarden_server.testing import serve
from lineage.corpus import NOW
from lineage.stored import Lineage
from lineage.test_recorder import count, in_threads, received, told


def test_one_thread_at_a_time_works_and_who_waits_too_long_for_it_is_told(database):
    recorder, origin = Recorder(database), Lineage(database).origin
    with (
        recorder.working(monotonic() + 1),
        pytest.raises(DeadlineExceeded),
        recorder.working(monotonic() + 0.05),
    ):
        pass
    with recorder.working(monotonic() + 1):
        recording = threading.Thread(
            target=recorder.record,
            args=(origin, received(told(1))),
            kwargs={"time": NOW, "deadline": monotonic() + 20},
        )
        recording.start()
        recording.join(0.3)
        assert recording.is_alive()
        assert count(database, LineageEvent) == 0
    recording.join()
    assert count(database, LineageEvent) == 1


def test_whoever_worked_leaves_it_to_the_next_however_it_ended(database):
    recorder = Recorder(database)
    with pytest.raises(ValueError, match="broken"), recorder.working(monotonic() + 1):
        raise ValueError("broken")
    with recorder.working(monotonic()):
        pass


def test_events_of_calls_that_come_at_once_are_read_by_one_at_a_time(monkeypatch):
    reading, most = [], []
    read_event = services.read_event

    def watched(*arguments, **options):
        reading.append(None)
        most.append(len(reading))
        time.sleep(0.002)
        try:
            return read_event(*arguments, **options)
        finally:
            reading.pop()

    monkeypatch.setattr(services, "read_event", watched)
    with serve() as server:
        clients = [server.client() for _ in range(4)]
        sent = [[told(100 * caller + number) for number in range(60)] for caller in range(4)]
        in_threads(
            lambda client=client, bodies=bodies: client.lineage_events.record_batch(bodies)
            for client, bodies in zip(clients, sent, strict=True)
        )
    assert len(most) == 240
    assert max(most) == 1


def test_who_has_the_head_works_before_those_who_only_read(database):
    """Else a grant waits for the head while large events of others are read."""
    recorder = Recorder(database)
    order, deadline = [], monotonic() + 20

    def read(number):
        with recorder.working(deadline):
            order.append(f"read {number}")

    def record():
        recorder.transact(lambda _store: order.append("recorded"), deadline=deadline)

    with recorder.working(deadline):
        waiting = [threading.Thread(target=read, args=(number,)) for number in range(3)]
        for thread in waiting:
            thread.start()
        eventually(lambda: len(recorder._working._waiters) == 3)
        waiting.append(threading.Thread(target=record))
        waiting[-1].start()
        eventually(lambda: len(recorder._working._waiters) == 4)
    for thread in waiting:
        thread.join()
    assert order[0] == "recorded"
    assert sorted(order[1:]) == ["read 0", "read 1", "read 2"]


def eventually(condition):
    """Waits until a condition holds."""
    give_up = monotonic() + 10
    while not condition():
        assert monotonic() < give_up
        time.sleep(0.002)


@pytest.mark.parametrize(
    ("sizes", "turns"),
    [
        ([1] * 120, [50, 50, 20]),
        ([200_000] * 5, [2, 2, 1]),
        ([600_000, 1, 600_000], [1, 1, 1]),
        ([], []),
    ],
)
def test_a_turn_is_of_few_events_and_few_bytes(sizes, turns):
    bodies = [b" " * size for size in sizes]
    taken = list(services._turns(bodies))
    assert [len(some) for some in taken] == turns
    assert [body for some in taken for body in some] == bodies
