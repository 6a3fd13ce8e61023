"""A restore is whole or has not happened; nothing that was revoked comes back unseen, and no server answers from the state before."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from durability.backups import done, impatient, killed, opened, operator, refused, rows, state
from durability.writers import Ledger, writing
from lakewarden import Client, FailedPrecondition, LakewardenError, Unauthenticated
from lakewarden_policy import load_policy
from lakewarden_server.authz.follower import Follower
from lakewarden_server.lineage.registering import Registrar
from lakewarden_server.storage import load_snapshot
from lakewarden_server.storage.migrations import downgrade
from lakewarden_server.testing import EmbeddedServer, serve
from storage.worlds import committed, user
from storage.worlds import writing as writing_to

TABLE = ("SELECT", "table", "main.sales.orders")
STEPS = ("emptied", "copied grants", "copied model_aliases")
WRITES = 10
MakeUrl = Callable[[str], str]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data directory."""
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def server(database_url: str, home: Path) -> Iterator[EmbeddedServer]:
    """A running server, on each database in turn, with a table."""
    with serve(database_url=database_url, directory=home) as server:
        admin = server.client()
        admin.catalogs.create("main")
        admin.schemas.create("main.sales")
        admin.tables.create("main.sales.orders", columns=[{"name": "id", "type_text": "BIGINT"}])
        yield server


def test_running_server_answers_from_the_restored_state_alone(
    server: EmbeddedServer, database_url: str, home: Path, tmp_path: Path
) -> None:
    admin, file = server.client(), tmp_path / "archive"
    bob = server.client_as("bob")
    for privilege, kind, name in (("USE CATALOG", "catalog", "main"), ("USE SCHEMA", "schema", "main.sales")):
        admin.grants.grant(privilege, kind, name, "bob@example.com")
    done("backup", file, url=database_url, home=home)
    admin.grants.grant(*TABLE, "bob@example.com")
    assert bob.authorization.check(*TABLE)
    remembered = bob.revision
    with checking(server, bob) as answers:
        answers.wait()
        done("restore", file, "--replace", url=database_url, home=home)
        # Acknowledged: whatever is asked from now on is answered from the restored state.
        fresh = Client(
            server.endpoint, token=server.token_of("bob"), workspace=server.workspace or "", retries=0
        )
        with fresh:
            assert [allowed(fresh) for _ in range(20)] == [False] * 20
    assert answers.errors <= {"UNAVAILABLE", "FAILED_PRECONDITION"}
    with impatient(server) as client:
        assert remembered is not None
        with pytest.raises(FailedPrecondition) as mismatch:
            client.at_least_revision(remembered).session.get()
        assert mismatch.value.reason == "HISTORY_MISMATCH"
        client.grants.grant(*TABLE, "bob@example.com")
    assert "audit chain whole" in done("doctor", url=database_url, home=home)


def test_only_tokens_unchanged_in_the_replaced_database_survive(
    server: EmbeddedServer, database_url: str, home: Path, tmp_path: Path
) -> None:
    kept, revoked, disabled = (server.token_of(name) for name in ("kept", "revoked", "disabled"))
    admin, file = server.client(), tmp_path / "archive"
    done("backup", file, url=database_url, home=home)
    with impatient(server) as client:
        (token,) = client.as_token(revoked).tokens.list()
        client.as_token(revoked).tokens.delete(token.id)
    admin.users.update("disabled@example.com", active=False)
    later = server.token_of("later")
    told = done("restore", file, "--replace", url=database_url, home=home)
    assert "tokens: 2 kept, 2 revoked" in told
    with impatient(server) as client:
        assert client.session.get().principal == "admin@example.com"
        assert client.as_token(kept).session.get().principal == "kept@example.com"
        for dead in (revoked, disabled, later):
            with pytest.raises(Unauthenticated):
                client.as_token(dead).session.get()
        (record,) = client.audit.list(action="restore")
        assert (record.detail["tokens_kept"], record.detail["tokens_revoked"]) == ("2", "2")


def test_into_an_empty_database_no_token_survives(
    server: EmbeddedServer, make_database_url: MakeUrl, database_url: str, home: Path, tmp_path: Path
) -> None:
    file, url = tmp_path / "archive", f"sqlite:///{tmp_path}/new.db"
    done("backup", file, url=database_url, home=home)
    told = done("restore", file, url=url, home=home)
    assert "0 kept, 1 revoked" in told
    assert "recover --admin" in told
    assert "WARN" not in told
    assert "--replace" in refused("restore", file, url=url, home=home)
    assert "(was" not in done("migrate", url=url, home=home)
    done("recover", "--admin", "admin@example.com", url=url, home=home)
    assert "1 kept" in done("restore", file, "--replace", "--keep-tokens", url=url, home=home)
    with opened(url) as database:
        downgrade(database, "0007")
    assert "lakewarden-server migrate" in refused("restore", file, "--replace", url=url, home=home)
    assert "WARN" in operator("restore", file, url=make_database_url("sqlite"), home=tmp_path / "new").output


def test_killed_restore_has_not_happened(
    server: EmbeddedServer, database_url: str, home: Path, tmp_path: Path
) -> None:
    file = tmp_path / "archive"
    done("backup", file, url=database_url, home=home)
    server.client().catalogs.create("later")
    # What the server does by itself is done.
    Registrar(server.app.database, server.app.follower, frozenset()).catch_up()
    before = rows(database_url)
    for step in STEPS:
        killed("restore", step, file, database_url, home)
        assert rows(database_url) == before, step
    with impatient(server) as client:
        assert {catalog.name for catalog in client.catalogs.list()} == {"main", "later"}
        done("restore", file, "--replace", url=database_url, home=home)
        assert {catalog.name for catalog in client.as_token(server.admin_token).catalogs.list()} == {"main"}


def test_writers_beside_a_restore_write_before_or_after_it(
    server: EmbeddedServer, database_url: str, home: Path, tmp_path: Path
) -> None:
    ledger, file = Ledger(), tmp_path / "archive"
    done("backup", file, url=database_url, home=home)
    with writing(lambda: impatient(server), ledger, name="beside") as writers:
        writers.wait_for(WRITES)
        done("restore", file, "--replace", url=database_url, home=home)
    # A writer meets the end of the history it remembers, or waits too long; nothing else.
    assert all("HISTORY_MISMATCH" in error for error in ledger.errors), ledger.errors
    with opened(database_url) as database, database.read() as uow:
        revision = uow.revision
    assert state(database_url) == state(database_url, revision)
    assert "audit chain whole" in done("doctor", url=database_url, home=home)


def test_writer_who_held_another_history_reads_the_state_anew(
    make_database_url: MakeUrl, database_url: str, home: Path, tmp_path: Path
) -> None:
    other, file = make_database_url("sqlite"), tmp_path / "archive"
    with opened(other) as database:
        for number in range(5):
            committed(database, user(f"u{number}@example.com"))
    done("backup", file, url=other, home=home)
    with opened(database_url) as database:
        committed(database, user("of-before@example.com"))
        follower = Follower(database, load_policy())
        follower.at_head()
        done("restore", file, "--replace", url=database_url, home=home)
        with writing_to(database) as uow:
            decided = follower.before_write(uow).snapshot
            found = load_snapshot(uow.connection, head=uow.previous, now=uow.time)
        assert decided.facts() == found.facts()
        assert decided.principal_named("of-before@example.com") is None


class Answers:
    """What a client was told meanwhile."""

    def __init__(self) -> None:
        self.count = 0
        self.errors: set[str] = set()
        self._enough = threading.Event()

    def wait(self) -> None:
        """Returns after some answers."""
        assert self._enough.wait(30)

    def ask(self, client: Client) -> None:
        """Asks once."""
        try:
            client.authorization.check(*TABLE)
        except LakewardenError as error:
            self.errors.add(error.code)
        self.count += 1
        if self.count >= 20:
            self._enough.set()


@contextmanager
def checking(server: EmbeddedServer, client: Client) -> Iterator[Answers]:
    """Asks all the time during the block."""
    answers, stopping = Answers(), threading.Event()

    def run() -> None:
        while not stopping.is_set():
            answers.ask(client)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield answers
    finally:
        stopping.set()
        thread.join()


def allowed(client: Client) -> bool:
    """Whether the client may read the table."""
    return bool(client.authorization.check(*TABLE))
