"""What an operator does by hand: first admin, recovery of a lost one, and a database that came from a backup."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import cast

import click
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from lakewarden import Client, FailedPrecondition, LakewardenError, PermissionDenied, Unauthenticated
from lakewarden_server.app import App
from lakewarden_server.cli import COMMANDS, main
from lakewarden_server.config import Settings, read_settings
from lakewarden_server.core.clock import monotonic
from lakewarden_server.storage import audit, create_database
from lakewarden_server.storage.head import renew_epoch


def _run(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--data-dir", str(home)])


def _settings(home: Path) -> Settings:
    return read_settings(
        {"data_directory": home, "listen": "127.0.0.1:0", "grace_seconds": 1}, environment={}
    )


def _token(home: Path) -> str:
    return _settings(home).bootstrap_token_file.read_text().strip()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory with a set-up database."""
    assert _run(tmp_path / "data", "init", "--admin", "ada@example.com").exit_code == 0
    return tmp_path / "data"


def test_init_makes_one_admin_whose_token_works_once(home: Path) -> None:
    again = _run(home, "init", "--admin", "eve@example.com")
    assert (again.exit_code, "already been made" in again.output) == (1, True)
    settings = _settings(home)
    assert {
        settings.key_file.stat().st_mode & 0o777,
        settings.bootstrap_token_file.stat().st_mode & 0o777,
    } == {0o600}
    app = App(settings)
    app.start()
    try:
        with Client(f"127.0.0.1:{app.port}", token=_token(home), workspace="") as first:
            with pytest.raises(PermissionDenied):
                first.session.get()
            lasting = first.tokens.create().token_value
            with pytest.raises(Unauthenticated):
                first.tokens.create()
            assert first.as_token(lasting).session.get().principal == "ada@example.com"
    finally:
        app.stop()


def test_init_refuses_what_is_no_email_and_leaves_nothing(tmp_path: Path) -> None:
    assert _run(tmp_path / "data", "init", "--admin", "ada").exit_code == 1
    assert not (tmp_path / "data").exists()


def test_recover_is_for_account_admins_only_and_is_audited(home: Path) -> None:
    (home / "bootstrap-token").unlink()
    for nobody in ("eve@example.com", "account users"):
        assert _run(home, "recover", "--admin", nobody).exit_code == 1
        assert not (home / "bootstrap-token").exists()
    assert _run(home, "recover", "--admin", "ada@example.com").exit_code == 0
    assert _token(home).startswith("lwboot_")
    assert "audit chain whole" in _run(home, "doctor").output


def test_recover_lifts_the_lists_that_refuse_everybody(home: Path) -> None:
    app = App(_settings(home))
    app.start()
    with Client(f"127.0.0.1:{app.port}", token=_token(home), workspace="") as client:
        token = client.tokens.create().token_value
    with Client(f"127.0.0.1:{app.port}", token=token, workspace="") as client:
        for label, address in (("office", "203.0.113.0/24"), ("here", "127.0.0.1")):
            client.ip_access_lists.create(label, "ALLOW", [address])
        client.ip_access_lists.enforce()
        # The office moves: the row is changed as no call may change it.
        with app.database.transaction(deadline=monotonic() + 10) as connection:
            connection.execute(text("UPDATE ip_access_lists SET ip_addresses = '[\"198.51.100.0/24\"]'"))
            renew_epoch(connection)
            connection.commit()

        def refusal() -> str:
            try:
                client.session.get()
            except LakewardenError as error:
                return error.reason
            return ""

        refusal()
        assert refusal() == "IP_NOT_ALLOWED"
        assert _run(home, "recover", "--admin", "ada@example.com").exit_code == 0
        assert refusal() == "IP_NOT_ALLOWED", "a token alone does not help"
        lift = ("recover", "--admin", "ada@example.com", "--lift-ip-access-lists")
        lifted = _run(home, *lift)
        assert lifted.exit_code == 0
        assert "The account no longer enforces its IP access lists." in lifted.output
        assert refusal() == ""
        assert "ip access lists" in str(next(iter(client.audit.list(action="recover"))))
        assert "Nothing was lifted" in _run(home, *lift).output
    app.stop()
    assert "audit chain whole" in _run(home, "doctor").output


def test_restored_database_refuses_the_revisions_clients_remember(home: Path) -> None:
    app = App(_settings(home))
    app.start()
    with Client(f"127.0.0.1:{app.port}", token=_token(home), workspace="") as client:
        token = client.tokens.create().token_value
        remembered = client.revision
    app.stop()
    shutil.copytree(home, home.parent / "backup")
    assert "1 kept, 0 revoked" in _run(home.parent / "backup", "restored", "--keep-tokens").output
    copy = App(_settings(home.parent / "backup"))
    copy.start()
    try:
        with Client(f"127.0.0.1:{copy.port}", token=token, workspace="") as client:
            assert client.session.get().principal == "ada@example.com"
            assert remembered is not None
            with pytest.raises(FailedPrecondition) as refused:
                client.at_least_revision(remembered).session.get()
            assert refused.value.reason == "HISTORY_MISMATCH"
        with copy.database.read() as uow:
            assert audit.verify(uow.connection) == []
    finally:
        copy.stop()


def test_restored_database_revokes_every_token(home: Path) -> None:
    assert "0 kept, 1 revoked" in _run(home, "restored").output
    app = App(_settings(home))
    app.start()
    try:
        with Client(f"127.0.0.1:{app.port}", token=_token(home), workspace="") as client:
            with pytest.raises(Unauthenticated) as refused:
                client.tokens.create()
            assert refused.value.reason == "TOKEN_INVALID"
            assert _run(home, "recover", "--admin", "ada@example.com").exit_code == 0
            assert client.as_token(_token(home)).tokens.create().token_value
    finally:
        app.stop()
    assert _run(home, "restored", "--database-url", "sqlite:////nowhere/none.db").exit_code == 1


def test_serve_without_a_database_says_what_to_run(tmp_path: Path) -> None:
    answer = _run(tmp_path / "nothing", "serve")
    assert (answer.exit_code, "lakewarden-server init" in answer.output) == (1, True)
    assert not (tmp_path / "nothing").exists()
    assert "init" in _run(tmp_path / "nothing", "doctor").output


def test_serve_on_a_taken_port_is_one_line(home: Path) -> None:
    app = App(_settings(home))
    app.start()
    try:
        answer = _run(home, "serve", "--listen", f"127.0.0.1:{app.port}")
        assert (answer.exit_code, "another server has it" in answer.output) == (1, True)
    finally:
        app.stop()


def test_doctor_fails_without_an_account_admin(tmp_path: Path) -> None:
    home = tmp_path / "data"
    assert _run(home, "migrate").exit_code == 0
    database = create_database(_settings(home).database_url)
    database.close()
    answer = _run(home, "doctor")
    assert (answer.exit_code, "no active account admin" in answer.output) == (1, True)


def test_lines_of_help_are_those_of_the_commands() -> None:
    group = cast(click.Group, main)
    for name, (_, line) in COMMANDS.items():
        command = group.get_command(click.Context(group), name)
        assert command is not None
        assert command.help is not None
        assert (name, command.help.startswith(line)) == (command.name, True)
    written = CliRunner().invoke(main, ["--help"]).output
    assert all(f"  {name} " in written for name in COMMANDS)


@pytest.mark.parametrize(
    "arguments", [("--help",), ("serve", "--help"), ("serve", "--listen", "nonsense"), ("health",)]
)
def test_help_mistakes_and_health_checks_import_nothing_that_serves(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    program = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('IMPORTED', *{name.split('.')[0] for name in sys.modules}))\n"
        "from lakewarden_server.cli import main\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    imported = set(done.stdout.rpartition("IMPORTED")[2].split())
    assert "lakewarden_server" in imported, done.stderr
    assert not imported & {"sqlalchemy", "alembic", "psycopg", "numpy", "pyarrow", "casbin"}
