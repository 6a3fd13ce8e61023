"""The audit chain: one record per audited change, each hash covering the record and the hash before it.

The chain has a head row of its own, taken in the change's transaction. It cannot see by itself that its own tail and
head were rewritten together; `verify` therefore also takes a head that was exported off the machine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select, true, update

from lakewarden_server.entities import AuditHead, AuditLog
from lakewarden_server.entities.base import json_value

GENESIS_HASH = "0" * 64
VERIFY_BATCH = 1_000

_HEAD = AuditHead.__table__
_LOG = AuditLog.__table__


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """What one audited act says of itself; revision, time and the chain are added when it is appended."""

    actor_id: str
    actor_name: str
    subject_name: str | None = None
    workspace_id: str | None = None
    request_id: str
    method: str
    operation: str
    object_kind: str
    object_id: str
    object_name: str
    outcome: str
    detail: dict[str, Any] = field(default_factory=dict)


class ChainHead(NamedTuple):
    """The last link: number and hash. Exported off the machine, it proves that nothing before it changed."""

    sequence: int
    hash: str


class Finding(NamedTuple):
    """One broken place in the chain: the sequence where it shows and what is wrong there."""

    sequence: int
    problem: str


def chain_hash(record: dict[str, Any]) -> str:
    """SHA-256 over the canonical JSON of a record with its sequence and previous hash, its own hash left out."""
    content = {key: json_value(value) for key, value in record.items() if key != "hash"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def chain_head(connection: Connection) -> ChainHead:
    """The head of the chain as stored."""
    row = connection.execute(select(_HEAD.c.sequence, _HEAD.c.hash)).one()
    return ChainHead(row.sequence, row.hash)


def append(connection: Connection, records: list[AuditRecord], *, revision: int, time: datetime) -> ChainHead:
    """Appends records to the chain in the caller's transaction and returns the new head."""
    if not records:
        return chain_head(connection)
    taken = connection.execute(select(_HEAD.c.sequence, _HEAD.c.hash).with_for_update()).one()
    sequence, last = taken.sequence, taken.hash
    rows = []
    for record in records:
        sequence += 1
        fields = {name: getattr(record, name) for name in AuditRecord.__slots__}
        row = {"sequence": sequence, "previous_hash": last, "revision": revision, "time": time, **fields}
        last = row["hash"] = chain_hash(row)
        rows.append(row)
    connection.execute(insert(AuditLog), rows)
    connection.execute(update(AuditHead).values(sequence=sequence, hash=last))
    return ChainHead(sequence, last)


class Part(NamedTuple):
    """What was found in one part of the chain, its last link, and whether the chain ended with it."""

    findings: list[Finding]
    last: ChainHead
    ended: bool


GENESIS = ChainHead(0, GENESIS_HASH)
"""Where every chain begins."""


def verify(connection: Connection, exported_head: ChainHead | None = None) -> list[Finding]:
    """All broken places of the chain, none when it is intact.

    Finds an edited, deleted, inserted or moved record and a cut tail; a tail cut together with the stored head, and
    a chain recomputed from some record on, only against a head exported later than that record.
    """
    findings: list[Finding] = []
    last, ended = None, False
    while not ended:
        found, last, ended = verify_part(connection, exported_head, after=last, limit=VERIFY_BATCH)
        findings += found
    return findings


def verify_part(
    connection: Connection, exported_head: ChainHead | None, *, after: ChainHead | None, limit: int
) -> Part:
    """The broken places among the next `limit` records: behind `after`, the last link verified before, or from the beginning."""
    findings: list[Finding] = []
    rows = _records_after(connection, None if after is None else after.sequence, limit)
    after = previous = after or GENESIS
    for record in rows:
        findings += _check_link(record, previous)
        previous = ChainHead(record["sequence"], record["hash"])
        if exported_head is not None and previous.sequence == exported_head.sequence:
            findings += _check_exported(exported_head, previous)
    ended = len(rows) < limit
    if exported_head is not None and _is_passed(exported_head, rows, after, previous, ended=ended):
        findings += _check_exported(exported_head, None)
    if ended and previous != (stored := chain_head(connection)):
        findings.append(Finding(stored.sequence, "the last record is not the one the stored head names"))
    return Part(findings, previous, ended)


def _is_passed(
    exported: ChainHead, rows: list[dict[str, Any]], after: ChainHead, last: ChainHead, *, ended: bool
) -> bool:
    """Whether the record the exported head names should be in this part, and is not."""
    if exported.sequence <= after.sequence or any(row["sequence"] == exported.sequence for row in rows):
        return False
    return ended or exported.sequence < last.sequence


def _check_exported(exported: ChainHead, found: ChainHead | None) -> Iterator[Finding]:
    if found != exported:
        yield Finding(exported.sequence, "the record named by the exported head is gone or differs")


def _check_link(record: dict[str, Any], previous: ChainHead) -> Iterator[Finding]:
    sequence = record["sequence"]
    if sequence != previous.sequence + 1:
        yield Finding(sequence, f"records are missing between {previous.sequence} and {sequence}")
    elif record["previous_hash"] != previous.hash:
        yield Finding(sequence, "the record does not follow the one before it")
    if chain_hash(record) != record["hash"]:
        yield Finding(sequence, "the record does not match its hash")


def _records_after(connection: Connection, sequence: int | None, limit: int) -> list[dict[str, Any]]:
    # From the beginning without a bound: a record numbered 0 or less was inserted by somebody.
    after = true() if sequence is None else _LOG.c.sequence > sequence
    statement = select(_LOG).where(after).order_by(_LOG.c.sequence).limit(limit)
    try:
        return [dict(row._mapping) for row in connection.execute(statement)]
    except ValueError:
        numbers = select(_LOG.c.sequence).where(after).order_by(_LOG.c.sequence).limit(limit)
        return [_record(connection, number) for number in connection.scalars(numbers)]


def _record(connection: Connection, sequence: int) -> dict[str, Any]:
    """One record; of one that was edited into what is no JSON or no time any more, nothing but its number."""
    try:
        return dict(connection.execute(select(_LOG).where(_LOG.c.sequence == sequence)).one()._mapping)
    except ValueError:
        return {"sequence": sequence, "previous_hash": "", "hash": ""}
