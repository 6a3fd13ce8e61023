"""What the client may import: nothing of the server, and nothing heavy for `--help`."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Not grpc_health and grpc_reflection: grpc itself imports them wherever they are installed.
FORBIDDEN = (
    "lakewarden_server",
    "lakewarden_policy",
    "sqlalchemy",
    "alembic",
    "casbin",
    "pyarrow",
    "sqlglot",
    "duckdb",
)


def _modules_after(code: str) -> set[str]:
    """Names of all modules loaded in a fresh interpreter that runs the code."""
    program = f"import sys\n{code}\nprint('MODULES', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("MODULES")[2].split())


CLIENT = "from lakewarden import Client\nclient = Client('localhost:1', '', '')\nclient.catalogs, client.grants, client.tokens\n"
EVERY_COMMAND = (
    "import lakewarden.cli._application as a\ncontext = a.root.make_context('x', [], resilient_parsing=True)\n"
    "[a.root.get_command(context, name) for name in a.COMMANDS]\n"
)


@pytest.mark.parametrize("code", [CLIENT, EVERY_COMMAND], ids=["client", "every command"])
def test_client_imports_nothing_of_the_server(code: str) -> None:
    loaded = _modules_after(code)
    assert "lakewarden" in loaded
    assert not {name for name in loaded if name.split(".")[0] in FORBIDDEN}


@pytest.mark.parametrize(
    "arguments", [["--help"], ["catalog", "--help"], ["table", "create", "--help"], ["version"]]
)
def test_help_imports_neither_grpc_nor_stubs(arguments: list[str]) -> None:
    loaded = _modules_after(f"from lakewarden.cli import main\nassert main({arguments!r}) == 0")
    assert "click" in loaded
    assert not {
        name
        for name in loaded
        if name.split(".")[0] in ("grpc", "google") or name.startswith("lakewarden.v1")
    }


def test_top_level_help_imports_no_command() -> None:
    loaded = _modules_after("from lakewarden.cli import main\nmain(['--help'])")
    commands = {
        name
        for name in loaded
        if name.startswith("lakewarden.cli.") and not name.split(".")[-1].startswith("_")
    }
    assert not commands


def test_public_names_can_be_imported_and_wrong_ones_not() -> None:
    import lakewarden

    for name in lakewarden.__all__:
        assert getattr(lakewarden, name)
        assert name in dir(lakewarden)
    with pytest.raises(AttributeError):
        lakewarden.Clyent  # noqa: B018 - the attribute access is what is tested
