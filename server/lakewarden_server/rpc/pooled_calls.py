"""A call as grpcio hands it to a pool. The functions and constants of its `_server` and its cython messages that are used here are pinned by tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from grpc import _common, _server
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from lakewarden_server.core.peers import grpc_peer

ONE_REQUEST = "unary_request"
"""The name of the function by which grpcio waits for the request of a call that has one."""
NONE_SENT = "the call was closed without a request: send exactly one"


class PooledCall(NamedTuple):
    """Grpcio's own parts of a call, in its own order."""

    run: Callable[..., Any]
    answer: Callable[..., Any]
    event: Any
    state: Any
    behaviour: Callable[..., Any]
    request: Callable[[], Any]
    """Waits for the request in the thread that asks."""
    deserializer: Any
    serializer: Any

    @classmethod
    def of(cls, function: Callable[..., Any], arguments: tuple[Any, ...]) -> PooledCall | None:
        """The call with one request that is to be run; None for anything else, also for a stream of requests."""
        if len(arguments) != len(cls._fields) - 1 or getattr(arguments[4], "__name__", "") != ONE_REQUEST:
            return None
        return cls(function, *arguments)

    @classmethod
    def stream_of(cls, function: Callable[..., Any], arguments: tuple[Any, ...]) -> PooledCall | None:
        """The call with a stream of requests that is to be run; None for what is no call."""
        if len(arguments) != len(cls._fields) - 1 or not isinstance(arguments[2], _server._RPCState):
            return None
        return cls(function, *arguments)

    @property
    def method(self) -> str:
        """Its wire name, as `lakewarden.v1.TableService/GetTable`."""
        return str(_common.decode(self.event.call_details.method)).removeprefix("/")

    @property
    def context(self) -> Any:
        """What its behaviour is given beside the request."""
        return _server._Context(self.event, self.state, None)

    @property
    def site(self) -> str:
        """What counters tell its peer by."""
        return grpc_peer(_common.decode(self.event.call.peer())).site

    @property
    def is_active(self) -> bool:
        """Whether anybody waits for the answer."""
        return bool(_server._is_rpc_state_active(self.state))

    def when_over(self, act: Callable[[], None]) -> None:
        """Has `act` done once the last of the call is out, in the polling thread; at once where it is."""
        with self.state.condition:
            if self.state.callbacks is not None:
                self.state.callbacks.append(act)
                return
        act()

    def receive(self, arrived: Callable[[Any], None]) -> bool:
        """Asks for the request; `arrived` gets it in the polling thread, or None when it will not come. False, and nothing asked, where the call has ended."""
        take = _server._receive_message(self.state, self.event.call, self.deserializer)

        def received(event: Any) -> Any:
            finished = take(event)
            with self.state.condition:
                request, self.state.request = self.state.request, None
                if request is None and self.state.client is _server._CLOSED:
                    self.end(cygrpc.StatusCode.unimplemented, NONE_SENT)
            arrived(request)
            return finished

        with self.state.condition:
            # To grpcio one that has ended is no more: nothing may be asked of it.
            if not self.is_active:
                return False
            self.state.due.add(_server._RECEIVE_MESSAGE_TOKEN)
            self.event.call.start_server_batch((cygrpc.ReceiveMessageOperation(0),), received)
            return True

    def end(self, code: Any, details: str) -> None:
        """Ends it with a status, unless it has ended."""
        with self.state.condition:
            if self.is_active:
                _server._abort(self.state, self.event.call, code, details.encode())

    def end_stream(self, code: Any, details: str) -> None:
        """The same for a stream, whose thread may wait for its next request: it is let go and sends nothing more."""
        with self.state.condition:
            if self.is_active:
                _server._abort(self.state, self.event.call, code, details.encode())
                self.state.client = _server._CANCELLED
                self.state.condition.notify_all()

    def cut_off(self, details: str) -> None:
        """Ends it without waiting for what was sent to be read; its thread is let go."""
        with self.state.condition:
            if self.is_active:
                self.event.call.cancel(cygrpc.StatusCode.deadline_exceeded, details)

    def with_request(self, request: Any) -> PooledCall:
        """The same call as a thread runs it that need not wait: not at all when its caller gave up."""
        return self._replace(request=lambda: request if self.is_active else None)
