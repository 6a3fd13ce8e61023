"""A replica of what an engine's workspace may do, kept in the engine's own process: decisions without a call, by the server's own code.

Needs the extra `replica`. It decides only while it knows that it is whole and fresh; in every other case it denies.

    with PolicyReplica(Client("localhost:50051", token="lwpat_…", workspace="analytics")) as replica:
        replica.wait(10)
        if replica.check("SELECT", "table", "main.sales.orders", subject="bob@example.com"):
            ...
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import NamedTuple, Self

from lakewarden._authorization import Denial, PlanAccess, PlanAnswer, securable_type
from lakewarden._client import Client
from lakewarden._errors import (
    Aborted,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    LakewardenError,
    ResourceExhausted,
    Unavailable,
)
from lakewarden._replica_state import Position, changed_state, read_state
from lakewarden.v1 import authorization_pb2, grants_pb2
from lakewarden_policy import (
    IN_WORKSPACE,
    KINDS,
    RELATIONS,
    Decider,
    InvalidName,
    Snapshot,
    UnknownPrivilege,
    load_policy,
)
from lakewarden_policy.wire import Unreadable

MAX_STALENESS_SECONDS = 5.0
POLL_SECONDS = 0.5
RETRY_SECONDS_MAX = 2.0
RESTARTS_MAX = 3
"""How often the fetching of pages begins anew before the attempt counts as failed."""
_TRANSIENT = (Aborted, DeadlineExceeded, Internal, ResourceExhausted, Unavailable)
_WITHOUT_TEXT = frozenset({"TABLE", "SCHEMA", "CATALOG"})
"""Kinds of which an engine needs to be told nothing but yes, unless they are guarded."""
_Response = authorization_pb2.WatchPolicyResponse


def seconds() -> float:
    """A clock that also runs while the machine sleeps, where there is one: what was fresh before a night is not so after it."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


class ReplicaVerdict(NamedTuple):
    """Yes or no, from which state, and how long ago that was known to be the newest. True in a condition when allowed."""

    allowed: bool
    reason: str
    """Why not: the state of the replica, or only that the privilege is missing; ask the server which, with `check`."""
    revision: str
    """As `<epoch>:<number>`, for the engine's audit; empty without a state."""
    age_seconds: float
    guarded: bool = False
    """Of an allowed access to a relation: it, or what it reads, has a row filter or masks. Get them with `authorize_plan` before reading."""

    def __bool__(self) -> bool:
        return self.allowed


class _Held(NamedTuple):
    """A whole state, and when it was last confirmed to be the newest; replaced by one assignment, never changed."""

    decider: Decider
    position: Position
    workspace_id: str
    engine_id: str
    confirmed: float
    """By `seconds`: when the request was sent that confirmed it."""
    read_time: float
    """By the database's clock, not before `confirmed`."""


class PolicyReplica:
    """Decides as the server's Check does for the workspace of `client`, whose principal must hold QUERY_ENGINE there.

    Safe to share between threads. `start`, or entering it, keeps it fresh from a thread of its own; `refresh` catches up at once.
    """

    def __init__(
        self,
        client: Client,
        *,
        max_staleness_seconds: float = MAX_STALENESS_SECONDS,
        poll_seconds: float = POLL_SECONDS,
        clock: Callable[[], float] = seconds,
    ) -> None:
        """Connects to nothing yet. Denies once its state was not confirmed for `max_staleness_seconds`."""
        if not 0 < poll_seconds < max_staleness_seconds:
            raise InvalidArgument(
                "poll_seconds must be above 0 and below max_staleness_seconds", reason="FIELD_INVALID"
            )
        self.max_staleness_seconds = max_staleness_seconds
        self.last_error: LakewardenError | None = None
        # Neither content with an older state, nor held to a revision of a history that may end.
        self._client = client.with_freshness("full").at_least_revision("")
        self.lineage_events = client.lineage_events
        """Whom a governed connection tells of what it ran."""
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._policy = load_policy()
        self._held: _Held | None = None
        self._assigning = threading.Lock()
        self._refreshing = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="lakewarden-replica", daemon=True)
        self._spelled: dict[tuple[str, str], tuple[str, str]] = {}

    @property
    def revision(self) -> str:
        """The revision held, as `<epoch>:<number>`; empty without a whole state."""
        held = self._held
        return "" if held is None else held.position.revision

    @property
    def age_seconds(self) -> float:
        """Seconds since the state held was known to be the newest; infinite without one."""
        held = self._held
        return float("inf") if held is None else self._clock() - held.confirmed

    @property
    def ready(self) -> bool:
        """Whether it holds a whole and fresh state, so that it decides at all."""
        return self.age_seconds <= self.max_staleness_seconds

    def check(self, privilege: str, kind: str, full_name: str, *, subject: str) -> ReplicaVerdict:
        """May the subject (email or application id) use the privilege on the securable, every gate included?

        Denies while it is not `ready`, and all about objects of the workspace, which only the server knows. Raises InvalidArgument for what is no privilege of the kind.
        """
        return self._verdict(self._held, privilege, kind, full_name, subject)

    def authorize_plan(
        self, accesses: Iterable[PlanAccess], *, subject: str | None = None, capabilities: Iterable[str] = ()
    ) -> PlanAnswer:
        """Decide a query plan as `Client.authorize_plan` does, without a call where it is a plain yes on one state.

        A plain yes is to tables that nothing filters or masks, and to containers. The rest is the server's: it has the texts of
        filters, masks, views and functions, and says why not. Denies, without asking it, while this is not `ready`.
        """
        held, asked = self._held, list(accesses)
        name = subject or (held.decider.snapshot.principals[held.engine_id].name if held else "")
        found = [
            self._verdict(held, each.privilege, each.securable_type, each.full_name, name) for each in asked
        ]
        revision = held.position.revision if held else ""
        denials = tuple(
            Denial(each.full_name, each.privilege, verdict.reason, "")
            for each, verdict in zip(asked, found, strict=True)
            if not verdict.allowed
        )
        if held is None or not self._is_fresh(self._clock() - held.confirmed):
            return PlanAnswer(False, denials, revision)
        is_plain = all(
            verdict.allowed and not verdict.guarded and each.securable_type in _WITHOUT_TEXT
            for each, verdict in zip(asked, found, strict=True)
        )
        if asked and is_plain:
            return PlanAnswer(True, (), revision)
        return self._client.authorize_plan(asked, subject=subject, capabilities=capabilities)

    def _verdict(
        self, held: _Held | None, privilege: str, kind: str, full_name: str, subject: str
    ) -> ReplicaVerdict:
        if held is None:
            return ReplicaVerdict(False, "the replica holds no whole state", "", float("inf"))
        age = self._clock() - held.confirmed
        revision = held.position.revision
        if not self._is_fresh(age):
            return ReplicaVerdict(
                False,
                f"the replica is stale: confirmed {age:.1f} s ago, at most {self.max_staleness_seconds:g} s",
                revision,
                age,
            )
        decider = held.decider
        if held.read_time + age >= decider.snapshot.next_expiry:
            decider = self._without_expired(held, held.read_time + age)
        stored_kind, stored = self._spelled.get((kind, privilege)) or self._spell(kind, privilege)
        if stored_kind in IN_WORKSPACE:
            reason = "objects of a workspace are not in the replica's slice: ask the server"
            return ReplicaVerdict(False, reason, revision, age)
        if KINDS[stored_kind].is_principal:
            # No workspace's slice holds them, so that an engine does not learn who decides about whom.
            return ReplicaVerdict(False, "roles on principals are not told: ask the server", revision, age)
        allowed, guarded = _decide(decider, held, stored_kind, stored, full_name, subject)
        return ReplicaVerdict(allowed, "" if allowed else "denied", revision, age, guarded)

    def refresh(self) -> None:
        """Catches up with the server: when it returns, the state is no older than the call.

        Raises what the call fails with. The state held outlives a server that cannot be reached, until it is stale; any other
        failure ends it at once.
        """
        with self._refreshing:
            try:
                self._catch_up()
                self.last_error = None
            except _TRANSIENT as error:
                self.last_error = error
                raise
            except Unreadable as error:
                self._held = None
                self.last_error = FailedPrecondition(
                    f"the server's answer is none this release can read: {error}", reason="ANSWER_UNREADABLE"
                )
                raise self.last_error from None
            except LakewardenError as error:
                self._held, self.last_error = None, error
                raise

    def wait(self, timeout_seconds: float) -> bool:
        """Waits until it is ready; False when it is not after that time, for the reason `last_error` tells."""
        deadline = self._clock() + timeout_seconds
        while not self.ready and self._clock() < deadline and not self._stopping.wait(0.01):
            pass
        return self.ready

    def start(self) -> Self:
        """Keeps it fresh from a thread of its own until `close`."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Stops following and forgets the state."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        with self._refreshing:
            self._held = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _follow(self) -> None:
        failures = 0
        delay = 0.0
        while not self._stopping.wait(delay):
            try:
                self.refresh()
                failures, delay = 0, self._poll_seconds
            except LakewardenError:
                failures += 1
                # Jittered, so that the engines of a server that comes back do not all ask at once.
                delay = min(self._poll_seconds * 2 ** min(failures, 8), RETRY_SECONDS_MAX) * random.uniform(
                    0.5, 1
                )

    def _catch_up(self) -> None:
        for _ in range(RESTARTS_MAX):
            held, sent = self._held, self._clock()
            response = self._watch(held.position.text if held else "")
            self._check_policy(response)
            if held is not None and not held.position.precedes(Position(response.position)):
                # Another history: what was decided by it is void, so it is not decided by while the new one comes.
                held = self._held = None
            if response.change == _Response.UNCHANGED and held is not None:
                self._assign(held, held.decider, response, sent)
                return
            data = self._all_pages(response)
            if data is None:
                continue
            self._assign(held, self._decider(held, response, data), response, sent)
            return
        raise Unavailable("the answer was never fetched whole: it changed hands or took too long")

    def _watch(self, position: str, page_token: str = "") -> _Response:
        return self._client.authorization.watch_policy(position=position, page_token=page_token)

    def _check_policy(self, response: _Response) -> None:
        if response.policy_digest != self._policy.digest:
            raise FailedPrecondition(
                "the server decides by other policy files than this release has: install its release",
                reason="POLICY_DIFFERS",
            )

    def _all_pages(self, first: _Response) -> bytes | None:
        """The data of all pages; None when a page is not kept any more."""
        pages, token = [first.data], first.next_page_token
        while token:
            try:
                response = self._watch(first.position, token)
            except InvalidArgument as error:
                if error.reason == "PAGE_TOKEN_INVALID":
                    return None
                raise
            pages.append(response.data)
            token = response.next_page_token
        data = b"".join(pages)
        if len(data) != first.size_bytes:
            raise Unreadable(f"{len(data)} bytes came where {first.size_bytes} were said")
        return data

    def _decider(self, held: _Held | None, response: _Response, data: bytes) -> Decider:
        head = Position(response.position).head
        now = response.read_time.ToNanoseconds() / 1e9
        if response.change == _Response.SNAPSHOT:
            return Decider(self._policy, read_state(head, data, now))
        if response.change == _Response.DELTA and held is not None:
            snapshot = changed_state(held.decider.snapshot, head, data, now)
            return Decider(self._policy, snapshot, before=held.decider)
        raise Unreadable("it does not follow from what is held")

    def _assign(self, before: _Held | None, decider: Decider, response: _Response, sent: float) -> None:
        with self._assigning:
            if before is not None and response.change == _Response.UNCHANGED and self._held is not None:
                # Grants may have ended meanwhile.
                decider = self._held.decider
            self._held = _Held(
                decider,
                Position(response.position),
                response.workspace_id,
                response.principal_id,
                sent,
                response.read_time.ToNanoseconds() / 1e9,
            )

    def _without_expired(self, held: _Held, now: float) -> Decider:
        """The same state without what ended; kept, so that it is worked out once."""
        snapshot = held.decider.snapshot.at(now)
        later = Decider(self._policy, snapshot, before=held.decider)
        with self._assigning:
            if self._held is held:
                self._held = held._replace(decider=later)
        return later

    def _is_fresh(self, age_seconds: float) -> bool:
        """A negative age is that of a clock that went back: nobody knows then."""
        return 0 <= age_seconds <= self.max_staleness_seconds

    def _spell(self, kind: str, privilege: str) -> tuple[str, str]:
        """Kind and privilege as they are stored. Raises InvalidArgument."""
        stored_kind = grants_pb2.SecurableType.Name(securable_type(kind))
        try:
            stored = self._policy.parse_privilege(stored_kind, privilege, to_grant=False)
        except UnknownPrivilege as error:
            raise InvalidArgument(str(error), reason="PRIVILEGE_UNKNOWN") from None
        if len(self._spelled) < 1_000:
            self._spelled[kind, privilege] = (stored_kind, stored)
        return stored_kind, stored


def _decide(
    decider: Decider, held: _Held, kind: str, privilege: str, full_name: str, subject: str
) -> tuple[bool, bool]:
    """Whether it is allowed, and whether what it reads is guarded; as the server's Check, which tells no more about others."""
    snapshot, workspace_id = decider.snapshot, held.workspace_id
    principal = snapshot.principal_named(subject)
    workspace = snapshot.securables.get(workspace_id)
    if principal is None or workspace is None:
        return False, False
    try:
        found = snapshot.resolve(kind, full_name, workspace.metastore_id)
    except InvalidName:
        return False, False
    if found is None or not decider.privilege(principal.id, workspace_id, found.id, privilege).allowed:
        return False, False
    # Acts of the account ask for no assignment; an engine is told of them about nobody but itself and those who work here.
    if principal.id != held.engine_id and not decider.reach.is_assigned(principal.id, workspace_id):
        return False, False
    return True, kind in RELATIONS and _is_guarded(snapshot, found.id, set())


def _is_guarded(snapshot: Snapshot, relation_id: str, seen: set[str]) -> bool:
    """Whether a relation, or one that a view reads, has a row filter or masks."""
    if relation_id in snapshot.row_filters or relation_id in snapshot.column_masks:
        return True
    seen.add(relation_id)
    relation = snapshot.securables[relation_id]
    for reference in snapshot.references.get(relation_id, ()) if relation.kind == "VIEW" else ():
        target = snapshot.referenced(reference, relation.metastore_id)
        if target is not None and target.id not in seen and _is_guarded(snapshot, target.id, seen):
            return True
    return False
