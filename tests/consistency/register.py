"""One right as a register that is allowed, denied or changing, and observers who compare every answer with it.

An answer is legal unless the register said otherwise, without a change, from before the call until after it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from consistency.cluster import Cluster
from lakewarden import Client, PermissionDenied, Unauthenticated

OBSERVED_SECONDS_MAX = 60.0
"""More than a call may take: a starved machine must look slow, not wrong."""


class State(NamedTuple):
    """What every answer must be between two changes; None while a change is under way."""

    version: int
    allowed: bool | None
    token: str


class Violation(NamedTuple):
    """An answer that no order of the acknowledged changes explains."""

    endpoint: str
    question: str
    allowed: bool
    version: int


class Register:
    """The right of one principal, as the driver knows it; one writer, many readers."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.state = State(0, True, token)
        self.violations: list[Violation] = []
        self.errors: list[str] = []
        self.observed = 0
        self._seen: Counter[str] = Counter()
        self._observers: list[str] = []
        self._lock = threading.Lock()

    def changing(self) -> None:
        """A change has been sent and not been acknowledged."""
        self._next(None)

    def expect(self, *, allowed: bool) -> None:
        """The change was acknowledged: from now on this is the only right answer."""
        self._next(allowed)

    def enlist(self, observer: str) -> None:
        """Names an observer whose answers each state waits for."""
        with self._lock:
            self._observers.append(observer)

    def note(self, observer: str, before: State, endpoint: str, question: str, allowed: bool) -> None:
        """Judges one answer to a question asked while the register was in `before`."""
        with self._lock:
            if self.state != before or before.allowed is None:
                return
            self.observed += 1
            self._seen[observer] += 1
            if allowed != before.allowed:
                self.violations.append(Violation(endpoint, question, allowed, before.version))

    def unobserved_by(self) -> list[str]:
        """The observers that have not judged an answer in this state."""
        with self._lock:
            return [observer for observer in self._observers if not self._seen[observer]]

    def _next(self, allowed: bool | None) -> None:
        with self._lock:
            self._seen.clear()
            self.state = State(self.state.version + 1, allowed, self.token)


def wait_until_observed(register: Register) -> None:
    """Waits until every observer looked at least once at the state as it is."""
    give_up = time.monotonic() + OBSERVED_SECONDS_MAX
    while missing := register.unobserved_by():
        assert not register.errors, register.errors
        assert time.monotonic() < give_up, f"observers {missing} had no answer in {register.state}"
        time.sleep(0.001)


@contextmanager
def observing(cluster: Cluster, register: Register, table: str, *, threads: int) -> Iterator[None]:
    """Asks every replica, with `threads` threads each, until the block ends."""
    stopping = threading.Event()
    observers = [
        threading.Thread(target=_observe, args=(cluster.client(register.token, endpoint), register, table, stopping, number))
        for number, endpoint in enumerate(endpoint for endpoint in cluster.endpoints for _ in range(threads))
    ]  # fmt: skip
    for number in range(len(observers)):
        register.enlist(str(number))
    for observer in observers:
        observer.start()
    try:
        yield
    finally:
        stopping.set()
        for observer in observers:
            observer.join()


def _observe(client: Client, register: Register, table: str, stopping: threading.Event, number: int) -> None:
    questions = list(QUESTIONS.items())
    turn = number
    while not stopping.is_set():
        turn += 1
        question, ask = questions[turn % len(questions)]
        before = register.state
        try:
            allowed = ask(client.as_token(before.token), table)
        except (PermissionDenied, Unauthenticated):
            allowed = False
        except Exception as error:
            # An observer that ends unheard would be waited for.
            register.errors.append(f"{question}: {error!r}")
            return
        register.note(str(number), before, client.endpoint, question, allowed)


def _check(client: Client, table: str) -> bool:
    return client.authorization.check("SELECT", "table", table).allowed


def _batch_check(client: Client, table: str) -> bool:
    verdicts = client.authorization.batch_check([_access(table)] * 2)
    assert len({verdict.allowed for verdict in verdicts}) == 1
    return verdicts[0].allowed


def _authorize_plan(client: Client, table: str) -> bool:
    return client.authorize_plan([_access(table)]).allowed


def _get(client: Client, table: str) -> bool:
    return client.tables.get(table).full_name == table


def _list(client: Client, table: str) -> bool:
    return table in {found.full_name for found in client.tables.list(table.rpartition(".")[0])}


QUESTIONS: dict[str, Callable[[Client, str], bool]] = {
    "check": _check,
    "get": _get,
    "list": _list,
    "plan": _authorize_plan,
    "batch": _batch_check,
}


class _Asked(NamedTuple):
    full_name: str
    privilege: str
    securable_type: str


def _access(table: str) -> _Asked:
    return _Asked(table, "SELECT", "TABLE")
