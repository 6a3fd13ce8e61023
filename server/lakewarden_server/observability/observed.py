"""A pipeline that is watched: each call is told to observers before and after. Without observers there is no such pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any, NamedTuple, Protocol

from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2

from lakewarden_server.pipeline import headers
from lakewarden_server.pipeline.audit import verdicts
from lakewarden_server.pipeline.errors import CallFailed
from lakewarden_server.pipeline.pipeline import Handler, Incoming, Reply
from lakewarden_server.pipeline.rules import Method


class Outcome(NamedTuple):
    """How a call ended. `code` is the name of a google.rpc.Code; `reason` is empty for OK."""

    code: str
    reason: str
    seconds: float
    allowed: int
    """Accesses an engine was answered YES about."""
    denied: int


_BROKEN = Outcome("INTERNAL", "", 0.0, 0, 0)
_GIVEN_UP = Outcome("CANCELLED", "", 0.0, 0, 0)


class Observer(Protocol):
    """Watches calls; must neither raise nor block. It sees no request and no reply: they hold names and secrets."""

    def began(self, method: str, request_id: str, metadata: Mapping[str, str]) -> Any:
        """Called first, on the call's thread; what it returns comes back to `ended`."""

    def ended(self, began: Any, method: str, outcome: Outcome) -> None:
        """Called last, on the same thread."""

    def suspended(self, began: Any) -> None:
        """Called instead where the call goes on, on another thread and told anew, when its request is there."""


class Observed:
    """Answers like the pipeline it has."""

    def __init__(self, pipeline: Handler, observers: Sequence[Observer]) -> None:
        self._pipeline = pipeline
        self._observers = tuple(observers)
        self._logged = frozenset(
            name for name, method in pipeline.methods.items() if method.rule.log_decision
        )

    @property
    def methods(self) -> Mapping[str, Method]:
        """The methods by their wire names."""
        return self._pipeline.methods

    def remembered(self, authorization: str, certificate: bytes) -> str | None:
        """Told to nobody: it is no call yet."""
        return self._pipeline.remembered(authorization, certificate)

    def vouch(self, method_name: str, incoming: Incoming) -> str:
        """A call that ends here is told as every other; one that goes on is told once its request is there. Raises `CallFailed`."""
        request_id = headers.request_id(incoming.metadata)
        began = self._begin(method_name, request_id, incoming)
        started = perf_counter()
        outcome: Outcome | None = _BROKEN
        try:
            caller_id = self._pipeline.vouch(method_name, incoming._replace(request_id=request_id))
            outcome = None
            return caller_id
        except CallFailed as failure:
            outcome = _failed(failure, perf_counter() - started)
            raise
        finally:
            self._end(began, method_name, outcome)

    def handle(self, method_name: str, request: Message, incoming: Incoming) -> Reply:
        """Answers one call. Raises `CallFailed`."""
        request_id = headers.request_id(incoming.metadata)
        began = self._begin(method_name, request_id, incoming)
        started, outcome = perf_counter(), _BROKEN
        following = None
        try:
            reply = self._pipeline.handle(method_name, request, incoming._replace(request_id=request_id))
            if reply.following is not None:
                following = self._following(reply.following, began, method_name, started)
                return reply._replace(following=following)
            allowed, denied = _counted(reply.message) if method_name in self._logged else (0, 0)
            outcome = Outcome("OK", "", perf_counter() - started, allowed, denied)
            return reply
        except CallFailed as failure:
            outcome = _failed(failure, perf_counter() - started)
            raise
        finally:
            if following is None:
                self._end(began, method_name, outcome)

    def screen(self, method_name: str, incoming: Incoming) -> None:
        """Refuses like the pipeline, which is told as a call that failed; one that is let pass is yet to come. Raises `CallFailed`."""
        request_id, started = headers.request_id(incoming.metadata), perf_counter()
        try:
            self._pipeline.screen(method_name, incoming._replace(request_id=request_id))
        except CallFailed as failure:
            began = self._begin(method_name, request_id, incoming)
            self._end(began, method_name, _failed(failure, perf_counter() - started))
            raise

    def _following(
        self, messages: Iterator[Message], began: list[Any], method_name: str, started: float
    ) -> Iterator[Message]:
        """The messages of a stream, which ends with the last of them or when its caller gives it up; whoever was given it begins it."""
        outcome = _GIVEN_UP
        try:
            yield from messages
            outcome = Outcome("OK", "", 0.0, 0, 0)
        except CallFailed as failure:
            outcome = _failed(failure, 0.0)
            raise
        finally:
            self._end(began, method_name, outcome._replace(seconds=perf_counter() - started))

    def _begin(self, method_name: str, request_id: str, incoming: Incoming) -> list[Any]:
        return [observer.began(method_name, request_id, incoming.metadata) for observer in self._observers]

    def _end(self, began: list[Any], method_name: str, outcome: Outcome | None) -> None:
        # The last one first, so that what the first one set up is there for all of them.
        for observer, told in zip(reversed(self._observers), reversed(began), strict=True):
            if outcome is None:
                observer.suspended(told)
            else:
                observer.ended(told, method_name, outcome)


def _failed(failure: CallFailed, seconds: float) -> Outcome:
    return Outcome(code_pb2.Code.Name(failure.status.code), _reason(failure), seconds, 0, 0)


def _counted(message: Message) -> tuple[int, int]:
    answers = verdicts(message)
    allowed = sum(verdict.allowed for verdict in answers)
    return allowed, len(answers) - allowed


def _reason(failure: CallFailed) -> str:
    information = error_details_pb2.ErrorInfo()
    for detail in failure.status.details:
        if detail.Unpack(information):
            return str(information.reason)
    return ""
