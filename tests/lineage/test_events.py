"""An event is read whole or refused with a reason; what real producers send wrong is accepted unless one is strict."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import pytest

from lakewarden_server.lineage.events import (
    DATASETS_MAX,
    EVENT_BYTES_MAX,
    Code,
    EventInvalid,
    EventKind,
    EventType,
    read_event,
    time_text,
)
from lakewarden_server.lineage.facets import understand
from lineage.corpus import NOW, at, event, microseconds, ours, read, recorded


def changed(**fields) -> bytes:
    """An event with other fields; None takes one away."""
    told = {**json.loads(event()), **fields}
    return json.dumps({name: value for name, value in told.items() if value is not None}).encode()


def test_an_event_is_read_whole():
    found = read(event("START", 1.5, inputs=["a"], outputs=["b"], job="nightly 🚀"))
    assert (found.kind, found.type, found.flags) == (EventKind.RUN, EventType.START, frozenset())
    assert found.time == microseconds(1.5)
    assert found.job is not None
    assert found.job.name == "nightly 🚀"
    assert [each.name.name for each in (*found.inputs, *found.outputs)] == ["a", "b"]


@pytest.mark.parametrize(
    ("scenario", "count"),
    [
        ("CLL", 9),
        ("spark_dataproc_simple_producer_test", 4),
        ("spark_dataproc_simple_producer_test_complete", 16),
    ],
)
def test_events_of_real_producers_are_read_strictly(scenario, count):
    bodies = recorded(scenario)
    assert len(bodies) == count
    for body in bodies:
        found = read_event(body, now=NOW, strict=True)
        assert not understand(found).dropped


def test_a_run_id_that_is_no_uuid_is_accepted_and_flagged_and_refused_in_strict_mode():
    (body,) = recorded("simple_run_event")
    assert read(body).flags == {Code.RUN_ID_NOT_UUID}
    assert read(body).run_id == "run_id"
    with pytest.raises(EventInvalid) as refused:
        read_event(body, now=NOW, strict=True)
    assert (refused.value.code, refused.value.retriable) == (Code.RUN_ID_NOT_UUID, False)


LENIENT = {
    "a run id that is no UUID": (changed(run={"runId": "manual"}), Code.RUN_ID_NOT_UUID),
    "no time zone": (changed(eventTime="2026-01-01T00:00:00.5"), Code.TIME_ZONE_MISSING),
    "no schemaURL": (changed(schemaURL=None), Code.SCHEMA_URL_MISSING),
    "no producer": (changed(producer=None), Code.PRODUCER_MISSING),
    "facets that are a list": (changed(run={"runId": "manual", "facets": []}), Code.FACETS_INVALID),
}


@pytest.mark.parametrize(("body", "code"), LENIENT.values(), ids=LENIENT)
def test_what_producers_send_wrong_is_flagged_and_refused_in_strict_mode(body, code):
    assert code in read(body).flags
    with pytest.raises(EventInvalid) as refused:
        read_event(body, now=NOW, strict=True)
    assert not refused.value.retriable


REFUSED = {
    "no JSON": (b"{", Code.JSON_INVALID),
    "not a number": (b'{"eventTime": NaN}', Code.JSON_INVALID),
    "no object": (b"[]", Code.JSON_INVALID),
    "nested too deep": (b"[" * 100_000, Code.JSON_INVALID),
    "an integer of too many digits": (b'{"a": ' + b"9" * 5_000 + b"}", Code.JSON_INVALID),
    "no shape": (b'{"eventTime": "2026-01-01T00:00:00Z"}', Code.KIND_UNKNOWN),
    "no run id": (changed(run={}), Code.RUN_ID_INVALID),
    "a run of null": (changed(run=None, eventType="START"), Code.RUN_ID_INVALID),
    "no job": (changed(job=None), Code.JOB_INVALID),
    "a job without a name": (changed(job={"namespace": "a"}), Code.NAME_MISSING),
    "no time": (changed(eventTime=None), Code.EVENT_TIME_INVALID),
    "a time that never was": (changed(eventTime="2026-02-30T00:00:00Z"), Code.EVENT_TIME_INVALID),
    "a time before computers": (changed(eventTime="0001-01-01T00:00:00Z"), Code.EVENT_TIME_INVALID),
    "a type nobody knows": (changed(eventType="FINISHED"), Code.EVENT_TYPE_INVALID),
    "a type that is a list": (changed(eventType=[]), Code.EVENT_TYPE_INVALID),
    "inputs that are no list": (changed(inputs={}), Code.DATASET_INVALID),
    "a dataset that is text": (changed(inputs=["orders"]), Code.DATASET_INVALID),
    "a dataset without a namespace": (changed(inputs=[{"name": "orders"}]), Code.NAME_MISSING),
    "a name with a NUL": (changed(inputs=[{"namespace": "a", "name": "\x00"}]), Code.NAME_INVALID),
    "half a letter": (changed(inputs=[{"namespace": "a", "name": "\ud800"}]), Code.NAME_INVALID),
    "a name too long": (changed(inputs=[{"namespace": "a", "name": "a" * 4_001}]), Code.NAME_TOO_LONG),
    "too many datasets": (
        changed(inputs=[{"namespace": "a", "name": str(n)} for n in range(DATASETS_MAX + 1)]),
        Code.DATASETS_TOO_MANY,
    ),
    "too many bytes": (b" " * (EVENT_BYTES_MAX + 1), Code.EVENT_TOO_LARGE),
}


@pytest.mark.parametrize(("body", "code"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_event_is_refused_with_its_reason(body, code):
    with pytest.raises(EventInvalid) as refused:
        read(body)
    assert (refused.value.code, refused.value.retriable) == (code, False)


def test_a_clock_far_ahead_is_refused_for_now_and_one_in_the_wrong_zone_is_flagged():
    with pytest.raises(EventInvalid) as refused:
        read(changed(eventTime="2026-11-29T00:00:00Z"))
    assert (refused.value.code, refused.value.retriable) == (Code.EVENT_TIME_AHEAD, True)
    assert read(changed(eventTime="2026-11-27T09:00:00Z")).flags == {Code.EVENT_TIME_AHEAD}
    assert read(changed(eventTime="2026-11-27T00:30:00Z")).flags == frozenset()


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("2026-01-01T00:00:00.123456789Z", "2026-01-01T00:00:00.123456+00:00"),
        ("2026-01-01T02:00:00.1+02:00", "2026-01-01T00:00:00.100000+00:00"),
        ("2026-01-01T02:00+0200", "2026-01-01T00:00:00.000000+00:00"),
        ("2026-01-01T02:00:00+02:00[Europe/Warsaw]", "2026-01-01T00:00:00.000000+00:00"),
        ("2026-01-01T00:00:00", "2026-01-01T00:00:00.000000+00:00"),
    ],
)
def test_times_are_read_to_the_microsecond(text, kept):
    assert time_text(read(changed(eventTime=text)).time) == kept


def test_the_key_is_of_what_an_event_says_and_not_of_how_it_is_spaced():
    told = json.loads(event(inputs=["ä"]))
    spaced = json.dumps(dict(reversed(told.items())), indent=2, ensure_ascii=False).encode()
    assert read(spaced).key == read(event(inputs=["ä"])).key
    assert read(changed(eventTime=at(1))).key != read(changed(eventTime=at(2))).key


def test_a_body_is_kept_as_it_came():
    body = json.dumps({**json.loads(event()), "vendor": {"z": 1, "a": [1.50, None]}}, indent=1).encode()
    assert read(body).body == body


def test_an_event_of_220_kilobytes_is_read():
    wide = [
        {"namespace": "a", "name": f"table {n}", "facets": {"x": {"text": "y" * 900}}} for n in range(230)
    ]
    body = changed(inputs=wide)
    assert len(body) > 220_000
    assert len(read(body).inputs) == 230


def test_job_and_dataset_events_are_told_by_their_shape():
    told = json.loads(event(outputs=["a"]))
    for field in ("run", "eventType"):
        del told[field]
    assert read(json.dumps(told).encode()).kind is EventKind.JOB
    for field in ("job", "inputs", "outputs"):
        del told[field]
    told["dataset"] = {"namespace": "a", "name": "b"}
    found = read(json.dumps(told).encode())
    assert (found.kind, found.job, found.outputs[0].name.name) == (EventKind.DATASET, None, "b")


@pytest.mark.slow
def test_reading_an_event_takes_a_hundred_microseconds():
    bodies = ours("spark")
    mean_bytes = sum(map(len, bodies)) / len(bodies)
    assert 2_000 < mean_bytes < 8_000
    best, now = 1.0, datetime(2026, 11, 27, tzinfo=UTC)
    for _ in range(20):
        began = time.perf_counter()
        for _ in range(20):
            for body in bodies:
                read_event(body, now=now)
        best = min(best, (time.perf_counter() - began) / (20 * len(bodies)))
    assert best < 100e-6
