"""The real server inside a test or a notebook: its own SQLite file, a free port, nothing mocked.

with lakewarden_server.testing.serve() as server:
    server.client().catalogs.create("main")
    server.client_as("ada").catalogs.list()
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

from lakewarden import Client
from lakewarden_policy import load_policy, principal_key
from lakewarden_server.app import App
from lakewarden_server.authn.keys import create_key_file
from lakewarden_server.authn.tokens import TokenKind, mint
from lakewarden_server.bootstrap import bootstrap
from lakewarden_server.config import Settings
from lakewarden_server.core.clock import monotonic
from lakewarden_server.services.tokens import token_row
from lakewarden_server.storage import Database, create_database
from lakewarden_server.storage.head import renew_epoch
from lakewarden_server.storage.migrations import migrate
from lakewarden_server.storage.template import SqliteTemplate

ADMIN = "admin@example.com"
METASTORE = "metastore"
WORKSPACE = "workspace"
TOKEN_LIFETIME = timedelta(days=30)
WRITE_SECONDS = 30.0
_template = SqliteTemplate()


class EmbeddedServer:
    """A running server with one account admin, and by default one metastore with one workspace attached.

    `client()` is that admin, who also owns both; `client_as(name)` is a user made on first use and assigned to the workspace.
    """

    def __init__(self, app: App, admin_token: str) -> None:
        self.app = app
        self.admin_token = admin_token
        self._tokens: dict[str, str] = {}
        self._clients = ExitStack()
        self.workspace: str | None = None

    @property
    def endpoint(self) -> str:
        """Host and port of the running server."""
        return f"127.0.0.1:{self.app.port}"

    @property
    def http_url(self) -> str:
        """Where HTTP is served, of a server started with `http=True`."""
        return f"http://{self.app.http_address}"

    def restart(self) -> None:
        """Stops the server and starts another one on its database and key file; clients from before are closed."""
        self.close_clients()
        self.app.stop()
        self.app = App(self.app.settings)
        self.app.start()

    def client(self, token: str | None = None, *, workspace: str | None = None) -> Client:
        """A client with the admin's token or the one given, in the embedded workspace or the one named ("" for none)."""
        chosen = self.workspace if workspace is None else workspace
        client = Client(self.endpoint, token=token or self.admin_token, workspace=chosen or "")
        return self._clients.enter_context(client)

    def client_as(self, name: str, *, workspace: str | None = None) -> Client:
        """A client as the user `name` (an email; a bare name becomes name@example.com), created and assigned when new."""
        return self.client(self.token_of(name), workspace=workspace)

    def token_of(self, name: str) -> str:
        """A token of the user `name`, or of the service principal with that application id."""
        principal = name if "@" in name or _is_known(self.app, name) else f"{name}@example.com"
        if principal not in self._tokens:
            self._ensure(principal)
            self._tokens[principal] = self.issue_token(principal)
        return self._tokens[principal]

    def issue_token(self, principal: str, *, lifetime: timedelta = TOKEN_LIFETIME) -> str:
        """A token for any existing principal: what only a test may do without being that principal."""
        text = mint(TokenKind.PAT)
        snapshot = self.app.follower.at_head().snapshot
        found = snapshot.principal_named(principal)
        if found is None:
            raise KeyError(f"there is no principal {principal!r}")
        with self.app.database.write(
            deadline=monotonic() + WRITE_SECONDS,
            request_id="",
            actor_id=found.id,
            policy_digest=load_policy().digest,
        ) as uow:
            uow.session.add(
                token_row(
                    self.app.keys,
                    text,
                    principal_id=found.id,
                    now=uow.time,
                    lifetime=lifetime,
                    comment="test",
                )
            )
            uow.commit()
        return text.render()

    def set_up_workspace(self) -> None:
        """Creates the metastore and the workspace attached to it."""
        admin = self.client()
        admin.metastores.create(METASTORE)
        # Without a catalog of its own: a test's world holds what the test made.
        admin.workspaces.create(WORKSPACE, metastore=METASTORE, omit_catalog=True)
        self.workspace = WORKSPACE

    def close_clients(self) -> None:
        """Closes every client this server handed out."""
        self._clients.close()

    def _ensure(self, principal: str) -> None:
        if _is_known(self.app, principal):
            return
        admin = self.client()
        admin.users.create(principal)
        if self.workspace:
            admin.grants.grant("USER", "workspace", self.workspace, principal)


@contextmanager
def serve(
    *,
    database_url: str | None = None,
    workspace: bool = True,
    directory: Path | None = None,
    http: bool = False,
    failed_logins_per_minute: int = 0,
    calls_per_second_per_principal: int = 0,
    calls_per_second_per_peer: int = 0,
    lineage_hosts: frozenset[str] = frozenset(),
) -> Iterator[EmbeddedServer]:
    """Starts a server on a free loopback port and stops it at the end of the block.

    Without `database_url` (a fresh database, which it migrates) it works on a SQLite file of its own in a temporary directory.
    `workspace=False` leaves the account empty but for its admin. `http=True` serves SCIM too (extra `scim`).
    All of a test calls from one address and as fast as it can, so nobody is held up for wrong credentials or for too many calls unless
    `failed_logins_per_minute` and `calls_per_second_…` say so.
    """
    with ExitStack() as stack:
        home = directory or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lakewarden-")))
        settings = Settings(
            database_url=database_url or f"sqlite:///{home / 'lakewarden.db'}",
            key_file=home / "lakewarden.key",
            data_directory=home,
            listen="127.0.0.1:0",
            grace_seconds=1.0,
            http="127.0.0.1:0" if http else "",
            failed_logins_per_minute=failed_logins_per_minute,
            calls_per_second_per_principal=calls_per_second_per_principal,
            calls_per_second_per_peer=calls_per_second_per_peer,
            lineage_hosts=lineage_hosts,
        )
        keys = create_key_file(settings.key_file)
        database = _open(database_url, home)
        stack.callback(database.close)
        first = bootstrap(database, keys, admin=ADMIN, kind=TokenKind.PAT, lifetime=TOKEN_LIFETIME)
        app = App(settings, database=database, keys=keys)
        server = EmbeddedServer(app, first.token)
        stack.callback(lambda: server.app.stop())
        app.start()
        stack.callback(server.close_clients)
        if workspace:
            server.set_up_workspace()
        yield server


def declare_filled(database: Database) -> None:
    """Tells every server that rows were written past the change log, so that it reads the whole state again."""
    with database.transaction(deadline=monotonic() + WRITE_SECONDS) as connection:
        renew_epoch(connection)
        connection.commit()


def _open(url: str | None, home: Path) -> Database:
    if url is None:
        return _template.create(home / "lakewarden.db")
    database = create_database(url)
    migrate(database)
    return database


def _is_known(app: App, name: str) -> bool:
    return bool(principal_key(name)) and app.follower.at_head().snapshot.principal_named(name) is not None
