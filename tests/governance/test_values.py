"""Values of their own kinds: secrets that are named and not held, and definitions in the order of what they name."""

from __future__ import annotations

from pathlib import Path

import pytest

from governance.conftest import Run
from lakewarden import FailedPrecondition
from lakewarden.governance.definitions import in_order
from lakewarden.governance.documents import Document, Row
from lakewarden.governance.planning import plan
from lakewarden.governance.secrets import placeholder, resolve, resolved
from lakewarden_server.testing import serve


def view(name: str, definition: str) -> Row:
    return Row("view", name, {"definition": definition})


def test_what_is_named_comes_first() -> None:
    rows = [
        view("main.a.one", "SELECT * FROM two JOIN b.three"),
        view("main.a.two", 'SELECT * FROM "main"."b"."Three"'),
        view("main.b.three", "SELECT main.b.four(x) FROM other.b.three"),
        Row("function", "main.b.four", {"definition": "x + 1"}),
    ]
    names = [row.name for row in in_order(rows)]
    assert names == ["main.b.four", "main.b.three", "main.a.two", "main.a.one"]
    assert [row.name for row in in_order(reversed(rows))] == names


def test_a_circle_that_is_none_loses_no_row() -> None:
    rows = [view("m.s.a", "SELECT 1 AS b"), view("m.s.b", "SELECT 1 AS a")]
    assert {row.name for row in in_order(rows)} == {"m.s.a", "m.s.b"}


def test_a_long_membership_takes_several_calls() -> None:
    members = tuple(f"u{number:04}@example.com" for number in range(2_001))
    wanted = Document()
    wanted.add(Row("group", "all", {"members": members}))
    made = plan(wanted, Document(), caller="admin@example.com", workspace="", prune=False)
    assert [step.action for step in made.steps] == ["create", "membership", "membership", "membership"]
    assert [name for step in made.steps for name in step.added] == list(members)
    assert max(len(step.added) for step in made.steps) == 1_000


def test_placeholders_are_stable_and_never_the_same() -> None:
    assert placeholder("connection", "crm", "password") == {"env": "SECRET_CONNECTION_CRM_PASSWORD"}
    names = ["a-b", "a_b", "a b", "ä_b", "A_B"]
    found = [placeholder("connection", name)["env"] for name in names]
    # Names that differ only in case are one name.
    assert len(set(found)) == len(names) - 1
    assert all(name.replace("_", "").isalnum() and name.isascii() and name.isupper() for name in found)


def test_a_secret_comes_from_where_the_file_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOME_SECRET", "hush")
    (tmp_path / "key").write_text("line\nline\n")
    assert resolve({"env": "SOME_SECRET"}) == "hush"
    assert resolved({"a": {"env": "SOME_SECRET"}, "b": {"file": str(tmp_path / "key")}}) == {
        "a": "hush",
        "b": "line\nline",
    }


def test_a_secret_that_is_not_there_is_not_guessed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EMPTY_SECRET", "")
    for name in ("EMPTY_SECRET", "ABSENT_SECRET"):
        with pytest.raises(FailedPrecondition, match=name):
            resolve({"env": name})
    with pytest.raises(FailedPrecondition, match="cannot read the secret"):
        resolve({"file": str(tmp_path / "absent")})


def test_deleted_owner_and_its_grants_are_in_no_file(run: Run) -> None:
    with serve() as server:
        admin = server.client()
        server.token_of("gone@example.com")
        admin.catalogs.create("left")
        admin.grants.grant("BROWSE", "catalog", "left", "gone@example.com")
        admin.catalogs.set_owner("left", "gone@example.com")
        identity = admin.users.get("gone@example.com").id
        assert "gone@example.com" in run(server, "export").out
        admin.users.delete("gone@example.com")
        run(server, "export --output governance.toml")
        text = Path("governance.toml").read_text()
        assert identity not in text
        assert "gone@example.com" not in text
        assert run(server, "diff governance.toml --prune").out == "nothing to do\n"
