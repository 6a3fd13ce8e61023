"""Writers, readers and faults on several replicas of one database, and everything they saw, for the checker."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

from consistency.calls import Session, is_lost
from consistency.checker import Read, Write, disorders, violations
from consistency.cluster import Cluster
from consistency.faults import Harm, Replica
from consistency.outcome import Outcome
from consistency.questions import BOUNDED, BY_ENGINE, BY_PERSON, answer, ways
from consistency.rights import EXPIRY, LEVERS, TOKEN, Right, make_right, set_up_people
from durability.mortal import MortalPostgresql
from lakewarden import LakewardenError
from lakewarden_server.authz.bounded import BOUND_SECONDS
from lakewarden_server.testing import WORKSPACE

WRITERS = 4
READERS_PER_REPLICA = 3
WRITE_TRIES_SECONDS = 60.0
PAUSE_SECONDS_MAX = 0.02
RETRY_SECONDS = 0.02
HOT_SECONDS = 0.1
"""How long after a change most questions are about it."""
HOT_SHARE = 0.8
BOUNDED_SHARE = 0.2
EXPIRY_SECONDS = 1.5
CLOCK_SECONDS = 0.02
"""How far the database's clock, read as this process's, may be off: both are of one machine."""
JUDGED_EVERY_SECONDS = 0.5

Until = Callable[[Outcome], bool]


class Storm:
    """A world on a cluster and the threads that change it and ask about it. One clock stamps everything."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        seed: int,
        levers: Sequence[str] = tuple(LEVERS),
        postgresql: MortalPostgresql | None = None,
    ) -> None:
        """Makes the world through the first replica; `postgresql` is the server of its database, if it may be restarted."""
        self._cluster, self._seed, self._postgresql = cluster, seed, postgresql
        self._replicas: list[Replica] = []
        self._stack = ExitStack()
        self._stop = threading.Event()
        self._writes: dict[tuple[str, float], Write] = {}
        self._reads: list[Read] = []
        self._errors: list[str] = []
        self._unanswered: list[str] = []
        self._hot: dict[Right, float] = {}
        self.rights = [make_right(lever) for lever in levers]
        self._made: dict[Right, object] = {}
        self._tokens: dict[Right, tuple[str, str]] = {}
        """Of each person whose token comes and goes: the key of the newest one and its text."""
        self._build()

    def add_process(self) -> None:
        """A replica in a process of its own, which faults may hit."""
        self._replicas.append(Replica(self._cluster, len(self._replicas), self._stack))

    @property
    def endpoints(self) -> list[str]:
        """Where the replicas listen now."""
        return [*self._cluster.endpoints, *(replica.endpoint for replica in self._replicas)]

    def run(self, seconds: float, *, faults: bool = True, until: Until | None = None) -> Outcome:
        """Lets it rage and has it judged; it ends sooner when what was found `until` then is enough."""
        threads = [threading.Thread(target=self._guarded, args=(self._write, n)) for n in range(WRITERS)]
        for slot in range(len(self.endpoints)):
            for number in range(READERS_PER_REPLICA):
                threads.append(threading.Thread(target=self._guarded, args=(self._read, slot, number)))
        harm = Harm(self._replicas, self._postgresql, self._seed)
        if faults:
            threads.append(threading.Thread(target=self._guarded, args=(self._harm, harm)))
        started = time.monotonic()
        for thread in threads:
            thread.start()
        while (left := started + seconds - time.monotonic()) > 0:
            self._stop.wait(min(left, JUDGED_EVERY_SECONDS if until else left))
            if until is not None and until(self._judged(0.0, harm)):
                break
        self._stop.set()
        for thread in threads:
            thread.join()
        outcome = self._judged(time.monotonic() - started, harm)
        if not outcome.found:
            self._ask_everybody()
            outcome = self._judged(outcome.seconds, harm)
        self._stack.close()
        return outcome

    def _judged(self, seconds: float, harm: Harm) -> Outcome:
        # Reads first: each write that one of them saw has then been noted.
        reads = list(self._reads)
        writes = list(self._writes.values())
        return Outcome(
            seconds, writes, reads, list(harm.done), list(self._errors), list(self._unanswered),
            violations(writes, reads), disorders(writes, reads),
        )  # fmt: skip

    def _build(self) -> None:
        admin = self._cluster.admin()
        engine = admin.service_principals.create("storm engine")
        admin.grants.grant(["USER", "QUERY ENGINE"], "workspace", WORKSPACE, engine.name)
        self._engine_token = self._cluster.server.issue_token(engine.name)
        set_up_people(admin, self.rights)
        self._person_tokens = {right: self._cluster.server.issue_token(right.person) for right in self.rights}
        for right in self.rights:
            self._made[right] = LEVERS[right.lever].set_up(admin, right)

    def _guarded(self, act: Any, *arguments: Any) -> None:
        """Notes what a thread ended with before its time."""
        try:
            act(*arguments)
        except Exception as error:
            self._errors.append(f"{act.__name__}: {error!r}")

    # Writers

    def _write(self, number: int) -> None:
        rng = random.Random(f"{self._seed} writer {number}")
        mine = self.rights[number::WRITERS]
        has, free = dict.fromkeys(mine, False), dict.fromkeys(mine, 0.0)
        with Session() as session:
            while not self._stop.is_set():
                right = rng.choice([each for each in mine if free[each] <= time.monotonic()] or mine)
                if free[right] > time.monotonic():
                    time.sleep(RETRY_SECONDS)
                    continue
                if right.lever == EXPIRY:
                    free[right] = self._grant_for_a_while(session, rng, right)
                elif right.lever == TOKEN:
                    has[right] = self._change_token(session, rng, right, create=not has[right])
                else:
                    has[right] = not has[right]
                    self._change(session, rng, right, give=has[right])
                time.sleep(rng.random() * PAUSE_SECONDS_MAX)

    def _change(self, session: Session, rng: random.Random, right: Right, *, give: bool) -> None:
        lever = LEVERS[right.lever]
        act = lever.give if give else lever.take
        write = self._begin(right, right.key, give)
        _, where, revision = self._until_acknowledged(
            session,
            rng,
            self._cluster.server.admin_token,
            lambda client: act(client, right, self._made[right]),
        )
        self._end(right, write, where, revision)

    def _change_token(self, session: Session, rng: random.Random, right: Right, *, create: bool) -> bool:
        """Makes the person's next token, or revokes the newest; returns whether there is one now."""
        token, lever = self._person_tokens[right], LEVERS[TOKEN]
        if create:
            key = f"{right.key} {time.monotonic():.6f}"
            write = self._begin(right, key, True)
            made, where, revision = self._until_acknowledged(
                session, rng, token, lambda client: lever.give(client, right, None),
                is_over=lambda error: error.reason == "TOKEN_VALUE_LOST",
            )  # fmt: skip
            if isinstance(made, LakewardenError):
                # It exists, and nobody will ever know it: there is nothing to ask with.
                self._made[right], self._tokens[right] = made.metadata["token_id"], (key, "")
            else:
                self._made[right], self._tokens[right] = made.token.id, (key, made.token_value)
        else:
            write = self._begin(right, self._tokens[right][0], False)
            _, where, revision = self._until_acknowledged(
                session, rng, token, lambda client: lever.take(client, right, self._made[right])
            )
        self._end(right, write, where, revision)
        return create

    def _grant_for_a_while(self, session: Session, rng: random.Random, right: Right) -> float:
        """Grants until a time by the database's clock; returns when that is over, by the one clock."""
        until = datetime.now(UTC) + timedelta(seconds=EXPIRY_SECONDS)
        write = self._begin(right, right.key, True)
        ends = write.invoked + EXPIRY_SECONDS
        self._note(write._replace(returned=ends - CLOCK_SECONDS))
        self._note(Write(right.key, False, ends - CLOCK_SECONDS, ends + CLOCK_SECONDS))
        _, where, _ = self._until_acknowledged(
            session, rng, self._cluster.server.admin_token,
            lambda client: client.grants.grant("SELECT", "table", right.full_name, right.person, expire_time=until),
            is_over=lambda error: error.reason == "FIELD_INVALID",
        )  # fmt: skip
        # Granted or refused too late: either way it has not got it when the time has come.
        acknowledged = min(time.monotonic(), ends - CLOCK_SECONDS)
        self._note(write._replace(returned=acknowledged, where=where))
        self._hot[right] = ends + HOT_SECONDS
        return ends + HOT_SECONDS

    def _until_acknowledged(
        self, session: Session, rng: random.Random, token: str, act: Any, is_over: Any = lambda _: False
    ) -> tuple[Any, str, int]:
        """One request, under one id, sent to any replica until one answers: a try that failed may have taken effect."""
        session.next_request()
        give_up = time.monotonic() + WRITE_TRIES_SECONDS
        while True:
            endpoint = rng.choice(self.endpoints)
            client = session.client(endpoint, token)
            try:
                return act(client), endpoint, session.revision(client)
            except LakewardenError as error:
                if is_over(error):
                    return error, endpoint, 0
                if time.monotonic() > give_up:
                    raise
                if not is_lost(error):
                    # Wrong, whatever the others say: it is sent to them all the same, so that the storm goes on.
                    self._errors.append(f"write at {endpoint}: {error!r}")
                time.sleep(RETRY_SECONDS)

    def _begin(self, right: Right, key: str, value: bool) -> Write:
        self._hot[right] = inf
        write = Write(key, value, time.monotonic(), inf)
        self._note(write)
        return write

    def _end(self, right: Right, write: Write, where: str, revision: int) -> None:
        self._note(write._replace(returned=time.monotonic(), where=where, revision=revision))
        self._hot[right] = time.monotonic() + HOT_SECONDS

    def _note(self, write: Write) -> None:
        self._writes[write.key, write.invoked] = write

    # Readers

    def _read(self, slot: int, number: int) -> None:
        rng = random.Random(f"{self._seed} reader {slot} {number}")
        with Session() as session:
            while not self._stop.is_set():
                right = self._interesting(rng)
                if right is not None and not self._ask(session, rng, right, self.endpoints[slot]):
                    time.sleep(RETRY_SECONDS)

    def _interesting(self, rng: random.Random) -> Right | None:
        now = time.monotonic()
        hot = [right for right, until in list(self._hot.items()) if until > now]
        right = rng.choice(hot) if hot and rng.random() < HOT_SHARE else rng.choice(self.rights)
        return right if self._can_ask(right) else None

    def _can_ask(self, right: Right) -> bool:
        return right.lever != TOKEN or bool(self._tokens.get(right, ("", ""))[1])

    def _ask(self, session: Session, rng: random.Random, right: Right, endpoint: str, how: str = "") -> bool:
        """Asks once and notes the answer; returns whether there was one."""
        how = how or rng.choice(ways(right))
        key, token, subject = right.key, self._engine_token, right.person or None
        if right.lever == TOKEN:
            (key, token), subject = self._tokens[right], None
        elif how in BY_PERSON:
            token, subject = self._person_tokens[right], None
        bounded = how in BOUNDED and rng.random() < BOUNDED_SHARE
        client = session.client(endpoint, token, bounded=bounded)
        is_elsewhere = bool(right.other_name) and rng.random() < 0.5
        name = right.other_name if is_elsewhere else right.full_name
        ask = BY_ENGINE.get(how) or BY_PERSON[how]
        session.next_request()
        invoked = time.monotonic()
        try:
            allowed = answer(ask, client, right, name, subject)
        except LakewardenError as error:
            (self._unanswered if is_lost(error) else self._errors).append(f"{how}: {error!r}")
            return False
        self._reads.append(
            Read(
                key, allowed is not is_elsewhere, invoked, time.monotonic(), endpoint, how,
                BOUND_SECONDS if bounded else 0.0, session.revision(client),
            )
        )  # fmt: skip
        return True

    def _ask_everybody(self) -> None:
        """The last word: every replica is asked about every right in every way, when nothing changes any more."""
        rng = random.Random(f"{self._seed} last")
        with Session() as session:
            for endpoint in self.endpoints:
                for right in self.rights:
                    for how in ways(right):
                        if self._can_ask(right) and not self._ask(session, rng, right, endpoint, how):
                            self._errors.append(f"{endpoint} does not answer after the storm")
                            return

    def _harm(self, harm: Harm) -> None:
        while not self._stop.wait(harm.pause()):
            harm.do_next()
