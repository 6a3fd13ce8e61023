"""The audit as a client sees it: list, follow, export and verify what was done and what was refused."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any, ClassVar

from lakewarden._errors import InvalidArgument
from lakewarden._paging import PAGE_SIZE_MAX
from lakewarden._resources import Resource
from lakewarden._times import to_timestamp
from lakewarden.v1 import audit_pb2, audit_pb2_grpc

FOLLOW_SECONDS = 2.0
FOLLOW_OVERLAP = timedelta(seconds=10)
"""Decisions are written in batches, so that one may appear behind a change that was made after it."""


@dataclass(frozen=True)
class AuditHead:
    """The last link of the chain of changes; `str()` of it is what is kept off the machine."""

    sequence: int
    hash: str

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> AuditHead:
        """Read `<sequence>:<hash>`. Raises InvalidArgument."""
        sequence, _, digest = text.strip().partition(":")
        if not (sequence.isascii() and sequence.isdigit() and len(digest) == 64):
            raise InvalidArgument(
                f"{text.strip()[:80]!r} is no head of the audit: write <sequence>:<hash>, as `lakewarden audit head` does",
                reason="FIELD_INVALID",
            )
        return cls(int(sequence), digest.lower())


@dataclass(frozen=True)
class AuditVerification:
    """What verifying the chain found. True in a condition when it is whole."""

    head: AuditHead
    findings: tuple[audit_pb2.AuditFinding, ...]

    def __bool__(self) -> bool:
        return not self.findings


@dataclass(frozen=True)
class AuditReplay:
    """What deciding logged decisions again found. True in a condition when each comes out as it was logged."""

    replayed: int
    skipped: Mapping[str, int]
    """How many could not be decided again, by reason."""
    differences: tuple[audit_pb2.ReplayDifference, ...]

    def __bool__(self) -> bool:
        return not self.differences


class Audit(Resource[audit_pb2.AuditRecord]):
    """What was done and what was refused. Account admins only, but that a metastore admin lists what concerns its metastore."""

    messages: ClassVar[ModuleType] = audit_pb2
    stub_class = audit_pb2_grpc.AuditServiceStub
    noun = "AuditRecord"
    plural = "AuditRecords"
    field = "audit_record"

    def list(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        actor: str = "",
        subject: str = "",
        object_name: str = "",
        object_kind: str = "",
        action: str = "",
        workspace: str = "",
        outcome: str = "",
        request_id: str = "",
        oldest_first: bool = False,
        page_size: int = 0,
        limit: int | None = None,
    ) -> Iterator[audit_pb2.AuditRecord]:
        """Yield changes, denials and decisions, the newest first; what is not given does not filter.

        `since` is included, `until` is not; `action` is an operation (`table.delete`), the first parts of one
        (`table`) or an RPC (`CreateTable`); `outcome` is `DONE`, `ALLOWED` or `DENIED`; `object_name` is a full name,
        with everything inside, or an id.
        """
        return self._list(
            page_size=page_size,
            limit=limit,
            start_time=to_timestamp(since) if since else None,
            end_time=to_timestamp(until) if until else None,
            actor=actor,
            subject=subject,
            object=object_name,
            object_kind=object_kind,
            action=action,
            workspace=workspace,
            outcome=_outcome(outcome),
            request_id=request_id,
            oldest_first=oldest_first,
        )

    def follow(
        self,
        *,
        last: int = 10,
        interval_seconds: float = FOLLOW_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
        since: datetime | None = None,
        until: datetime | None = None,
        **filters: Any,
    ) -> Iterator[audit_pb2.AuditRecord]:
        """Yield the `last` records of `list(since=…, until=…, **filters)`, oldest first, then those to come; asks again after each interval.

        For ever, or to 10 seconds after `until`. A decision that the server could write only more than 10 seconds late is
        not shown here, but `list` has it.
        """
        for moment in filter(None, (since, until)):
            to_timestamp(moment)
        filters["until"] = until
        record = next(self.list(limit=1), None)
        newest = _overlap(record)
        seen = {earlier.event_id for earlier in self.list(since=newest)} if record else set()
        recent = [*self.list(limit=last, since=since, **filters)][::-1] if last else []
        since = max(filter(None, (since, newest)), default=None)
        seen |= {earlier.event_id for earlier in recent}
        yield from recent
        while True:
            shown = set()
            for record in self.list(since=since, oldest_first=True, **filters):
                if record.event_id not in seen:
                    yield record
                shown.add(record.event_id)
            # The next question begins no earlier than this one did, so nothing else can come again.
            since = max(filter(None, (since, _overlap(record))), default=None)
            seen = shown
            if until and datetime.now(UTC) > until + FOLLOW_OVERLAP:
                return
            sleep(interval_seconds)

    def head(self) -> AuditHead:
        """Return the last link of the chain of changes. Kept off the machine it proves later that nothing before it changed."""
        reply: audit_pb2.AuditHead = self._call("GetAuditHead")
        return AuditHead(reply.sequence, reply.hash)

    def verify(self, exported_head: AuditHead | None = None) -> AuditVerification:
        """Verify the whole chain, also against a head that was exported before, and return every broken place."""
        sent = (
            audit_pb2.AuditHead(sequence=exported_head.sequence, hash=exported_head.hash)
            if exported_head
            else None
        )
        findings: list[audit_pb2.AuditFinding] = []
        token = ""
        while True:
            reply = self._call("VerifyAuditLog", exported_head=sent, page_token=token)
            findings += reply.findings
            token = reply.next_page_token
            if not token:
                return AuditVerification(AuditHead(reply.head.sequence, reply.head.hash), tuple(findings))

    def replay(self, *, since: datetime | None = None, until: datetime | None = None) -> AuditReplay:
        """Decide logged denials and decisions again, each at its revision, and return those that come out otherwise."""
        skipped: Counter[str] = Counter()
        differences: list[audit_pb2.ReplayDifference] = []
        replayed, token = 0, ""
        while True:
            reply = self._call(
                "ReplayDecisions",
                start_time=to_timestamp(since) if since else None,
                end_time=to_timestamp(until) if until else None,
                page_size=PAGE_SIZE_MAX,
                page_token=token,
            )
            replayed, token = replayed + reply.replayed, reply.next_page_token
            skipped.update(reply.skipped)
            differences += reply.differences
            if not token:
                return AuditReplay(replayed, dict(skipped), tuple(differences))


def _overlap(record: audit_pb2.AuditRecord | None) -> datetime | None:
    """From when on to ask for what is new: a little before the newest that was seen."""
    return record.event_time.ToDatetime(UTC) - FOLLOW_OVERLAP if record else None


def _outcome(name: str) -> audit_pb2.AuditRecord.Outcome.ValueType:
    outcomes = dict(audit_pb2.AuditRecord.Outcome.items())
    if name and name.upper() not in outcomes:
        known = ", ".join(outcome for outcome, number in outcomes.items() if number)
        raise InvalidArgument(f"{name!r} is no outcome; there are {known}", reason="FIELD_INVALID")
    return outcomes[name.upper()] if name else audit_pb2.AuditRecord.OUTCOME_UNSPECIFIED
