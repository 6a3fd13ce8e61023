"""One thread at a time reads events or records them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial

import pytest

from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import DeadlineExceeded, Overloaded
from lakewarden_server.entities import LineageEvent
from lakewarden_server.lineage.recorder import Recorder
from lakewarden_server.lineage.turns import LARGE_OF_PRINCIPAL_MAX, TURN_BYTES_MAX, Turns
from lakewarden_server.services import lineage as services
from lakewarden_server.testing import serve
from lineage.corpus import NOW, event
from lineage.stored import Lineage
from lineage.test_recorder import count, in_threads, received, told


def test_one_thread_at_a_time_works_and_who_waits_too_long_for_it_is_told(database):
    recorder, origin = Recorder(database), Lineage(database).origin
    with (
        recorder.turns.recording(monotonic() + 1),
        pytest.raises(DeadlineExceeded),
        recorder.turns.recording(monotonic() + 0.05),
    ):
        pass
    with recorder.turns.recording(monotonic() + 1):
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
    with pytest.raises(ValueError, match="broken"), recorder.turns.recording(monotonic() + 1):
        raise ValueError("broken")
    with recorder.turns.recording(monotonic()):
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


def waiting_for(turns: Turns) -> int:
    """How many threads wait for one of the turns."""
    locks = [turns._working, turns._large, *(own.lock for own in turns._principals.values())]
    return sum(len(lock._waiters) for lock in locks)


def in_order(turns: Turns, *waiting: Callable[[], AbstractContextManager[None]]) -> Iterator[int]:
    """In which order those have a turn who began to wait in this one."""
    order: list[int] = []

    def wait(place: int) -> None:
        with waiting[place]():
            order.append(place)

    threads = [threading.Thread(target=wait, args=(place,)) for place in range(len(waiting))]
    give_up = monotonic() + 20
    for place, thread in enumerate(threads):
        thread.start()
        while waiting_for(turns) <= place:
            assert monotonic() < give_up
            time.sleep(0.001)
    yield -1
    for thread in threads:
        thread.join()
    yield from order


def test_who_records_comes_before_all_who_wait_to_read():
    turns = Turns()
    later = monotonic() + 20
    reading, recording = partial(turns.reading, 1, "ada", later), partial(turns.recording, later)
    waited = in_order(turns, reading, reading, recording)
    with turns.recording(later):
        next(waited)
    assert list(waited) == [2, 0, 1]


def test_who_reads_what_is_large_keeps_nobody_from_reading_or_recording_what_is_small():
    turns = Turns()
    soon = monotonic() + 1
    with turns.reading(TURN_BYTES_MAX + 1, "eve", soon), turns.reading(TURN_BYTES_MAX, "ada", soon):
        pass
    with turns.reading(TURN_BYTES_MAX + 1, "eve", soon), turns.recording(soon):
        pass


def test_large_events_of_principals_are_read_in_turn_however_many_one_sends():
    turns = Turns()
    later = monotonic() + 20
    eve, ada = (partial(turns.reading, TURN_BYTES_MAX + 1, name, later) for name in ("eve", "ada"))
    waited = in_order(turns, eve, eve, ada)
    with eve():
        next(waited)
    order = list(waited)
    assert order.index(2) < 2
    assert not turns._principals


def test_of_one_principal_wait_so_many_large_ones_and_what_is_more_is_refused_at_once():
    turns = Turns()
    later = monotonic() + 20
    eve = partial(turns.reading, TURN_BYTES_MAX + 1, "eve", later)
    with turns.reading(TURN_BYTES_MAX + 1, "ada", later):
        waited = in_order(turns, *[eve] * LARGE_OF_PRINCIPAL_MAX)
        next(waited)
        with pytest.raises(Overloaded), eve():
            pass
    assert len(list(waited)) == LARGE_OF_PRINCIPAL_MAX
    with eve():
        pass


def test_an_event_is_recorded_while_a_call_of_another_has_large_ones_read(monkeypatch):
    begun, go = threading.Event(), threading.Event()
    read_event, large = services.read_event, event(run=7, job="x" * 99, producer="y" * TURN_BYTES_MAX)

    def held_up(body, **options):
        if len(body) > TURN_BYTES_MAX:
            begun.set()
            assert go.wait(20)
        return read_event(body, **options)

    monkeypatch.setattr(services, "read_event", held_up)
    with serve() as server:
        client, other = server.client(), server.client()
        sending = threading.Thread(target=client.lineage_events.record_batch, args=([large, told(1)],))
        sending.start()
        assert begun.wait(20)
        try:
            assert other.lineage_events.record(told(2)).is_new
        finally:
            go.set()
            sending.join()


@pytest.mark.parametrize(
    ("sizes", "turns"),
    [
        ([], []),
        ([1] * 60, [50, 10]),
        ([TURN_BYTES_MAX // 2] * 3, [2, 1]),
        ([1, TURN_BYTES_MAX + 1, 1, 1], [1, 1, 2]),
        ([TURN_BYTES_MAX + 1] * 2, [1, 1]),
    ],
)
def test_a_turn_has_so_many_events_of_so_many_bytes_or_a_larger_one(sizes, turns):
    bodies = [b"x" * size for size in sizes]
    some = list(services._in_turns(bodies))
    assert [len(each) for each in some] == turns
    assert [body for each in some for body in each] == bodies
