"""Isolation, bindings, and the end of grants in files: shown, applied once, and taken back only when pruning."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from governance.conftest import Run
from lakewarden import Client
from lakewarden.governance.toml import time_text
from lakewarden_server.testing import ADMIN, WORKSPACE, EmbeddedServer, serve

Write = Callable[..., Path]
BOB = "bob@example.com"
WAIT_SECONDS_MAX = 60.0
NOTHING = "nothing to do\n"
MAIN = '[[catalog]]\nfull_name = "main"\nisolation_mode = "isolated"\n[[schema]]\nfull_name = "main.sales"\n'


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    """A server with a second workspace, `lab`, that the admin works in too."""
    with serve() as server:
        server.client().workspaces.create("lab", metastore="metastore", omit_catalog=True)
        yield server


@pytest.fixture
def admin(server: EmbeddedServer) -> Client:
    """Its admin, who owns the metastore and both workspaces."""
    return server.client()


def binding(workspace: str, more: str = "") -> str:
    return f'[[binding]]\nkind = "catalog"\nobject = "main"\nworkspace = "{workspace}"\n{more}'


def bound(admin: Client) -> dict[str, int]:
    return {
        row.workspace: row.binding_type for row in admin.workspace_bindings.get("catalog", "main").bindings
    }


def test_a_catalog_isolated_from_here_is_made_and_read_from_there(
    run: Run, server: EmbeddedServer, admin: Client, write: Write
) -> None:
    write(MAIN + binding("lab"))
    shown = run(server, "apply governance.toml").out
    assert shown.splitlines()[-4:-1] == [
        "~ update catalog main",
        "+ bind catalog main to lab",
        '    isolation_mode: "OPEN" → "ISOLATED"',
    ]
    assert bound(admin) == {"lab": 1}
    assert run(server, "diff governance.toml").out == NOTHING
    # What is inside is reached from the workspace it is bound to.
    write(MAIN + '[[schema]]\nfull_name = "main.more"\n' + binding("lab"))
    run(server, "apply governance.toml")
    assert admin.with_workspace("lab").schemas.get("main.more").owner == ADMIN
    assert 'isolation_mode = "ISOLATED"' in run(server, "export").out


def test_bindings_change_their_type_and_go_only_when_pruned(
    run: Run, server: EmbeddedServer, admin: Client, write: Write
) -> None:
    write(MAIN + binding("lab") + binding(WORKSPACE))
    run(server, "apply governance.toml")
    whole = run(server, "export").out
    write(whole.replace(binding("lab"), binding("lab", 'binding_type = "READ_ONLY"\n')))
    assert "+ bind catalog main to lab (READ_ONLY)" in run(server, "apply governance.toml").out
    assert bound(admin) == {"lab": 2, WORKSPACE: 1}
    write(whole.replace(binding("lab") + "\n", ""))
    done = run(server, "apply governance.toml")
    assert done.out == NOTHING
    assert "binding of catalog main to lab" in done.err
    assert "- unbind catalog main from lab" in run(server, "apply governance.toml --prune --yes").out
    assert bound(admin) == {WORKSPACE: 1}


def test_a_catalog_nobody_here_can_reach_is_not_taken_for_an_empty_one(
    run: Run, server: EmbeddedServer, admin: Client, write: Write
) -> None:
    write(MAIN + binding("lab"))
    run(server, "apply governance.toml")
    server.token_of("bob")
    admin.workspaces.set_owner("lab", BOB)
    for line in ("export", "diff governance.toml"):
        err = run(server, line, exits=4).err
        assert "catalog main is isolated from workspace workspace, and you are assigned to none" in err
    admin.grants.grant("USER", "workspace", "lab", ADMIN)
    assert run(server, "diff governance.toml").out == NOTHING


def grant(ends: datetime | None = None, reason: str = "") -> str:
    """A grant of a file; with the spelling that the export has, so that texts can be compared."""
    text = f'[[grant]]\nprincipal = "{BOB}"\nprivileges = ["CREATE_CATALOG"]\nkind = "metastore"\n'
    text += 'object = "metastore"\n' + (f"expire_time = {time_text(ends)}\n" if ends else "")
    return text + (f'reason = "{reason}"\n' if reason else "")


def test_the_end_and_the_reason_of_a_grant(
    run: Run, server: EmbeddedServer, admin: Client, write: Write
) -> None:
    server.token_of("bob")
    ends = datetime(2100, 1, 1, tzinfo=UTC)
    write(grant(ends, "audit"))
    shown = run(server, "apply governance.toml").out
    assert (
        f"+ grant CREATE_CATALOG on metastore metastore to {BOB} until 2100-01-01T00:00:00Z because audit"
        in shown
    )
    assert grant(ends, "audit") in run(server, "export").out
    assert run(server, "diff governance.toml").out == NOTHING
    write(grant())
    assert "1 to grant" in run(server, "apply governance.toml").out
    assert grant() in run(server, "export").out


def test_what_is_over_is_neither_granted_nor_exported(
    run: Run, server: EmbeddedServer, admin: Client, write: Write
) -> None:
    server.token_of("bob")
    write(grant(datetime.now(UTC) - timedelta(seconds=1)))
    assert run(server, "apply governance.toml").out == NOTHING
    ends = datetime.now(UTC) + timedelta(seconds=1)
    admin.grants.grant("CREATE CATALOG", "metastore", "metastore", BOB, expire_time=ends)
    give_up = time.monotonic() + WAIT_SECONDS_MAX
    # Nothing but the clock changes what the export says.
    while "CREATE_CATALOG" in run(server, "export").out:
        assert time.monotonic() < give_up, "the grant does not end"
    write(run(server, "export").out)
    assert run(server, "diff governance.toml --prune").out == NOTHING
