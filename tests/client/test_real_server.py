"""The client and every verb of the command line against the real server."""

from __future__ import annotations

import io
import json
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lakewarden import Client, NotFound, PermissionDenied, Unauthenticated
from lakewarden._config import read_profiles
from lakewarden.cli import main
from lakewarden_server.testing import EmbeddedServer

BOB = "bob@example.com"
Run = Callable[..., Any]


@pytest.fixture
def admin(lakewarden_server: EmbeddedServer) -> Client:
    """The account admin, in the embedded workspace."""
    return lakewarden_server.client()


@pytest.fixture
def run(
    lakewarden_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run a command line as the admin, check its exit code, and return its JSON (None when it prints nothing)."""
    monkeypatch.setenv("LAKEWARDEN_ENDPOINT", lakewarden_server.endpoint)
    monkeypatch.setenv("LAKEWARDEN_WORKSPACE", str(lakewarden_server.workspace))

    def run(line: str, *, exits: int = 0, as_user: str = "") -> Any:
        token = lakewarden_server.token_of(as_user) if as_user else lakewarden_server.admin_token
        monkeypatch.setenv("LAKEWARDEN_TOKEN", token)
        code = main([*shlex.split(line), "-o", "json"])
        captured = capsys.readouterr()
        assert code == exits, captured.err
        return json.loads(captured.out) if captured.out else captured.err

    return run


@pytest.fixture
def catalog(admin: Client) -> Iterator[str]:
    """A catalog with one schema and one table, gone after the test."""
    admin.catalogs.create("main", comment="all")
    admin.schemas.create("main.sales")
    admin.tables.create("main.sales.orders", [{"name": "id", "type_text": "BIGINT", "required": True}])
    yield "main"
    for found in list(admin.catalogs.list()):
        admin.catalogs.delete(found.full_name, force=True)


def _names(rows: list[dict[str, Any]], key: str = "full_name") -> list[str]:
    return [row[key] for row in rows]


def test_session_verbs(run: Run) -> None:
    assert run("status")["health"] == "SERVING"
    session = run("whoami")
    assert (session["principal"], session["workspace"]) == ("admin@example.com", "workspace")
    assert "account users" in session["groups"]


@pytest.mark.parametrize("noun", ["catalog", "schema", "table", "volume", "model"])
def test_life_of_a_securable(run: Run, catalog: str, noun: str) -> None:
    parent = {"catalog": "", "schema": "main."}.get(noun, "main.sales.")
    definition = ' --column "id BIGINT"' if noun == "table" else ""
    created = run(f"{noun} create {parent}fresh --comment new --property k=v{definition}")
    assert (created["full_name"], created["comment"], created["properties"]) == (
        f"{parent}fresh",
        "new",
        {"k": "v"},
    )
    run(f"{noun} create {parent}FRESH{definition}", exits=5)
    changed = run(f"{noun} update {parent}fresh --comment old --property l=w --remove-property k")
    assert (changed["comment"], changed["properties"]) == ("old", {"l": "w"})
    assert "ETAG_MISMATCH" in run(
        f"{noun} update {parent}fresh --comment x --etag {created['etag']}", exits=5
    )
    assert run(f"{noun} rename {parent}fresh renamed")["full_name"] == f"{parent}renamed"
    assert f"{parent}renamed" in _names(run(f"{noun} list {parent.rstrip('.')}"))
    run(f"group create owners-of-{noun}")
    assert run(f"{noun} owner {parent}renamed owners-of-{noun}")["owner"] == f"owners-of-{noun}"
    run(f"{noun} delete {parent}renamed --yes")
    run(f"{noun} get {parent}renamed", exits=3)


def test_versions_and_aliases_of_a_model(run: Run, catalog: str) -> None:
    run("model create main.sales.churn")
    made = run(
        "model version create main.sales.churn --source s3://m/1 --run-id r1 --pending --comment first"
    )
    assert (made["version"], made["status"], made["run_id"]) == (1, "PENDING_REGISTRATION", "r1")
    assert run("model version set-status main.sales.churn 1 ready")["status"] == "READY"
    assert run("model version update main.sales.churn 1 --comment better")["comment"] == "better"
    run("model version create main.sales.churn")
    assert run("model alias set main.sales.churn champion 2")["aliases"] == ["champion"]
    assert run("model version get main.sales.churn champion")["version"] == 2
    assert run("model get main.sales.churn")["aliases"] == [{"alias": "champion", "version": 2}]
    run("model alias delete main.sales.churn champion")
    run("model version get main.sales.churn champion", exits=3)
    run("model version delete main.sales.churn 1 --yes")
    assert _names(run("model version list main.sales.churn"), "version") == [2]


def test_deleted_table_is_restored_by_name_or_id(run: Run, catalog: str) -> None:
    run("table delete main.sales.orders --yes")
    run('table create main.sales.orders --column "id INT"')
    (deleted,) = run("table list-deleted main.sales")
    assert deleted["full_name"] == "main.sales.orders"
    assert "NAME_TAKEN" in run("table undelete main.sales.orders", exits=5)
    restored = run(f"table undelete main.sales.orders --id {deleted['id']} --new-name before")
    assert (restored["id"], restored["full_name"]) == (deleted["id"], "main.sales.before")
    run("table delete main.sales.orders --yes")
    assert run("table undelete main.sales.orders")["columns"][0]["type_text"] == "INT"
    run("table undelete main.sales.orders", exits=3)


def test_life_of_a_metastore_and_a_workspace(run: Run) -> None:
    assert run("metastore create eu --region eu-central-1")["region"] == "eu-central-1"
    assert run("metastore update eu --comment c")["comment"] == "c"
    assert run("metastore rename eu europe")["full_name"] == "europe"
    assert run("metastore owner europe admin@example.com")["owner"] == "admin@example.com"
    assert run("metastore get europe")["region"] == "eu-central-1"
    assert run("workspace create lab")["metastore"] == ""
    assert run("workspace attach lab europe")["metastore"] == "europe"
    assert run("workspace detach lab --yes")["metastore"] == ""
    assert run("workspace update lab --comment c")["comment"] == "c"
    assert run("workspace rename lab laboratory")["full_name"] == "laboratory"
    assert run("workspace owner laboratory admin@example.com")["owner"] == "admin@example.com"
    assert run("workspace get laboratory")["comment"] == "c"
    assert "laboratory" in _names(run("workspace list"))
    run("workspace delete laboratory --yes")
    run("metastore delete europe --yes")
    assert "europe" not in _names(run("metastore list"))


def test_members_of_a_workspace(run: Run, lakewarden_server: EmbeddedServer) -> None:
    lakewarden_server.token_of("carl")
    held = run("workspace member add workspace carl@example.com --role USER --role ADMIN")
    assert [(row["principal"], row["privileges"]) for row in held] == [
        ("carl@example.com", ["ADMIN", "USER"])
    ]
    assert "carl@example.com" in _names(run("workspace member list workspace"), "principal")
    run("workspace member remove workspace carl@example.com")
    assert "carl@example.com" not in _names(run("workspace member list workspace"), "principal")


def test_namespace_verbs(run: Run, catalog: str) -> None:
    assert _names(run("ls")) == ["main"]
    assert _names(run("ls main")) == ["main.default", "main.sales"]
    assert _names(run("ls main.sales")) == _names(run("ls main.sales.orders")) == ["main.sales.orders"]
    (main_branch,) = run("tree")
    assert _names(main_branch["children"]) == ["main.default", "main.sales"]
    assert _names(main_branch["children"][1]["children"]) == ["main.sales.orders"]
    assert run("ls", as_user="stranger") == []


def test_namespace_shows_every_kind_of_object(
    run: Run, catalog: str, admin: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    admin.volumes.create("main.sales.orders")
    admin.models.create("main.sales.churn")
    admin.views.create("main.sales.recent", "SELECT id FROM main.sales.orders")
    admin.functions.create("main.sales.one", (), "INTEGER", "1")
    kinds = [
        ("main.sales.orders", "TABLE"),
        ("main.sales.recent", "VIEW"),
        ("main.sales.orders", "VOLUME"),
        ("main.sales.one", "FUNCTION"),
        ("main.sales.churn", "REGISTERED_MODEL"),
    ]
    assert [(row["full_name"], row["securable_type"]) for row in run("ls main.sales")] == kinds
    assert [row["securable_type"] for row in run("ls main.sales.orders")] == ["TABLE", "VOLUME"]
    assert _names(run("ls main.sales.churn")) == ["main.sales.churn"]
    run("ls main.sales.nothing", exits=3)
    assert main(["tree", "main.sales"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "├── orders",
        "├── recent (view)",
        "├── orders (volume)",
        "├── one (function)",
        "└── churn (registered model)",
    ]


def test_grants_decide_what_check_answers(run: Run, catalog: str, lakewarden_server: EmbeddedServer) -> None:
    lakewarden_server.token_of("bob")
    question = f"check {BOB} SELECT table main.sales.orders"
    run(question, as_user="bob", exits=1)
    run(f"grant 'USE CATALOG' catalog main {BOB}")
    run(f"grant use_schema,SELECT schema main.sales {BOB}")
    assert run(question, as_user="bob")["allowed"] is True
    (held,) = run(f"grants list schema main.sales --principal {BOB}")
    assert (held["principal"], held["privileges"]) == (BOB, ["SELECT", "USE_SCHEMA"])
    document = json.dumps({"changes": [{"principal": BOB, "add": ["MODIFY"], "remove": ["SELECT"]}]})
    run(f"grants update schema main.sales --json {shlex.quote(document)}")
    run(f"grant BROWSE catalog main {BOB}")
    assert run(question, as_user="bob", exits=1)["fixes"]
    assert run(f"revoke MODIFY,'USE SCHEMA' schema main.sales {BOB}") in (
        [],
        [{"principal": BOB, "privileges": []}],
    )


def test_end_and_reason_of_grants_are_shown_and_losing_an_end_is_told(
    run: Run, catalog: str, lakewarden_server: EmbeddedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    lakewarden_server.token_of("bob")

    def shown(line: str) -> tuple[list[str], str]:
        assert main(shlex.split(line)) == 0
        captured = capsys.readouterr()
        return captured.out.splitlines(), captured.err

    run("grants list catalog main")
    assert shown(f"grant BROWSE catalog main {BOB}") == (
        ["PRINCIPAL        PRIVILEGES", f"{BOB}  BROWSE"],
        "",
    )
    out, err = shown(f"grant 'use catalog' catalog main {BOB} --for 30d --reason 'an audit'")
    assert err == ""
    assert out[0].split() == ["PRINCIPAL", "PRIVILEGES", "EXPIRES", "REASON"]
    assert [line.split()[:2] for line in out[1:]] == [[BOB, "BROWSE"], [BOB, "USE_CATALOG"]]
    assert out[2].endswith("an audit")
    assert shown("grants list catalog main")[0] == out
    assert shown("grants list catalog main -o name")[0] == [BOB]
    _, err = shown(f"grant 'use catalog,BROWSE' catalog main {BOB}")
    assert err.startswith("Note: USE_CATALOG was to end at 20")
    assert len(err.splitlines()) == 1
    assert shown(f"grant 'use catalog' catalog main {BOB}")[1] == ""


def test_login_only_warns_of_a_workspace_that_is_still_to_be_made(
    lakewarden_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:  # fmt: skip
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("LAKEWARDEN_WORKSPACE", "later")
    monkeypatch.delenv("LAKEWARDEN_TOKEN", raising=False)
    tokens = {lakewarden_server.admin_token: "", lakewarden_server.token_of("bob"): "later"}
    for token, stored in tokens.items():
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{token}\n"))
        code = main(["login", "--token-stdin", "--endpoint", lakewarden_server.endpoint])
        err = capsys.readouterr().err
        assert code == 0, err
        assert "logged in" in err
        assert "Warning: " in err
        assert "later" in err
        # Only an admin is told that there is none; to Bob it is like one he is not assigned to.
        assert read_profiles().profiles["default"].workspace == stored
    assert main(["workspace", "list", "--workspace", ""]) == 0
    assert main(["whoami", "--token", "lwpat_abc"]) == 4
    assert "cut short" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "exit_code", "reason"),
    [
        ("grant FLY table main.sales.orders bob@example.com", 2, "PRIVILEGE_UNKNOWN"),
        ("grant 'CREATE TABLE' table main.sales.orders bob@example.com", 2, "PRIVILEGE_NOT_APPLICABLE"),
        ("grant SELECT table main.sales.orders nobody@example.com", 2, "PRINCIPAL_UNKNOWN"),
        ("grant SELECT table main.sales.nothing bob@example.com", 3, "OBJECT_NOT_FOUND"),
        ("catalog create a*b", 2, "NAME_INVALID"),
        ("catalog delete main --yes", 5, "NOT_EMPTY"),
        ("catalog create MAIN", 5, "NAME_TAKEN"),
        ("whoami --workspace nowhere", 4, "WORKSPACE_DENIED"),
        ("whoami --token garbage", 4, "TOKEN_MALFORMED"),
    ],
)
def test_refusals_of_the_server_keep_their_reason(
    run: Run, catalog: str, lakewarden_server: EmbeddedServer, line: str, exit_code: int, reason: str
) -> None:
    lakewarden_server.token_of("bob")
    assert f"/{reason}]" in run(line, exits=exit_code)


def test_life_of_a_user(run: Run, lakewarden_server: EmbeddedServer) -> None:
    assert run("user create dora@example.com --display-name Dora")["active"] is True
    assert run("user update dora@example.com --display-name 'Dora D.'")["display_name"] == "Dora D."
    assert run("whoami", as_user="dora")["principal"] == "dora@example.com"
    assert run("user disable dora@example.com")["active"] is False
    assert "TOKEN_INVALID" in run("whoami", as_user="dora", exits=4)
    assert run("user enable dora@example.com")["active"] is True
    assert "TOKEN_INVALID" in run("whoami", as_user="dora", exits=4)
    assert "dora@example.com" in _names(run("user list"), "name")
    run("user delete dora@example.com --yes")
    run("user get dora@example.com", exits=3)


def test_life_of_a_service_principal(run: Run) -> None:
    name = run("service-principal create spark")["name"]
    assert run(f"service-principal get {name}")["display_name"] == "spark"
    assert run(f"service-principal update {name} --display-name s2")["display_name"] == "s2"
    assert run(f"service-principal disable {name}")["active"] is False
    assert run(f"service-principal enable {name}")["active"] is True
    token = run(f"token create --principal {name} --lifetime 1h")
    assert token["principal"] == name
    assert _names(run(f"token list --principal {name}"), "id") == [token["id"]]
    assert name in _names(run("service-principal list"), "name")
    run(f"service-principal delete {name} --yes")


def test_life_of_a_group(run: Run, lakewarden_server: EmbeddedServer) -> None:
    lakewarden_server.token_of("bob")
    run("group create analysts")
    run("group create interns")
    run(f"group add analysts {BOB} interns")
    assert [(row["name"], row["kind"]) for row in run("group members analysts")] == [
        (BOB, "USER"),
        ("interns", "GROUP"),
    ]
    assert "GROUP_CYCLE" in run("group add interns analysts", exits=5)
    run(f"group remove analysts {BOB}")
    assert _names(run("group members analysts"), "name") == ["interns"]
    assert run("group rename analysts data-analysts")["name"] == "data-analysts"
    assert {"data-analysts", "interns"} <= set(_names(run("group list"), "name"))
    run("group delete data-analysts --yes")
    run("group get data-analysts", exits=3)


def test_revoked_token_is_refused_on_the_next_call(admin: Client) -> None:
    made = admin.tokens.create(lifetime_seconds=600)
    other = admin.as_token(made.token_value)
    assert other.session.get().principal == "admin@example.com"
    admin.tokens.delete(made.token.id)
    with pytest.raises(Unauthenticated) as caught:
        other.session.get()
    assert caught.value.reason == "TOKEN_INVALID"
    assert caught.value.request_id


def test_lists_page_through_the_real_server(admin: Client, catalog: str) -> None:
    for number in range(7):
        admin.schemas.create(f"main.s{number}")
    names = [schema.full_name for schema in admin.schemas.list("main", page_size=2)]
    assert names == sorted(names)
    assert len(names) == 9
    assert len(list(admin.schemas.list("main", page_size=2, limit=5))) == 5


def test_invisible_and_absent_objects_look_alike_to_a_stranger(
    lakewarden_server: EmbeddedServer, admin: Client, catalog: str
) -> None:
    stranger = lakewarden_server.client_as("stranger")
    with pytest.raises(PermissionDenied) as hidden:
        stranger.catalogs.get("main")
    with pytest.raises(PermissionDenied) as absent:
        stranger.catalogs.get("other")
    assert hidden.value.message.replace("main", "other") == absent.value.message
    with pytest.raises(NotFound):
        admin.catalogs.get("other")


def test_revision_moves_with_a_write_and_can_be_asked_for(admin: Client, catalog: str) -> None:
    admin.session.get()
    before = admin.revision
    admin.catalogs.update("main", comment="changed")
    assert admin.revision != before
    assert admin.at_least_revision(admin.revision).catalogs.get("main").comment == "changed"


def test_plan_of_several_tables(lakewarden_server: EmbeddedServer, admin: Client, catalog: str) -> None:
    from types import SimpleNamespace

    bob = lakewarden_server.client_as("bob")
    admin.grants.grant("USE CATALOG", "catalog", "main", BOB)
    admin.grants.grant("USE SCHEMA", "schema", "main.sales", BOB)
    admin.grants.grant("SELECT", "table", "main.sales.orders", BOB)
    read = SimpleNamespace(full_name="main.sales.orders", privilege="SELECT", securable_type="TABLE")
    write = SimpleNamespace(full_name="main.sales.orders", privilege="MODIFY", securable_type="TABLE")
    assert bob.authorize_plan([read])
    answer = bob.authorize_plan([read, write])
    assert not answer
    assert [(denial.full_name, denial.privilege) for denial in answer.denials] == [
        ("main.sales.orders", "MODIFY")
    ]
    assert [bool(verdict) for verdict in bob.authorization.batch_check([read, write])] == [True, False]
