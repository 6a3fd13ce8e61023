"""What `validate` finds without a server: every problem, each with its line and the nearest right word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from governance.conftest import Run

Write = Callable[..., Path]

SCOPE = '[scope]\naccount = true\nmetastore = "eu"\n'
EU = '[[metastore]]\nfull_name = "eu"\n'
MAIN = '[[catalog]]\nfull_name = "main"\n'
GRANT = '[[grant]]\nprincipal = "{0}"\nprivileges = ["{1}"]\nkind = "{2}"\nobject = "{3}"\n'
ASSERT = (
    '[[assert]]\nprincipal = "a@x.io"\nprivilege = "{0}"\nkind = "{1}"\nobject = "{2}"\nexpected = "{3}"\n'
)

BINDING = '[[binding]]\nkind = "{0}"\nobject = "{1}"\nworkspace = "{2}"\n'


def group(name: str, *members: str) -> str:
    return f'[[group]]\nname = "{name}"\nmembers = [{", ".join(repr(member) for member in members)}]\n'


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("[[user]\n", 0, "is no TOML"),
        ("format = 2\n", 1, "format must be the number 1"),
        ("fromat = 1\n", 1, "fromat is not known: did you mean format?"),
        ('[[usr]]\nname = "a@x.io"\n', 1, "[usr] is not known: did you mean user?"),
        ('[user]\nname = "a@x.io"\n', 1, "write [[user]]"),
        ("[[scope]]\naccount = true\n", 1, "write [scope]"),
        ('[[user]]\nname = "a@x.io"\ndisplayname = "A"\n', 3, "did you mean display_name?"),
        ('[[user]]\n\nname = "a@x.io"\nactive = "no"\n', 4, "active must be true or false"),
        ('[[user]]\ndisplay_name = "A"\n', 1, "[[user]] needs name"),
        ('user = [{name = "a@x.io"}, {nam = "b"}]\n', 1, "nam is not known: did you mean name?"),
        ('[[user]]\nname = "nobody"\n', 2, "is not an email"),
        ('[[user]]\nname = "service_principal/a@x.io"\n', 2, "taken for a service principal"),
        ('[[group]]\nname = "a@b"\n', 2, "marks a user's email"),
        ('[[group]]\nname = "account users"\n', 2, "reserved"),
        ('[[catalog]]\nfull_name = "a.b"\n', 2, "holds '.'"),
        ('[[catalog]]\nfull_name = "system"\n', 2, "reserved"),
        ('[[schema]]\nfull_name = "main"\n', 2, "Write it as catalog.schema"),
        ('[[table]]\nfull_name = "a.b.c d"\n', 2, "a space"),
        ('[[table]]\nfull_name = "a.b.c"\ncolumns = [{name = "id"}]\n', 3, "columns must be a list such as"),
        ('[[table]]\nfull_name = "a.b.c"\ncolumns = [{name = "a", type_text = "B", x = 1}]\n', 3, "columns"),
        ('[[catalog]]\nfull_name = "m"\nproperties = {a = 1}\n', 3, "a table of texts"),
        (MAIN + MAIN.replace("main", "MAIN"), 4, "catalog MAIN is described already at governance.toml:2"),
        (GRANT.format("a@x.io", "SELEKT", "table", "a.b.c"), 1, "did you mean SELECT?"),
        (GRANT.format("a@x.io", "CREATE_TABLE", "table", "a.b.c"), 1, "is no privilege on a table"),
        (GRANT.format("a@x.io", "SELECT", "tabel", "a.b.c"), 1, "did you mean table?"),
        (GRANT.format("a@x.io", "SELECT", "user", "a@x.io"), 1, "is no kind of securable"),
        (GRANT.format("a@x.io", "SELECT", "table", "a.b"), 1, "is not the full name of a table"),
        (GRANT.format("a@x.io", "ADMIN", "account", "main"), 1, 'the object of the kind account is "account"'),
        (GRANT.format("a@x.io", "select", "table", "a.b.c") * 2, 6, "granted to a@x.io already at governance.toml:1"),
        (GRANT.format("0" * 8 + "-0000-0000-0000-" + "0" * 12, "SELECT", "table", "a.b.c"), 1, "service_principal/"),
        (GRANT.format("a", "SELECT", "table", "a.b.c") + "expire_time = 2027-01-01\n", 6, "a time with its offset"),
        (GRANT.format("", "SELECT", "table", "a.b.c"), 1, "[[grant]] needs principal"),
        (ASSERT.format("SELECT", "table", "a.b.c", "maybe"), 6, 'expected must be "allow" or "deny"'),
        (ASSERT.format("SELEC", "table", "a.b.c", "deny"), 1, "did you mean SELECT?"),
        (BINDING.format("schema", "a.b", "w"), 1, "cannot be bound"),
        (BINDING.format("catalog", "a.b", "w"), 1, "holds '.'"),
        (BINDING.format("catalog", "a", "w") + 'binding_type = "write"\n', 5, "must be READ_WRITE or READ_ONLY"),
        (BINDING.format("catalog", "a", "w") * 2, 5, "bound to w already at governance.toml:1"),
        (SCOPE + EU + MAIN + BINDING.format("catalog", "main", "w"), 8, "is bound to w, which the files do not"),
        (MAIN + 'isolation_mode = "closed"\n', 2, "isolation_mode of main must be OPEN or ISOLATED"),
        (
            GRANT.format("a@x.io", "ADMIN", "account", "account") + "expire_time = 2100-01-01T00:00:00Z\n",
            1,
            "does not end by itself",
        ),
        (group("a", "b") + group("b", "c") + group("c", "a"), 2, "groups contain each other: a > b > c > a"),
        (group("a", "a"), 2, "groups contain each other: a > a"),
        ('[scope]\ncatalogs = ["main"]\n', 2, "catalogs of which one?"),
        (SCOPE + SCOPE.replace("[scope]", "[[user]]"), 5, "account is not known"),
        (SCOPE + EU + MAIN + '[[schema]]\nfull_name = "m.s"\n', 9, "schema m.s lies in catalog m, which the files"),
        (SCOPE + EU + MAIN + 'owner = "b@x.io"\n', 7, "catalog main names b@x.io, which the files do not describe"),
        (SCOPE + EU + group("g", "service_principal/s"), 7, "group g names service_principal/s, which"),
        (SCOPE + EU + '[[workspace]]\nfull_name = "w"\nmetastore = "us"\n', 7, "has metastore us, which"),
        (SCOPE + EU + GRANT.format("account users", "BROWSE", "catalog", "m"), 6, "on catalog m, which the files"),
        (SCOPE + EU + ASSERT.format("SELECT", "table", "a.b.c", "deny"), 6, "about table a.b.c, which the files"),
        ('[scope]\nmetastore = "eu"\ncatalogs = ["m"]\n' + MAIN, 5, "catalog main lies outside of what [scope] says"),
        ('[scope]\nmetastore = "eu"\n[[user]]\nname = "a@x.io"\n', 4, "user a@x.io lies outside"),
        ('[scope]\nmetastore = "eu"\n' + GRANT.format("a", "ADMIN", "account", "account"), 3, "lies outside"),
    ],
)  # fmt: skip
def test_a_problem_is_told_with_its_line(run: Run, write: Write, text: str, line: int, message: str) -> None:
    write(text)
    err = run(None, "validate governance.toml", exits=2).err
    place = f"governance.toml:{line}: " if line else "governance.toml: "
    assert any(told.startswith(place) and message in told for told in err.splitlines()), err


def test_all_problems_of_all_files_are_told_at_once(run: Run, write: Write) -> None:
    write('[[user]]\nnam = "a"\n\n[[group]]\nname = "a@b"\n', "one.toml")
    write("nonsense", "two.toml")
    write('[[user]]\nname = "a"\nactive = 1\nother = 1\n', "three.toml")
    err = run(None, "validate one.toml two.toml three.toml", exits=2).err.splitlines()
    assert [told.partition(" ")[0] for told in err[:-1]] == [
        "one.toml:1:", "one.toml:2:", "one.toml:5:", "three.toml:3:", "three.toml:4:", "two.toml:",
    ]  # fmt: skip
    assert err[-1].startswith("Error: 6 problems")


def test_several_files_are_one_document(run: Run, write: Write) -> None:
    write(SCOPE + '[[user]]\nname = "a@x.io"\n', "people.toml")
    write(
        EU + MAIN + 'owner = "a@x.io"\n' + GRANT.format("A@X.io", "use catalog", "CATALOG", "MAIN"),
        "main.toml",
    )
    assert run(None, "validate people.toml main.toml").err == "valid: 3 objects, 1 grant, 0 assertions\n"
    run(None, "validate main.toml")
    err = run(None, "validate main.toml people.toml main.toml", exits=2).err
    assert "main.toml:2: metastore eu is described already at main.toml:2" in err


def test_the_groups_of_a_workspace_need_no_row(run: Run, write: Write) -> None:
    workspace = '[[workspace]]\nfull_name = "Lab_1"\n'
    text = (
        SCOPE
        + EU
        + MAIN
        + 'owner = "lab_1 admins"\n'
        + GRANT.format("Lab_1 Users", "BROWSE", "catalog", "main")
    )
    write(text + workspace)
    run(None, "validate governance.toml")
    write(text)
    assert "names lab_1 admins, which the files do not" in run(None, "validate governance.toml", exits=2).err


def test_without_a_scope_references_are_left_to_the_server(run: Run, write: Write) -> None:
    write(GRANT.format("nobody@x.io", "SELECT", "table", "a.b.c"))
    assert "no [scope]" in run(None, "validate governance.toml").err


def test_groups_nested_too_deep_are_found(run: Run, write: Write) -> None:
    chain = "".join(group(f"g{number}", f"g{number + 1}") for number in range(10)) + group("g10")
    write(chain)
    assert "group g0 nests more than 10 deep" in run(None, "validate governance.toml", exits=2).err
    write(chain.replace(group("g0", "g1"), ""))
    run(None, "validate governance.toml")


def test_a_group_in_two_groups_is_no_cycle(run: Run, write: Write) -> None:
    write(group("a", "b", "c") + group("b", "d") + group("c", "d") + group("d"))
    run(None, "validate governance.toml")
