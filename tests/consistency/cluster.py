"""Several servers on one database: the embedded one that sets the world up, more in this process, more in their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from durability.processes import Installation, ServerProcess
from lakewarden import Client
from lakewarden_server import app as composition
from lakewarden_server.app import App
from lakewarden_server.authz.follower import Follower
from lakewarden_server.config import Settings
from lakewarden_server.pipeline.pipeline import Pipeline
from lakewarden_server.storage import Database, UnitOfWork, WriteUnit
from lakewarden_server.storage.connections import create_engines
from lakewarden_server.testing import WORKSPACE, EmbeddedServer, serve

POOL_SIZE = 8
TIMEOUT_SECONDS = 30.0
"""Generous: a starved machine must look slow, not wrong."""


def nothing() -> None:
    """What a hook does until a test gives it something to do."""


class HookedDatabase(Database):
    """A database that lets a test act at the two moments at which what was decided may become old.

    `before_write` runs after a write's cheap check and before it begins its transaction, `after_begin` when the
    transaction has begun but the head is not taken, `before_read` between a read's decision and its transaction.
    """

    def __init__(self, url: str) -> None:
        super().__init__(create_engines(url, pool_size=POOL_SIZE), on_step=self._on_hooked_step)
        self.before_write: Callable[[], object] = nothing
        self.before_read: Callable[[], object] = nothing
        self.after_begin: Callable[[], object] = nothing

    @contextmanager
    def write(
        self, *, deadline: float, request_id: str, actor_id: str, policy_digest: str
    ) -> Iterator[WriteUnit]:
        """A write transaction, after the hook."""
        self.before_write()
        with super().write(
            deadline=deadline, request_id=request_id, actor_id=actor_id, policy_digest=policy_digest
        ) as uow:
            yield uow

    @contextmanager
    def read(self, *, deadline: float | None = None) -> Iterator[UnitOfWork]:
        """A read transaction, after the hook."""
        self.before_read()
        with super().read(deadline=deadline) as uow:
            yield uow

    def once(self, moment: str, act: Callable[[], object]) -> None:
        """Acts at the next `moment` only; what `act` itself causes does not act again."""

        def hook() -> None:
            setattr(self, moment, nothing)
            act()

        setattr(self, moment, hook)

    def _on_hooked_step(self, step: str) -> None:
        if step == "begun":
            self.after_begin()


class Cluster:
    """The replicas of one database; the first is the embedded server."""

    def __init__(self, url: str, directory: Path, server: EmbeddedServer, stack: ExitStack) -> None:
        self.url = url
        self.server = server
        self.directory = directory
        self.endpoints = [server.endpoint]
        self._stack = stack
        self._clients: dict[tuple[str, str], Client] = {}

    def add(
        self,
        *,
        database: Database | None = None,
        follower: type[Follower] = Follower,
        pipeline: type[Pipeline] = Pipeline,
    ) -> App:
        """Another server in this process; what it is made of may be broken, put in where production has its own."""
        settings = Settings(
            database_url=self.url,
            key_file=self.directory / "lakewarden.key",
            data_directory=self.directory,
            listen="127.0.0.1:0",
            grace_seconds=1.0,
            failed_logins_per_minute=0,
            calls_per_second_per_principal=0,
            calls_per_second_per_peer=0,
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(composition, "Follower", follower)
            patch.setattr(composition, "Pipeline", pipeline)
            app = App(settings, database=database, keys=self.server.app.keys)
        app.start()
        self._stack.callback(app.stop)
        self.endpoints.append(f"127.0.0.1:{app.port}")
        return app

    def add_hooked(self, *, follower: type[Follower] = Follower) -> tuple[HookedDatabase, str]:
        """Another server in this process with hooks in its database, and where it listens."""
        database = HookedDatabase(self.url)
        self.add(database=database, follower=follower)
        return database, self.endpoints[-1]

    def add_process(self) -> str:
        """Another server in a process of its own; returns where it listens."""
        process = self.process(f"replica-{len(self.endpoints)}.log")
        self.endpoints.append(process.endpoint)
        return process.endpoint

    def process(self, log_name: str, *, url: str = "", command: Sequence[str] = ()) -> ServerProcess:
        """The same, for who kills it; it is not among the `endpoints`. `url` leads another way to the database."""
        installation = Installation(url or self.url, self.directory, self.server.admin_token)
        return self._stack.enter_context(installation.serve(command=command, log_name=log_name))

    def admin(self, endpoint: str = "") -> Client:
        """The admin's client of one replica, by default the first."""
        return self.client(self.server.admin_token, endpoint)

    def client_as(self, name: str, endpoint: str = "") -> Client:
        """A user's client of one replica; the user is made and assigned to the workspace on first use."""
        return self.client(self.server.token_of(name), endpoint)

    def client(self, token: str, endpoint: str = "") -> Client:
        """A client with any token; it makes one attempt for each call, and is the same one each time."""
        key = (token, endpoint or self.server.endpoint)
        if key not in self._clients:
            client = Client(
                key[1], token=token, workspace=WORKSPACE, retries=0, timeout_seconds=TIMEOUT_SECONDS
            )
            self._clients[key] = self._stack.enter_context(client)
        return self._clients[key]


@contextmanager
def cluster_on(url: str, directory: Path) -> Iterator[Cluster]:
    """A cluster of one, to which a test adds replicas; all of them stop at the end."""
    with ExitStack() as outer:
        server = outer.enter_context(serve(database_url=url, directory=directory))
        stack = outer.enter_context(ExitStack())
        yield Cluster(url, directory, server, stack)
