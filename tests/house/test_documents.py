"""README and docs are held to the code: tables are compared with it, commands and programs in them are run."""

from __future__ import annotations

import ast
import importlib
import os
import re
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from house.listening import until_it_listens
from house.repository import ROOT, named, written_modules
from lakewarden.cli import _application as command_line
from lakewarden_server.cli import COMMANDS as SERVER_COMMANDS
from lakewarden_server.core import errors
from lakewarden_server.pipeline import headers

README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
OPERATORS_ONLY = [
    ROOT / "server/lakewarden_server" / name for name in ("bootstrap.py", "storage/connections.py")
]
"""What they raise is met at a start or by a command of `lakewarden-server`, never over the wire."""


def rows_under(heading: str) -> list[list[str]]:
    """The cells of the table under a heading of README, without its head."""
    section = README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line.strip("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split("|")] for line in lines[2:]]


def blocks(language: str) -> list[str]:
    """The code blocks of README in a language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def raised() -> Iterator[tuple[str, str]]:
    """Code and reason of every error the server's source constructs."""
    for path in set(written_modules("server/lakewarden_server")) - set(OPERATORS_ONLY):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                error_class = getattr(errors, node.func.id, None)
                for argument in node.args:
                    if isinstance(error_class, type) and ast.unparse(argument).startswith("Reason."):
                        assert isinstance(argument, ast.Attribute)
                        yield error_class.code, argument.attr


def test_error_table_lists_every_reason_once() -> None:
    assert [row[1] for row in rows_under("Errors")] == [reason.value for reason in errors.Reason]


def test_error_table_gives_each_reason_the_code_it_is_raised_with() -> None:
    listed = {row[1]: row[0] for row in rows_under("Errors")}
    found = set(raised())
    assert len(found) > 30
    assert {(code, reason) for code, reason in found if listed[reason] != code} == set()


def test_reasons_called_reserved_are_those_nobody_raises() -> None:
    text = "".join(path.read_text() for path in written_modules("server/lakewarden_server"))
    reserved = {row[1] for row in rows_under("Errors") if row[2].startswith("reserved")}
    assert reserved == {reason for reason in errors.Reason if f"Reason.{reason}" not in text}


def test_limits_are_those_of_the_code() -> None:
    for what, limit, where in rows_under("Limits"):
        *constants, file = re.findall(r"`([\w./]+)`", where)
        module = file.removesuffix(".py").replace("/", ".")
        package = "" if module.startswith("lakewarden_policy") else "lakewarden_server."
        stated = re.findall(r"\d+", limit.replace(",", ""))
        values = [getattr(importlib.import_module(package + module), constant) for constant in constants]
        assert sorted(map(_plain, values)) == sorted(map(int, stated)), what


def _plain(value: object) -> int:
    return value.days if isinstance(value, timedelta) else int(str(value).removesuffix(".0"))


def test_metadata_keys_are_those_of_the_pipeline() -> None:
    keys = {
        headers.AUTHORIZATION,
        headers.WORKSPACE,
        headers.REQUEST_ID,
        headers.REVISION,
        headers.AT_LEAST_REVISION,
        headers.FRESHNESS,
    }
    assert {row[0].strip("`") for row in rows_under("Metadata")} == keys


def test_exit_codes_are_those_of_the_command_line() -> None:
    listed = {int(row[0]): row[1] for row in rows_under("The command line")}
    documented = re.findall(r"(\d+) \w", (command_line.__doc__ or "").partition("\n")[2])
    assert list(listed) == sorted(map(int, documented))
    assert set(command_line._EXIT_CODES.values()) <= set(listed)


def test_every_command_is_named() -> None:
    section = README.split("## The command line", 1)[1].split("\n\n", 2)[1]
    named = re.findall(r"[a-z][a-z-]*", " ".join(re.findall(r"`([^`-][^`]*)`", section)))
    words = set(named)
    assert [word for word in command_line.COMMANDS if named.count(word) > 1] == [], "named twice"
    # `version` speaks for itself in --help.
    assert set(command_line.COMMANDS) - words == {"version"}


def test_every_command_of_the_server_is_named() -> None:
    (listed,) = re.findall(r"`lakewarden-server` has `([a-z -]+)`", README)
    assert set(listed.split()) == set(SERVER_COMMANDS)


def test_every_dependency_is_justified() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"], *extras["server"], *extras["postgres"], *extras["duckdb"]]
    section = README.split("## What it stands on", 1)[1].split("\n## ", 1)[0]
    for requirement in wanted:
        assert f"`{re.match(r'[a-z-]+', requirement)[0]}`" in section, requirement  # type: ignore[index]
    assert {f"- `{extra}`:" for extra in extras} <= set(re.findall(r"^- `\w+`:", section, re.MULTILINE))


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_links_and_make_targets_exist(path: Path) -> None:
    text = path.read_text()
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (path.parent / link).exists(), link
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)) <= targets


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_named_files_exist(path: Path) -> None:
    for file in re.findall(
        r"`((?:tests|docs|docker|policies|client|server|protos)/[\w./-]+)`", path.read_text()
    ):
        assert (ROOT / file).exists() or (ROOT / "server" / file).exists(), file


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_named_environment_variables_are_read_somewhere(path: Path) -> None:
    readers = (
        "server/lakewarden_server/config.py",
        "client/lakewarden/_config.py",
        "docker/entrypoint.sh",
        "docker/Dockerfile",
    )
    known = "".join((ROOT / reader).read_text() for reader in readers)
    for name in set(re.findall(r"\bLAKEWARDEN_[A-Z_]+\b", path.read_text())):
        assert name in known or f'"{name.removeprefix("LAKEWARDEN_")}"' in known, name


def test_embedding_program_runs() -> None:
    (program,) = [
        block
        for block in blocks("python")
        if "with serve()" in block and "server.client_as" in block and "lakewarden.duckdb" not in block
    ]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_pytest_fixture_works_as_shown(tmp_path: Path) -> None:
    (program,) = [block for block in blocks("python") if block.startswith("def test_")]
    (tmp_path / "test_shown.py").write_text(program)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_duckdb_program_is_denied_and_then_allowed() -> None:
    """The whole of README's program: the denial with its fix, and after the grant the rows."""
    pytest.importorskip("duckdb", reason="the extra `duckdb` is not installed")
    (program,) = [block for block in blocks("python") if "lakewarden.duckdb" in block]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    denial, rows = done.stdout.strip().rsplit("\n", 1)
    assert denial.count("SELECT denied on") == 1
    assert denial.count("GRANT SELECT ON TABLE main.sales.orders TO `bob@example.com`") == 1
    assert rows == "[(7,)]"


def test_commands_to_run_it_work_as_shown(tmp_path: Path) -> None:
    setting_up, using = blocks("sh")[:2]
    *installing, initialize, serve = setting_up.splitlines()
    # What they install is what runs these tests; an extra that is not there would be a command that fails.
    assert installing == ["python3 -m venv .venv && . .venv/bin/activate", "pip install '.[server]'"]
    environment = _environment(tmp_path)
    _shell(initialize, tmp_path, environment)
    server = subprocess.Popen(
        ["sh", "-c", f"exec {serve}"], cwd=tmp_path, env=environment, stderr=subprocess.PIPE
    )
    try:
        until_it_listens(environment["LAKEWARDEN_ENDPOINT"], server)
        output = _shell(using, tmp_path, environment)
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=30)
    assert server.returncode == 0
    assert "DENY SELECT on table main.sales.orders for bob@example.com" in output
    assert "not yet" in output
    assert "reason: SELECT denied on table main.sales.orders: no SELECT on main.sales.orders" in output
    assert "run: lakewarden grant SELECT table main.sales.orders bob@example.com" in output
    assert "ALLOW SELECT on table main.sales.orders for bob@example.com" in output
    assert output.rstrip().endswith("└── orders")


def _environment(directory: Path) -> dict[str, str]:
    """A user's own: nothing but a home and the scripts; a port of this test instead of the default one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(directory),
        "LANG": "C.UTF-8",
        "LAKEWARDEN_LISTEN": address,
        "LAKEWARDEN_ENDPOINT": address,
    }


def _shell(script: str, directory: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
