"""What `diff` shows and `apply` does: exactly the plan, nothing twice, nothing taken away unless asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from governance.conftest import Run
from lakewarden import Aborted, Client, NotFound
from lakewarden.governance.applying import Applier
from lakewarden.governance.comparing import compare
from lakewarden.governance.documents import Document
from lakewarden.governance.reading import read_files
from lakewarden_server.testing import ADMIN, EmbeddedServer, serve

Write = Callable[..., Path]
BOB, CARL = "bob@example.com", "carl@example.com"
NOTHING = "nothing to do\n"
SALES = (
    '[[catalog]]\nfull_name = "main"\ncomment = "all"\n[[schema]]\nfull_name = "main.sales"\n'
    f'owner = "{BOB}"\n[[user]]\nname = "{BOB}"\n'
    f'[[grant]]\nprincipal = "{BOB}"\nprivileges = ["use catalog"]\nkind = "catalog"\nobject = "main"\n'
)


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    """A server of this test's own."""
    with serve() as server:
        yield server


@pytest.fixture
def admin(server: EmbeddedServer) -> Client:
    """Its admin, who owns the metastore."""
    return server.client()


def document_of(path: Path) -> Document:
    document, problems = read_files([path])
    assert problems == []
    return document


def exported(run: Run, server: EmbeddedServer) -> str:
    return run(server, "export").out


def test_diff_shows_what_apply_then_does(
    run: Run, server: EmbeddedServer, admin: Client, write: Write
) -> None:
    write(SALES)
    shown = run(server, "diff governance.toml", exits=1).out
    assert shown.splitlines() == [
        "+ create user bob@example.com",
        "+ create catalog main",
        '    comment: "all"',
        "+ create schema main.sales",
        "+ grant USE_CATALOG on catalog main to bob@example.com",
        "~ update schema main.sales",
        f'    owner: "{ADMIN}" → "{BOB}"',
        "5 steps: 3 to create, 1 to update, 0 to delete, 1 to grant, 0 to revoke",
    ]
    assert run(server, "apply governance.toml --dry-run").out == shown
    assert list(admin.catalogs.list()) == []
    done = run(server, "apply governance.toml")
    assert done.out == shown
    assert done.err.splitlines()[0] == "[1/5] create user bob@example.com"
    assert done.err.splitlines()[-1] == "applied 5 steps"
    assert admin.schemas.get("main.sales").owner == BOB
    assert run(server, "diff governance.toml").out == run(server, "apply governance.toml").out == NOTHING


def test_a_change_is_shown_before_and_after(
    run: Run, server: EmbeddedServer, admin: Client, write: Write
) -> None:
    write(SALES)
    run(server, "apply governance.toml")
    admin.catalogs.update("main", comment="else", properties={"a": "b"})
    admin.schemas.set_owner("main.sales", ADMIN)
    admin.users.update(BOB, display_name="Bob")
    assert run(server, "diff governance.toml", exits=1).out.splitlines()[:-1] == [
        "~ update user bob@example.com",
        '    display_name: "Bob" → ""',
        "~ update catalog main",
        '    comment: "else" → "all"',
        '    properties: {"a": "b"} → {}',
        "~ update schema main.sales",
        f'    owner: "{ADMIN}" → "{BOB}"',
    ]
    run(server, "apply governance.toml")
    assert admin.catalogs.get("main").comment == "all"
    assert run(server, "diff governance.toml").out == NOTHING


def test_an_owner_left_out_is_left_alone(
    run: Run, server: EmbeddedServer, admin: Client, write: Write
) -> None:
    admin.groups.create("stewards")
    admin.catalogs.create("main")
    admin.catalogs.set_owner("main", "stewards")
    write('[[catalog]]\nfull_name = "main"\n')
    assert run(server, "diff governance.toml").out == NOTHING


def test_names_are_compared_as_the_server_does_and_take_the_spelling_of_the_file(
    run: Run, server: EmbeddedServer, admin: Client, write: Write
) -> None:
    write(SALES)
    run(server, "apply governance.toml")
    write(SALES.replace("main", "Main").replace("main.sales", "MAIN.Sales").replace(BOB, BOB.upper()))
    shown = run(server, "apply governance.toml").out
    assert shown.splitlines()[:-1] == ["~ update catalog main", '    name: "main" → "Main"']
    assert admin.catalogs.get("main").name == "Main"
    assert run(server, "diff governance.toml").out == NOTHING


def test_nothing_is_taken_away_without_prune(
    run: Run, server: EmbeddedServer, admin: Client, write: Write
) -> None:
    admin.users.create(BOB)
    admin.groups.create("readers")
    kept = write(exported(run, server), "kept.toml")
    admin.groups.update_members("readers", add=[BOB])
    admin.users.create(CARL)
    admin.catalogs.create("main")
    admin.grants.grant("CREATE CATALOG", "metastore", "metastore", BOB)
    before = exported(run, server)
    done = run(server, "apply kept.toml")
    assert done.out == NOTHING
    for left in (f"{BOB} in group readers", f"user {CARL}", "catalog main", "schema main.default",
                 f"CREATE_CATALOG on metastore metastore for {BOB}"):  # fmt: skip
        assert left in done.err
    assert exported(run, server) == before
    refused = run(server, "apply kept.toml --prune", exits=2)
    assert "say --yes" in refused.err
    assert exported(run, server) == before
    run(server, "apply kept.toml --prune --yes")
    assert exported(run, server) == kept.read_text()


def test_prune_keeps_who_is_asking_and_what_the_server_keeps(
    run: Run, server: EmbeddedServer, write: Write
) -> None:
    whole = exported(run, server)
    for block in (f'[[user]]\nname = "{ADMIN}"\n\n',
                  f'[[grant]]\nprincipal = "{ADMIN}"\nprivileges = ["ADMIN"]\nkind = "account"\nobject = "account"\n'):  # fmt: skip
        assert block in whole
        whole = whole.replace(block, "")
    write(whole.replace(f'owner = "{ADMIN}"\n', ""))
    done = run(server, "apply governance.toml --prune --yes")
    assert done.out == NOTHING
    assert f"kept: user {ADMIN}, who is asking for this" in done.err
    assert f"kept: ADMIN on account account for {ADMIN}, who is asking for this" in done.err


def test_disabling_oneself_is_refused(run: Run, server: EmbeddedServer, write: Write) -> None:
    write(f'[[user]]\nname = "{ADMIN}"\nactive = false\n')
    assert "this would disable admin@example.com" in run(server, "apply governance.toml", exits=5).err


def test_prune_needs_a_scope(run: Run, server: EmbeddedServer, write: Write) -> None:
    write(SALES)
    assert "without it nothing can be pruned" in run(server, "apply governance.toml --prune", exits=5).err


def test_a_scope_of_one_catalog_leaves_all_else_alone(
    run: Run, server: EmbeddedServer, admin: Client, write: Write
) -> None:
    server.client_as("bob")
    for catalog in ("main", "lab"):
        admin.catalogs.create(catalog)
        admin.catalogs.set_owner(catalog, BOB)
    # The owner of one catalog may export and apply it.
    kept = run(server, "export --catalog MAIN", as_user="bob").out
    assert '[scope]\naccount = false\nmetastore = "metastore"\ncatalogs = ["main"]\n' in kept
    assert "lab" not in kept
    write(kept)
    for catalog in ("main", "lab"):
        server.client_as("bob").schemas.create(f"{catalog}.extra")
    shown = run(server, "apply governance.toml --prune --yes", as_user="bob").out
    assert shown.splitlines()[:-1] == ["- delete schema main.extra"]
    assert [schema.name for schema in admin.schemas.list("lab")] == ["default", "extra"]


def test_a_grant_the_caller_needs_comes_before_what_it_creates_there(
    run: Run, server: EmbeddedServer, admin: Client, write: Write
) -> None:
    """The owner of a metastore manages everything in it, but creates nothing in what belongs to others."""
    server.client_as("bob")
    admin.catalogs.create("main")
    admin.catalogs.set_owner("main", BOB)
    schema = '[[schema]]\nfull_name = "main.extra"\n'
    write(schema)
    assert "no CREATE SCHEMA on main" in run(server, "apply governance.toml", exits=4).err
    write(
        f'[[grant]]\nprincipal = "{ADMIN}"\nprivileges = ["USE CATALOG", "CREATE SCHEMA"]\nkind = "catalog"\n'
        f'object = "main"\n{schema}'
    )
    run(server, "apply governance.toml")
    assert admin.schemas.get("main.extra").owner == ADMIN


@pytest.mark.parametrize("line", ["export", "export --catalog main", "diff governance.toml --prune"])
def test_who_sees_only_part_is_refused(
    run: Run, server: EmbeddedServer, admin: Client, write: Write, line: str
) -> None:
    admin.catalogs.create("main")
    write(exported(run, server))
    server.client_as("bob")
    admin.grants.grant(["USE CATALOG", "BROWSE"], "catalog", "main", BOB)
    assert "you would see only part of" in run(server, line, as_user="bob", exits=4).err
    admin.grants.grant("MANAGE", "catalog", "main", BOB)
    run(server, line, as_user="bob", exits=0 if "--catalog" in line else 4)


def test_the_wrong_metastore_is_refused(
    run: Run, server: EmbeddedServer, admin: Client, write: Write
) -> None:
    admin.metastores.create("us")
    admin.workspaces.create("lab", metastore="us")
    admin.workspaces.create("nowhere")
    write(exported(run, server))
    for workspace in ("lab", "nowhere"):
        err = run(server, "apply governance.toml", workspace=workspace, exits=5).err
        assert "name another workspace, or attach it first" in err
    assert "name a workspace" in run(server, "apply governance.toml", workspace="", exits=5).err
    assert "WORKSPACE_DENIED" in run(server, "apply governance.toml", workspace="absent", exits=4).err


def test_what_cannot_change_is_refused_before_anything_is_done(
    run: Run, server: EmbeddedServer, admin: Client, write: Write
) -> None:
    admin.catalogs.create("main")
    admin.tables.create("main.default.a", [{"name": "id", "type_text": "INT"}])
    row = '[[table]]\nfull_name = "main.default.a"\ndata_source_format = "csv"\n[[user]]\nname = "x@x.io"\n'
    write(row)
    err = run(server, "apply governance.toml", exits=5).err
    assert (
        "governance.toml:2: data_source_format of table main.default.a cannot change from 'DELTA' to 'CSV'"
        in err
    )
    with pytest.raises(NotFound):
        admin.users.get("x@x.io")


def test_it_stops_at_the_first_failure_and_goes_on_from_there(
    run: Run, server: EmbeddedServer, admin: Client, write: Write
) -> None:
    write(
        SALES
        + '[[schema]]\nfull_name = "main.b"\ncomment = "'
        + "x" * 5000
        + '"\n[[schema]]\nfull_name = "main.c"\n'
    )
    err = run(server, "apply governance.toml", exits=2).err
    assert "[3/7] create schema main.b" in err
    assert "Step 3 of 7 failed: create schema main.b. The 2 before it are done." in err
    assert [schema.name for schema in admin.schemas.list("main")] == ["default"]
    write(SALES + '[[schema]]\nfull_name = "main.b"\n[[schema]]\nfull_name = "main.c"\n')
    assert run(server, "apply governance.toml").out.count("+ create") == 3
    assert run(server, "apply governance.toml").out == NOTHING


@pytest.mark.parametrize("noun", ["users", "catalogs", "schemas"])
def test_a_change_made_meanwhile_is_noticed(
    server: EmbeddedServer, admin: Client, write: Write, noun: str
) -> None:
    wanted = document_of(write(SALES))
    Applier(admin, compare(admin, wanted, prune=False)).run(lambda *_: None)
    name, change = {
        "users": (BOB, "display_name"), "catalogs": ("main", "comment"), "schemas": ("main.sales", "comment")
    }[noun]  # fmt: skip
    getattr(admin, noun).update(name, **{change: "drifted"})
    comparison = compare(admin, wanted, prune=False)
    getattr(admin, noun).update(name, **{change: "somebody else's"})
    with pytest.raises(Aborted) as caught:
        Applier(admin, comparison).run(lambda *_: None)
    assert caught.value.reason == "ETAG_MISMATCH"
    assert getattr(getattr(admin, noun).get(name), change) == "somebody else's"


def test_an_object_that_changes_twice_is_not_taken_for_somebody_elses(
    run: Run, server: EmbeddedServer, admin: Client, write: Write
) -> None:
    write(SALES)
    run(server, "apply governance.toml")
    admin.schemas.update("main.sales", comment="drifted")
    admin.schemas.set_owner("main.sales", ADMIN)
    assert run(server, "apply governance.toml").out.count("~ update schema main.sales") == 2
    assert run(server, "diff governance.toml").out == NOTHING


def test_revoking_all_privileges_leaves_what_the_file_keeps(
    run: Run, server: EmbeddedServer, admin: Client, write: Write
) -> None:
    admin.users.create(BOB)
    admin.catalogs.create("main")
    admin.grants.grant(["SELECT", "USE CATALOG"], "catalog", "main", BOB)
    kept = write(exported(run, server))
    admin.grants.grant(["ALL PRIVILEGES", "MODIFY"], "catalog", "main", BOB)
    shown = run(server, "apply governance.toml --prune --yes").out
    assert "- revoke ALL_PRIVILEGES, MODIFY on catalog main from bob@example.com" in shown
    assert exported(run, server) == kept.read_text()


def test_a_nesting_that_is_turned_around_is_no_cycle_on_the_way(
    run: Run, server: EmbeddedServer, admin: Client, write: Write
) -> None:
    admin.groups.create("a")
    admin.groups.create("b")
    admin.groups.update_members("b", add=["a"])
    kept = write(exported(run, server))
    admin.groups.update_members("b", remove=["a"])
    admin.groups.update_members("a", add=["b"])
    run(server, "apply governance.toml --prune --yes")
    assert exported(run, server) == kept.read_text()


def test_service_principals_need_names_of_their_own(run: Run, server: EmbeddedServer, admin: Client) -> None:
    ids = sorted(admin.service_principals.create("spark").name for _ in range(2))
    err = run(server, "export", exits=5).err
    assert f"{ids[0]}, {ids[1]} have none or share one" in err
    assert f"lakewarden service-principal update {ids[0]} --display-name NAME" in err
    admin.service_principals.update(ids[0], display_name="other")
    run(server, "export")


def test_a_service_principal_that_is_nowhere_is_named(run: Run, server: EmbeddedServer, write: Write) -> None:
    write('[[group]]\nname = "g"\nmembers = ["service_principal/spark"]\n')
    assert "there is no service principal 'spark'" in run(server, "apply governance.toml", exits=5).err
    write(
        '[[group]]\nname = "g"\nmembers = ["service_principal/spark"]\n[[service_principal]]\ndisplay_name = "spark"\n'
    )
    run(server, "apply governance.toml")
    assert run(server, "diff governance.toml").out == NOTHING


def test_a_plan_as_records(run: Run, server: EmbeddedServer, write: Write) -> None:
    write(SALES)
    rows = [
        json.loads(line) for line in run(server, "diff governance.toml -o jsonl", exits=1).out.splitlines()
    ]
    assert [(row["action"], row["kind"], row["name"]) for row in rows] == [
        ("create", "user", BOB),
        ("create", "catalog", "main"),
        ("create", "schema", "main.sales"),
        ("grant", "catalog", "main"),
        ("update", "schema", "main.sales"),
    ]
    assert rows[3]["granted"] == ["USE_CATALOG"]
    assert rows[4]["changes"] == [{"field": "owner", "before": ADMIN, "after": BOB}]


def test_a_wrong_file_changes_nothing(run: Run, server: EmbeddedServer, admin: Client, write: Write) -> None:
    write(SALES + '[[user]]\nname = "nobody"\n')
    for line in ("apply governance.toml --yes", "diff governance.toml", "test governance.toml"):
        assert "governance.toml:15: 'nobody' is not an email" in run(server, line, exits=2).err
    assert list(admin.catalogs.list()) == []
