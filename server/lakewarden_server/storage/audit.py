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

from sqlalchemy import Connection, insert, select, update

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


def verify(connection: Connection, exported_head: ChainHead | None = None) -> list[Finding]:
    """All broken places of the chain, none when it is intact.

    Finds an edited, deleted, inserted or moved record and a cut tail; a tail cut together with the stored head, and
    a chain recomputed from some record on, only against a head exported later than that record.
    """
    findings: list[Finding] = []
    previous = ChainHead(0, GENESIS_HASH)
    exported_hash: str | None = None
    for record in _records(connection):
        findings.extend(_check_link(record, previous))
        previous = ChainHead(record["sequence"], record["hash"])
        if exported_head is not None and previous.sequence == exported_head.sequence:
            exported_hash = previous.hash
    stored = chain_head(connection)
    if previous != stored:
        findings.append(Finding(stored.sequence, "the last record is not the one the stored head names"))
    if exported_head is not None and exported_head.sequence and exported_hash != exported_head.hash:
        findings.append(
            Finding(exported_head.sequence, "the record named by the exported head is gone or differs")
        )
    return findings


def _check_link(record: dict[str, Any], previous: ChainHead) -> Iterator[Finding]:
    sequence = record["sequence"]
    if sequence != previous.sequence + 1:
        yield Finding(sequence, f"records are missing between {previous.sequence} and {sequence}")
    elif record["previous_hash"] != previous.hash:
        yield Finding(sequence, "the record does not follow the one before it")
    if chain_hash(record) != record["hash"]:
        yield Finding(sequence, "the record does not match its hash")


def _records(connection: Connection) -> Iterator[dict[str, Any]]:
    last = None
    while True:
        statement = select(_LOG).order_by(_LOG.c.sequence).limit(VERIFY_BATCH)
        rows = connection.execute(
            statement if last is None else statement.where(_LOG.c.sequence > last)
        ).all()
        for row in rows:
            yield dict(row._mapping)
        if len(rows) < VERIFY_BATCH:
            return
        last = rows[-1].sequence
