"""One OpenLineage event from bytes to a checked value: which kind it is, whose run, when, and the key that makes it idempotent.

The checks are written by hand: a general JSON-schema validator costs ten times the whole of this (reference/lineage.md, G4).
What is wrong has a reason code; what a real producer sends wrong is accepted in lenient mode and flagged.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple, NoReturn

from lakewarden_server.core.clock import EPOCH, time_at
from lakewarden_server.lineage.canonical import Parsed, SpeltOwner, canonical, parsed
from lakewarden_server.lineage.evidence import Evidence
from lakewarden_server.lineage.names import AssetName, NameInvalid, dataset_name, job_name
from lakewarden_server.lineage.remembering import Remembered

EVENT_BYTES_MAX: Final = 5 * 1_048_576
"""Of one event; what Dataplex takes."""
DATASETS_MAX: Final = 1_000
"""Inputs and outputs of one event together, and of one run."""
PAIRS_MAX: Final = 2_500
"""Edges of one run: what its inputs × outputs may be at most, and what it may say outright."""
RUN_ID_CHARACTERS_MAX: Final = 255
AHEAD_SECONDS_MAX: Final = 86_400
"""How far an event's clock may be ahead of ours: a wrong time zone is, a wrong century is not."""
FLAGGED_AHEAD_SECONDS: Final = 3_600


class EventKind(StrEnum):
    """The three shapes of an event (OpenLineage spec, `oneOf`)."""

    RUN = "RUN"
    JOB = "JOB"
    DATASET = "DATASET"


class EventType(StrEnum):
    """The transition of a run an event tells."""

    START = "START"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    ABORT = "ABORT"
    FAIL = "FAIL"
    OTHER = "OTHER"


class Code(StrEnum):
    """Why an event was refused, or what was strange about one that was not."""

    EVENT_TOO_LARGE = "EVENT_TOO_LARGE"
    JSON_INVALID = "JSON_INVALID"
    KIND_UNKNOWN = "KIND_UNKNOWN"
    """It has neither run, nor job, nor dataset."""
    EVENT_TIME_INVALID = "EVENT_TIME_INVALID"
    EVENT_TIME_AHEAD = "EVENT_TIME_AHEAD"
    EVENT_TOO_OLD = "EVENT_TOO_OLD"
    """Its run was purged, or what its job did until then is kept as what several runs said."""
    EVENT_TYPE_INVALID = "EVENT_TYPE_INVALID"
    RUN_ID_INVALID = "RUN_ID_INVALID"
    RUN_ID_NOT_UUID = "RUN_ID_NOT_UUID"
    JOB_INVALID = "JOB_INVALID"
    DATASET_INVALID = "DATASET_INVALID"
    DATASETS_TOO_MANY = "DATASETS_TOO_MANY"
    PAIRS_TOO_MANY = "PAIRS_TOO_MANY"
    """Of inputs × outputs nothing is inferred; what is said outright counts."""
    NAME_MISSING = "NAME_MISSING"
    NAME_INVALID = "NAME_INVALID"
    NAME_TOO_LONG = "NAME_TOO_LONG"
    NAMES_TOO_MANY = "NAMES_TOO_MANY"
    """By its links a dataset would have more names than are gone through at a time."""
    TIME_ZONE_MISSING = "TIME_ZONE_MISSING"
    SCHEMA_URL_MISSING = "SCHEMA_URL_MISSING"
    PRODUCER_MISSING = "PRODUCER_MISSING"
    FACETS_INVALID = "FACETS_INVALID"


class EventInvalid(Exception):
    """An event that is not recorded; sent again as it is, it would be refused again unless `retriable`."""

    def __init__(self, code: Code, message: str, *, retriable: bool = False) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.retriable = retriable


class Dataset(NamedTuple):
    """A dataset as one event speaks of it; `facets` as they came or as canonical JSON (`Spelt`), none of them looked into."""

    name: AssetName
    facets: dict[str, Any]
    text: SpeltOwner | None = None
    """The whole as text, by which what it says is remembered; None where it is not kept as text."""


class Event(NamedTuple):
    """A checked event. `time` is in microseconds since 1970; `flags` say what was let pass."""

    key: str
    """SHA-256 of the event as canonical JSON: of the same event sent twice the same, however it was spaced."""
    kind: EventKind
    time: int
    type: EventType
    run_id: str
    """Empty for an event without a run."""
    run_facets: dict[str, Any]
    job: AssetName | None
    job_facets: dict[str, Any]
    inputs: tuple[Dataset, ...]
    outputs: tuple[Dataset, ...]
    flags: frozenset[Code]
    body: bytes
    evidence: Evidence = Evidence.OBSERVED
    """No event of a run says it: what comes from outside is what a run tells. Of a job event its facet may say less."""


_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?)(?:[.,](\d+))?(Z|z|[+-]\d\d(?::?\d\d)?)?(?:\[[^\]]*\])?"
)
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_NONE: Final[dict[str, Any]] = {}
_DATASETS: Final = Remembered[Dataset]()


def read_event(body: bytes, *, now: datetime, strict: bool = False) -> Event:
    """The event in `body`; in strict mode only what the specification allows. Raises `EventInvalid`."""
    if len(body) > EVENT_BYTES_MAX:
        raise EventInvalid(Code.EVENT_TOO_LARGE, f"an event has at most {EVENT_BYTES_MAX} bytes")
    return _read(parse(body), _Reading(now, strict), body)


def parse(body: bytes) -> Parsed:
    """The JSON in `body`. Raises `EventInvalid`."""
    try:
        return parsed(body)
    except (ValueError, RecursionError) as error:
        raise EventInvalid(Code.JSON_INVALID, "the body is not JSON") from error


def event_of(told: dict[str, Any], *, now: datetime, strict: bool = False) -> Event:
    """The event that this server tells itself, as `read_event`; it is kept as canonical JSON. Raises `EventInvalid`."""
    return _read(Parsed(told), _Reading(now, strict), b"")


def _read(told: Parsed, reading: _Reading, body: bytes) -> Event:
    if not isinstance(told.value, dict):
        raise EventInvalid(Code.JSON_INVALID, "an event is a JSON object")
    try:
        return _event(told.value, reading, body, _canonical(told))
    except NameInvalid as error:
        raise EventInvalid(Code(str(error)), "a namespace or name is missing or cannot be stored") from error


def event_key(canonical: bytes) -> str:
    """The key of an event by its canonical JSON."""
    return hashlib.sha256(canonical).hexdigest()


def time_text(microseconds: int) -> str:
    """A time of an event in ISO 8601, UTC."""
    return time_at(microseconds).isoformat(timespec="microseconds")


class _Reading:
    """How one event is read, and what was strange about it."""

    def __init__(self, now: datetime, strict: bool) -> None:
        self.now = now
        self.strict = strict
        self.flags: set[Code] = set()

    def lenient(self, code: Code, message: str) -> None:
        """Refuses in strict mode, flags in lenient mode."""
        if self.strict:
            raise EventInvalid(code, message)
        self.flags.add(code)


def _event(parsed: dict[str, Any], reading: _Reading, body: bytes, canonical: bytes) -> Event:
    if len(canonical) > EVENT_BYTES_MAX:
        raise EventInvalid(Code.EVENT_TOO_LARGE, f"an event has at most {EVENT_BYTES_MAX} bytes")
    for name, code in (("schemaURL", Code.SCHEMA_URL_MISSING), ("producer", Code.PRODUCER_MISSING)):
        if not isinstance(parsed.get(name), str) or not parsed[name]:
            reading.lenient(code, f"{name} is missing")
    kind = _kind(parsed)
    time = _time(parsed.get("eventTime"), reading)
    run_id, run_facets, type_ = "", _NONE, EventType.OTHER
    if kind is EventKind.RUN:
        run_id, run_facets = _run(parsed["run"], reading)
        type_ = _type(parsed.get("eventType"))
    job, job_facets = None, _NONE
    if kind is not EventKind.DATASET:
        job, job_facets = _job(parsed.get("job"), reading)
        inputs, outputs = (_datasets(parsed.get(side), reading) for side in ("inputs", "outputs"))
    else:
        inputs, outputs = (), _datasets([parsed["dataset"]], reading)
    if len(inputs) + len(outputs) > DATASETS_MAX:
        raise EventInvalid(Code.DATASETS_TOO_MANY, f"an event has at most {DATASETS_MAX} datasets")
    if len(inputs) * len(outputs) > PAIRS_MAX:
        reading.flags.add(Code.PAIRS_TOO_MANY)
    return Event(
        event_key(canonical), kind, time, type_, run_id, run_facets, job, job_facets, inputs, outputs,
        frozenset(reading.flags), body or canonical,
    )  # fmt: skip


def _canonical(told: Parsed) -> bytes:
    try:
        return canonical(told)
    except (ValueError, RecursionError) as error:
        raise EventInvalid(Code.JSON_INVALID, "the event is nested too deep") from error


def _kind(parsed: dict[str, Any]) -> EventKind:
    # Producers send a `run` of null, and a run event may have a stray `dataset`: the richest shape is what is meant.
    if isinstance(parsed.get("run"), dict):
        return EventKind.RUN
    if "run" in parsed or "eventType" in parsed:
        raise EventInvalid(Code.RUN_ID_INVALID, "the event of a run needs run.runId")
    if "job" in parsed:
        return EventKind.JOB
    if "dataset" in parsed:
        return EventKind.DATASET
    raise EventInvalid(Code.KIND_UNKNOWN, "an event has a run and a job, a job, or a dataset")


def _time(text: Any, reading: _Reading) -> int:
    found = _TIME.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise EventInvalid(Code.EVENT_TIME_INVALID, "eventTime is not a date and time of ISO 8601")
    second, fraction, zone = found.groups()
    if zone is None:
        reading.lenient(Code.TIME_ZONE_MISSING, "eventTime has no time zone")
        zone = "Z"
    try:
        whole = datetime.fromisoformat(f"{second}{zone.upper()}")
        seconds = (whole - EPOCH).total_seconds()
    except (ValueError, OverflowError) as error:
        raise EventInvalid(Code.EVENT_TIME_INVALID, "eventTime is no such time") from error
    if seconds < 0:
        raise EventInvalid(Code.EVENT_TIME_INVALID, "eventTime is before 1970")
    ahead = (whole - reading.now).total_seconds()
    if ahead > AHEAD_SECONDS_MAX:
        raise EventInvalid(
            Code.EVENT_TIME_AHEAD, "eventTime is more than a day ahead of this server's", retriable=True
        )
    if ahead > FLAGGED_AHEAD_SECONDS:
        reading.flags.add(Code.EVENT_TIME_AHEAD)
    # What is finer than a microsecond is cut off: it orders nothing that the key of the event does not.
    return int(seconds) * 1_000_000 + int((fraction or "")[:6].ljust(6, "0"))


def _type(text: Any) -> EventType:
    if text is None:
        # The specification does not require it.
        return EventType.OTHER
    try:
        return EventType(text.upper() if isinstance(text, str) else text)
    except ValueError:
        _refuse(Code.EVENT_TYPE_INVALID, f"eventType is none of {', '.join(EventType)}")


def _run(run: dict[str, Any], reading: _Reading) -> tuple[str, dict[str, Any]]:
    run_id = run.get("runId")
    if not isinstance(run_id, str) or not run_id or len(run_id) > RUN_ID_CHARACTERS_MAX:
        raise EventInvalid(Code.RUN_ID_INVALID, "run.runId is missing or too long")
    if _UUID.fullmatch(run_id):
        run_id = run_id.lower()
    else:
        reading.lenient(Code.RUN_ID_NOT_UUID, "run.runId is not a UUID")
        job_name("run", run_id)
    return run_id, _facets(run, "facets", reading)


def _job(job: Any, reading: _Reading) -> tuple[AssetName, dict[str, Any]]:
    if isinstance(job, SpeltOwner):
        job = job.members
    if not isinstance(job, dict):
        raise EventInvalid(Code.JOB_INVALID, "job is missing")
    return job_name(_text(job, "namespace"), _text(job, "name")), _facets(job, "facets", reading)


def _datasets(listed: Any, reading: _Reading) -> tuple[Dataset, ...]:
    if listed is None:
        return ()
    if not isinstance(listed, list):
        raise EventInvalid(Code.DATASET_INVALID, "inputs and outputs are lists")
    return tuple(_dataset(dataset, reading) for dataset in listed)


def _dataset(told: Any, reading: _Reading) -> Dataset:
    """One dataset, which is remembered with its text."""
    if isinstance(told, SpeltOwner):
        known = _DATASETS.get(told)
        if known is None:
            # Nothing of it can be strange: facets that are no object are not kept as text.
            known = _dataset(told.members, reading)._replace(text=told)
            _DATASETS.keep(told, known, told.weight)
        return known
    if not isinstance(told, dict):
        raise EventInvalid(Code.DATASET_INVALID, "a dataset is a JSON object")
    name = dataset_name(_text(told, "namespace"), _text(told, "name"))
    return Dataset(name, _facets(told, "facets", reading))


def _text(owner: dict[str, Any], field: str) -> str:
    text = owner.get(field)
    if not isinstance(text, str):
        raise NameInvalid(Code.NAME_MISSING)
    return text


def _facets(owner: dict[str, Any], field: str, reading: _Reading) -> dict[str, Any]:
    facets = owner.get(field)
    if facets is None:
        return _NONE
    if not isinstance(facets, dict):
        reading.lenient(Code.FACETS_INVALID, "facets are a JSON object")
        return _NONE
    return facets


def _refuse(code: Code, message: str) -> NoReturn:
    raise EventInvalid(code, message)
