"""Writers, readers and faults on several replicas of one database, and everything they saw, for the checker."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import NamedTuple

from consistency.checker import Read, Violation, Write, violations
from consistency.cluster import Cluster
from durability.processes import ServerProcess
from lakewarden import Client, LakewardenError
from lakewarden_server.testing import WORKSPACE

WRITERS = 4
READERS = 6
KEYS_PER_WRITER = 3
WRITE_TRIES_SECONDS = 30.0
PAUSE_SECONDS_MAX = 0.02
FREEZE_SECONDS = 3.0
TIMEOUT_SECONDS = 5.0
OPERATIONS_PER_SECOND_MIN = 200
"""Below, a run says nothing: too few questions met a change (reliability section 4)."""
LEVERS = ("grant", "member", "schema", "workspace")
"""What takes a right and gives it back; each key has one of them."""


class Key(NamedTuple):
    """One right: may this person read this table?"""

    person: str
    table: str
    lever: str

    @property
    def name(self) -> str:
        """What the checker calls it."""
        return f"{self.lever} {self.person} {self.table}"


@dataclass
class Outcome:
    """What a storm did and what the checker says of it."""

    seconds: float
    writes: list[Write]
    reads: list[Read]
    faults: list[str]
    found: list[Violation] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        """Acknowledged operations."""
        return (len(self.writes) + len(self.reads)) / self.seconds

    def __str__(self) -> str:
        return (
            f"{len(self.writes)} writes and {len(self.reads)} reads in {self.seconds:.1f} s ({self.per_second:.0f}/s), "
            f"faults: {', '.join(self.faults) or 'none'}, violations: {len(self.found)}"
        )


class Storm:
    """A world on a cluster and the threads that change it and ask about it. One clock stamps everything."""

    def __init__(self, cluster: Cluster, *, seed: int) -> None:
        """Makes the world through the first replica."""
        self._cluster, self._seed = cluster, seed
        self._processes: list[ServerProcess] = []
        self._stop = threading.Event()
        self._writes: list[Write] = []
        self._reads: list[Read] = []
        self._faults: list[str] = []
        self.keys = [
            Key(f"p{number}@example.com", f"main.s{number}.t", LEVERS[number % len(LEVERS)])
            for number in range(WRITERS * KEYS_PER_WRITER)
        ]
        self._build()

    def add_process(self) -> None:
        """A replica in a process of its own, which faults may hit."""
        self._processes.append(self._cluster.process(f"storm-{len(self._processes)}.log"))

    @property
    def endpoints(self) -> list[str]:
        """Where the replicas listen now."""
        return [*self._cluster.endpoints, *(process.endpoint for process in self._processes)]

    def run(self, seconds: float, *, faults: bool = True) -> Outcome:
        """Lets it rage and has it judged."""
        threads = [threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)]
        threads += [threading.Thread(target=self._read, args=(number,)) for number in range(READERS)]
        if faults:
            threads.append(threading.Thread(target=self._harm))
        started = time.monotonic()
        for thread in threads:
            thread.start()
        self._stop.wait(seconds)
        self._stop.set()
        for thread in threads:
            thread.join()
        outcome = Outcome(time.monotonic() - started, self._writes, self._reads, self._faults)
        outcome.found = violations(outcome.writes, outcome.reads)
        return outcome

    def _build(self) -> None:
        admin = self._cluster.admin()
        engine = admin.service_principals.create("storm engine")
        admin.grants.grant(["USER", "QUERY ENGINE"], "workspace", WORKSPACE, engine.name)
        self._engine_token = self._cluster.server.issue_token(engine.name)
        admin.catalogs.create("main")
        for number, key in enumerate(self.keys):
            admin.users.create(key.person)
            group = self._group(key)
            admin.groups.create(group)
            admin.schemas.create(f"main.s{number}")
            admin.tables.create(key.table)
            admin.grants.grant("USE CATALOG", "catalog", "main", key.person)
            for lever, act in self._levers(key, give=True).items():
                if lever != key.lever:
                    act(admin)
            if key.lever == "member":
                admin.grants.grant("SELECT", "table", key.table, group)
            elif key.lever != "grant":
                admin.grants.grant("SELECT", "table", key.table, key.person)

    def _group(self, key: Key) -> str:
        return f"group of {key.person.partition('@')[0]}"

    def _levers(self, key: Key, *, give: bool) -> dict[str, Callable[[Client], object]]:
        """What gives or takes the right, by lever; those that are not the key's own are given at the start."""
        schema, group, person = key.table.rpartition(".")[0], self._group(key), [key.person]

        def grants(client: Client) -> Callable[..., object]:
            return client.grants.grant if give else client.grants.revoke

        found: dict[str, Callable[[Client], object]] = {
            "schema": lambda client: grants(client)("USE SCHEMA", "schema", schema, key.person),
            "workspace": lambda client: grants(client)("USER", "workspace", WORKSPACE, key.person),
        }
        if key.lever == "grant":
            found["grant"] = lambda client: grants(client)("SELECT", "table", key.table, key.person)
        if key.lever == "member":
            found["member"] = lambda client: client.groups.update_members(
                group, **{"add" if give else "remove": person}
            )
        return found

    def _client(self, token: str, rng: random.Random) -> tuple[str, Client]:
        endpoint = rng.choice(self.endpoints)
        return endpoint, self._cluster.client(token, endpoint).with_timeout(TIMEOUT_SECONDS)

    def _write(self, number: int) -> None:
        rng = random.Random(f"{self._seed} writer {number}")
        mine = self.keys[number::WRITERS]
        has = dict.fromkeys(mine, False)
        while not self._stop.is_set():
            key = rng.choice(mine)
            has[key] = not has[key]
            act = self._levers(key, give=has[key])[key.lever]
            invoked = time.monotonic()
            # Until it is acknowledged: a try that failed may have taken effect.
            while True:
                with suppress(LakewardenError):
                    act(self._client(self._cluster.server.admin_token, rng)[1])
                    break
                if time.monotonic() - invoked > WRITE_TRIES_SECONDS:
                    self._writes.append(Write(key.name, has[key], invoked, float("inf")))
                    return
            self._writes.append(Write(key.name, has[key], invoked, time.monotonic()))
            time.sleep(rng.random() * PAUSE_SECONDS_MAX)

    def _read(self, number: int) -> None:
        rng = random.Random(f"{self._seed} reader {number}")
        ways: tuple[Callable[[Client, Key], bool], ...] = (_check, _batch, _plan, _filter)
        while not self._stop.is_set():
            key, ask = rng.choice(self.keys), rng.choice(ways)
            endpoint, client = self._client(self._engine_token, rng)
            invoked = time.monotonic()
            with suppress(LakewardenError):
                value = ask(client, key)
                self._reads.append(
                    Read(key.name, value, invoked, time.monotonic(), endpoint, ask.__name__.strip("_"))
                )

    def _harm(self) -> None:
        rng = random.Random(f"{self._seed} faults")
        while not self._stop.wait(1.0 + rng.random()):
            victim = rng.randrange(len(self._processes))
            if rng.random() < 0.5:
                self._faults.append("SIGKILL")
                self._processes[victim].kill()
                self._processes[victim] = self._cluster.process(f"storm-{victim}-{len(self._faults)}.log")
            else:
                self._faults.append("SIGSTOP")
                self._processes[victim].freeze()
                time.sleep(FREEZE_SECONDS)
                self._processes[victim].signal(signal.SIGCONT)


def _accesses(key: Key) -> Sequence[SimpleNamespace]:
    return [SimpleNamespace(full_name=key.table, privilege="SELECT", securable_type="TABLE")]


def _check(client: Client, key: Key) -> bool:
    return bool(client.authorization.check("SELECT", "table", key.table, subject=key.person, explain=False))


def _batch(client: Client, key: Key) -> bool:
    (verdict,) = client.authorization.batch_check(_accesses(key), subject=key.person)
    return bool(verdict)


def _plan(client: Client, key: Key) -> bool:
    return bool(client.authorization.authorize_plan(_accesses(key), subject=key.person))


def _filter(client: Client, key: Key) -> bool:
    return bool(client.authorization.filter_securables("table", [key.table], "SELECT", subject=key.person))
