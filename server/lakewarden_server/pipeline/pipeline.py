"""The life of a request on one screen. Reads: head, snapshot, authenticate, authorize, read. Writes: the same as a cheap
refusal, then all of it again under the head row, data, change log, audit and idempotency in one commit.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple, Protocol

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from lakewarden_server.authn.authenticator import Authenticator, Caller, Credential
from lakewarden_server.authn.guesses import Guesses
from lakewarden_server.authn.keys import Keys
from lakewarden_server.authn.provider_keys import ProviderKeys
from lakewarden_server.authz.bounded import Bounded
from lakewarden_server.authz.follower import Follower, Fresh
from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import (
    Aborted,
    LakewardenError,
    NotFound,
    PermissionDenied,
    Reason,
    Unavailable,
)
from lakewarden_server.core.peers import Peer
from lakewarden_server.pipeline import headers
from lakewarden_server.pipeline.audit import audit_record, decision_records, verdicts
from lakewarden_server.pipeline.binding import Admitted, Bound, Place, bind, check_token
from lakewarden_server.pipeline.decisions import DecisionLog
from lakewarden_server.pipeline.errors import fail
from lakewarden_server.pipeline.headers import Headers
from lakewarden_server.pipeline.rates import Charge, Rates
from lakewarden_server.pipeline.refusal_times import even_out
from lakewarden_server.pipeline.refusals import authorize
from lakewarden_server.pipeline.rules import Method
from lakewarden_server.pipeline.streams import guarded
from lakewarden_server.pipeline.token_uses import TokenUses
from lakewarden_server.services.call import Call, SnapshotBehind
from lakewarden_server.storage import idempotency
from lakewarden_server.storage.engine import Database
from lakewarden_server.storage.idempotency import RequestKey
from lakewarden_server.storage.unit_of_work import UnitOfWork, WriteUnit

DECIDE_AGAIN_MAX = 10
"""How often a read may meet rows newer than its decision before it gives up: each time, somebody else's write went through."""


class Incoming(NamedTuple):
    """What the transport knows of a call besides its message."""

    metadata: Mapping[str, str]
    seconds_left: float | None
    peer: Peer
    request_id: str = ""
    """Where whoever watches the call has chosen it already; else it is read from the metadata."""
    only_admit: bool = False
    """Of a write: refuse whom it is refused to and do nothing; the reply is empty."""
    certificate: bytes = b""
    """What the client showed in TLS, in PEM, its chain verified; empty for none."""
    request_bytes: int = 0
    """Of a call that is vouched for: the size of its request, where that has arrived."""
    charge: Charge | None = None
    """Of the request this call belongs to; None for a call that is charged as itself."""
    is_open: bool = False
    """Of a request that is screened: it needs no credential in its metadata."""


class Reply(NamedTuple):
    """A message and the metadata that travels with it."""

    message: Message
    metadata: tuple[tuple[str, str], ...]
    following: Iterator[Message] | None = None
    """Of a method that streams all its messages, `message` being none of them. Raises `CallFailed`."""


class Handler(Protocol):
    """Answers calls: the pipeline, or one that is watched."""

    @property
    def methods(self) -> Mapping[str, Method]:
        """The methods by their wire names."""

    def handle(self, method_name: str, request: Message, incoming: Incoming) -> Reply:
        """Answers one call. Raises `CallFailed`."""

    def screen(self, method_name: str, incoming: Incoming) -> None:
        """Refuses, in memory alone, whom a call will be refused to whatever it says. Raises `CallFailed`."""

    def remembered(self, authorization: str, certificate: bytes) -> str | None:
        """Id of the principal that shows what was verified before and rests on what the state in memory has; nothing is asked or counted."""

    def vouch(self, method_name: str, incoming: Incoming) -> str:
        """Id of who makes a call whose request is not there yet. Raises `CallFailed` for whom `handle` would refuse without reading it."""


class Pipeline:
    """Answers every method; shared by all threads, holds no state of a call."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        database: Database,
        follower: Follower,
        bounded: Bounded,
        keys: Keys,
        decisions: DecisionLog,
        uses: TokenUses,
        guesses: Guesses,
        provider_keys: ProviderKeys,
        rates: Rates,
    ) -> None:
        self._methods = methods
        self._database = database
        self._follower = follower
        self._bounded = bounded
        self._authenticator = Authenticator(keys, guesses, provider_keys)
        self._page_key = keys.page_token
        self._payload_key = keys.payload
        self._decisions = decisions
        self._uses = uses
        self._rates = rates

    @property
    def methods(self) -> Mapping[str, Method]:
        """The methods by their wire names."""
        return self._methods

    def handle(self, method_name: str, request: Message, incoming: Incoming) -> Reply:
        """Answers one call. Raises `CallFailed` with the status of whatever went wrong, and nothing else."""
        request_id, began = incoming.request_id or headers.request_id(incoming.metadata), monotonic()
        try:
            charge = incoming.charge or self._charge(method_name)
            self._rates.charge_peer(charge, incoming.peer)
            method, arrived, fresh = self._begin(method_name, incoming, request_id, request.ByteSize())
            if self._rates.asks_who(charge):
                # Here and not in `_admit`, which a write runs twice and a read again when what it read changed.
                caller = self._authenticator.authenticate(fresh.snapshot, arrived.credential, fresh.now)
                self._rates.charge_principal(charge, caller.id, caller.name)
            if incoming.only_admit:
                self._refuse_early(method, request, arrived, fresh)
                return _reply(Empty(), fresh.head.epoch, fresh.head.revision, arrived)
            run = self._write if method.rule.write else self._read
            return run(method, request, arrived, fresh)
        except Exception as error:  # noqa: BLE001 - the one place where every error leaves
            even_out(error, began)
            fail(error, method=method_name, request_id=request_id)

    def screen(self, method_name: str, incoming: Incoming) -> None:
        """Charges the peer, and refuses whoever shows no credential, or one that cannot be any, before the rest of the request is taken.

        Raises `CallFailed`.
        """
        try:
            self._rates.charge_peer(incoming.charge or Charge(urgent=False), incoming.peer)
            if not incoming.is_open:
                self._read_credential(incoming)
        except Exception as error:  # noqa: BLE001 - as in `handle`
            request_id = incoming.request_id or headers.request_id(incoming.metadata)
            fail(error, method=method_name, request_id=request_id)

    def remembered(self, authorization: str, certificate: bytes) -> str | None:
        """See `Handler`. An old state does no harm: it is `handle` that decides."""
        held = self._follower.held
        return self._authenticator.remembered(held, authorization, certificate) if held else None

    def vouch(self, method_name: str, incoming: Incoming) -> str:
        """See `Handler`: authenticates as every call is, on a state no older than this one. It charges whom it refuses; `handle` the others."""
        request_id, began = incoming.request_id or headers.request_id(incoming.metadata), monotonic()
        charge = self._charge(method_name)
        try:
            self._rates.check_peer(charge, incoming.peer)
            _, arrived, fresh = self._begin(method_name, incoming, request_id, incoming.request_bytes)
            return self._authenticator.authenticate(fresh.snapshot, arrived.credential, fresh.now).id
        except Exception as error:  # noqa: BLE001 - as in `handle`
            self._rates.count_peer(charge, incoming.peer)
            even_out(error, began)
            fail(error, method=method_name, request_id=request_id)

    def _charge(self, method_name: str) -> Charge:
        method = self._methods.get(method_name)
        return Charge(urgent=method is not None and method.rule.urgent)

    def _begin(
        self, method_name: str, incoming: Incoming, request_id: str, request_bytes: int
    ) -> tuple[Method, Headers, Fresh]:
        """What is read of a call besides its request, and the state it is answered from."""
        method = self._methods.get(method_name)
        if method is None:
            raise PermissionDenied(Reason.ACCESS_DENIED, "no rule allows this method")
        credential = self._read_credential(incoming)
        arrived = headers.read(
            incoming.metadata, incoming.seconds_left, request_id, credential, incoming.peer
        )
        headers.check_size(request_bytes, method)
        fresh = self._fresh(method, arrived)
        headers.check_at_least(arrived, fresh.head)
        return method, arrived, fresh

    def _read_credential(self, incoming: Incoming) -> Credential:
        authorization = incoming.metadata.get(headers.AUTHORIZATION, "")
        return self._authenticator.read(authorization, incoming.certificate, incoming.peer)

    def _fresh(self, method: Method, arrived: Headers) -> Fresh:
        """The head, unless the caller is content with less and nothing else than memory is read."""
        asks = method.rule.snapshot_only and not method.rule.records
        if arrived.bounded and asks and not arrived.at_least:
            return self._bounded.latest()
        return self._follower.at_head()

    def _read(self, method: Method, request: Message, arrived: Headers, fresh: Fresh) -> Reply:
        for _ in range(DECIDE_AGAIN_MAX):
            admitted = self._admit(method, request, arrived, fresh)
            try:
                message = self._run_read(method, request, arrived, fresh, admitted)
            except SnapshotBehind:
                fresh = self._follower.at_head()
                continue
            if method.rule.log_decision:
                self._log(admitted, method, request, message, arrived, fresh)
            reply = _reply(
                Empty() if method.streams else message, fresh.head.epoch, fresh.head.revision, arrived
            )
            return reply._replace(following=guarded(message, method, arrived)) if method.streams else reply
        raise Aborted(Reason.CONCURRENT_CHANGE, "what was read kept changing: retry")

    def _run_read(
        self, method: Method, request: Message, arrived: Headers, fresh: Fresh, admitted: Admitted
    ) -> Any:
        call = self._call(method, arrived, fresh, admitted)
        if method.rule.snapshot_only and not admitted.bound.is_of_the_past:
            return method.function(request, call)
        with ExitStack() as opened:
            call.opening = lambda: opened.enter_context(self._reading(arrived, fresh))
            with call.as_decided(fresh.head.revision):
                return method.function(request, call)

    @contextmanager
    def _reading(self, arrived: Headers, fresh: Fresh) -> Iterator[UnitOfWork]:
        """A transaction that sees the state that was decided on, or a later one."""
        with self._database.read(deadline=arrived.deadline) as uow:
            same = uow.revision != fresh.head.revision or uow.head.nonce == fresh.head.nonce
            if uow.revision < fresh.head.revision or uow.head.epoch != fresh.head.epoch or not same:
                raise Unavailable(
                    Reason.SNAPSHOT_UNAVAILABLE, "the database answered from an older state: retry"
                )
            yield uow

    def _write(self, method: Method, request: Message, arrived: Headers, fresh: Fresh) -> Reply:
        caller = self._refuse_early(method, request, arrived, fresh)
        prepared = method.prepare(request) if method.prepare else None
        with self._database.write(
            deadline=arrived.deadline,
            request_id=arrived.request_id,
            actor_id=caller.id,
            policy_digest=self._follower.policy.digest,
        ) as uow:
            now = Fresh(self._follower.before_write(uow), uow.time)
            message = self._recall(method, request, arrived, now, uow, prepared=prepared)
            if message is None:
                admitted = self._admit(method, request, arrived, now, prepared=prepared)
                call = self._call(method, arrived, now, admitted, prepared=prepared)
                call.transaction = uow
                message = method.function(request, call)
                uow.session.flush()
                uow.audit(audit_record(call, admitted, message))
                if arrived.idempotent:
                    uow.remember(
                        method=method.full_name,
                        request_id=arrived.request_id,
                        payload_hash=self._payload_hash(request),
                        response=headers.without_secrets(message).SerializeToString(deterministic=True),
                    )
                uow.commit()
        revision = uow.head.revision if uow.committed else now.head.revision
        return _reply(message, now.head.epoch, revision, arrived)

    def _refuse_early(self, method: Method, request: Message, arrived: Headers, fresh: Fresh) -> Caller:
        """The caller of a write; a denial is answered here, without any lock.

        A repeated request goes on although it is denied now: a delete must not be denied for its own success.
        """
        try:
            return self._admit(method, request, arrived, fresh).caller
        except (PermissionDenied, NotFound):
            caller = self._authenticator.authenticate(fresh.snapshot, arrived.credential, fresh.now)
            if not self._answered_before(method, request, arrived, caller):
                raise
            return caller

    def _answered_before(self, method: Method, request: Message, arrived: Headers, caller: Caller) -> bool:
        if not arrived.idempotent:
            return False
        key = RequestKey(caller.id, method.full_name, arrived.request_id)
        with self._database.read(deadline=arrived.deadline) as uow:
            found = idempotency.recall(
                uow.connection, key, payload_hash=self._payload_hash(request), time=uow.time
            )
        return found is not None

    def _admit(
        self, method: Method, request: Message, arrived: Headers, fresh: Fresh, *, prepared: object = None
    ) -> Admitted:
        """Authenticates, resolves and authorizes on one state; a denial goes to the decision log."""
        caller = self._authenticator.authenticate(fresh.snapshot, arrived.credential, fresh.now)
        self._uses.note(caller.token_id, fresh.now)
        place, bound = Place(None, None), Bound(method.noun, {}, (), None, None, "")
        try:
            place = headers.place(arrived, fresh.decider, caller)
            bound = bind(method, request, fresh.decider, caller, place, prepared=prepared)
            check_token(bound, caller)
            authorize(bound, fresh.decider, caller, place)
            headers.check_address(arrived, bound.objects.values(), fresh.decider, caller)
        except (PermissionDenied, NotFound) as error:
            denied = Admitted(caller, place, bound, fresh.decider)
            self._log(denied, method, request, error, arrived, fresh)
            raise
        return Admitted(caller, place, bound, fresh.decider)

    def _log(
        self, admitted: Admitted, method: Method, request: Message, result: Message | LakewardenError,
        arrived: Headers, fresh: Fresh,
    ) -> None:  # fmt: skip
        refusal = isinstance(result, LakewardenError)
        wanted = 1 if refusal else len(verdicts(result))
        share = self._decisions.share(admitted.caller.id, refusal=refusal, wanted=wanted)
        if share > 0:
            records = decision_records(admitted, method, request, result, arrived, fresh, limit=share)
            self._decisions.record(records, refusal=refusal)

    def _call(
        self, method: Method, arrived: Headers, fresh: Fresh, admitted: Admitted, *, prepared: object = None
    ) -> Call:
        return Call(
            method=method.full_name,
            caller=admitted.caller,
            decider=fresh.decider,
            now=fresh.now,
            request_id=arrived.request_id,
            deadline=arrived.deadline,
            workspace_id=admitted.place.workspace_id,
            metastore_id=admitted.place.metastore_id,
            peer=arrived.peer,
            objects=admitted.bound.objects,
            page_key=self._page_key,
            follower=self._follower,
            prepared=prepared,
        )

    def _recall(
        self, method: Method, request: Message, arrived: Headers, now: Fresh, uow: WriteUnit,
        *, prepared: object,
    ) -> Message | None:  # fmt: skip
        """The remembered answer, authorized anew; only of a delete, whose object is gone, nothing is left to authorize."""
        if not arrived.idempotent:
            return None
        remembered = uow.recall(
            method=method.full_name, request_id=arrived.request_id, payload_hash=self._payload_hash(request)
        )
        if remembered is None:
            return None
        message: Message = headers.message_class(method)()
        message.ParseFromString(remembered)
        caller = self._authenticator.authenticate(now.snapshot, arrived.credential, now.now)
        place = headers.place(arrived, now.decider, caller)
        bound = bind(method, request, now.decider, caller, place, prepared=prepared)
        check_token(bound, caller)
        changed = getattr(message, "id", "")
        if bound.absent_kind and changed in now.snapshot.securables:
            # Its own success renamed it: it is authorized as what it is now.
            bound = bound._replace(objects={**bound.objects, "self": changed}, absent_kind=None)
            kind = now.snapshot.securables[changed].kind
            if kind.lower() != bound.noun:
                # Or made it another kind, of which nothing is left to do: who may see it gets the answer.
                bound = bound._replace(operations=((f"{kind.lower()}.get", None),))
        if not (bound.absent_kind and isinstance(message, Empty)):
            authorize(bound, now.decider, caller, place)
        headers.check_address(arrived, bound.objects.values(), now.decider, caller)
        return message

    def _payload_hash(self, request: Message) -> str:
        """Tells a request from another one. Keyed: the plain hash of a request with a short secret would let it be guessed."""
        text = request.SerializeToString(deterministic=True)
        return hmac.new(self._payload_key, text, hashlib.sha256).hexdigest()


def _reply(message: Message, epoch: str, revision: int, arrived: Headers) -> Reply:
    return Reply(
        message,
        ((headers.REVISION, f"{epoch}:{revision}"), (headers.REQUEST_ID, arrived.request_id)),
    )
