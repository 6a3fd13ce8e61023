"""What the command line says beyond an error or a denial, so that the next step is known."""

from __future__ import annotations

import grpc
import pytest

from client.wire import WireServer, fail
from lakewarden.cli import main
from lakewarden.v1 import authorization_pb2

Captured = pytest.CaptureFixture[str]


def test_each_fix_is_shown_as_a_command_too(wire: WireServer, capsys: Captured) -> None:
    fixes = [
        "GRANT USE SCHEMA ON SCHEMA a.b TO `bob@x.io`",
        "GRANT SELECT ON TABLE a.b.c TO `the analysts`",
        "GRANT EXECUTE ON REGISTERED MODEL A.B.TO TO `bob@x.io`",
    ]
    reply = authorization_pb2.CheckResponse(verdict=authorization_pb2.Verdict(reason="no", fixes=fixes))
    wire.answers["AuthorizationService/Check"] = lambda *_: reply
    assert main(["check", "bob@x.io", "SELECT", "table", "a.b.c", "--endpoint", wire.endpoint]) == 1
    shown = [line.strip() for line in capsys.readouterr().out.splitlines()[2:]]
    commands = [
        "lakewarden grant 'USE SCHEMA' schema a.b bob@x.io",
        "lakewarden grant SELECT table a.b.c 'the analysts'",
        "lakewarden grant EXECUTE registered_model A.B.TO bob@x.io",
    ]
    assert shown == [f"run: {command}" for command in commands]
    wire.answers["TableService/GetTable"] = fail(
        grpc.StatusCode.PERMISSION_DENIED,
        f"no. Ask its owner for: {'; '.join(fixes)}",
        reason="PRIVILEGE_MISSING",
        fixes="; ".join(fixes),
    )
    assert main(["table", "get", "a.b.c", "--endpoint", wire.endpoint]) == 4
    err = capsys.readouterr().err.splitlines()
    assert err[0].startswith("Error: no. Ask its owner. [PERMISSION_DENIED/PRIVILEGE_MISSING]")
    assert err[1:] == [f"  run: {command}" for command in commands]


def test_fix_that_is_no_grant_is_shown_as_it_came(wire: WireServer, capsys: Captured) -> None:
    reason = "no. Ask an admin for: GRANT SELECT ON TABLE a.b.c TO `x@y.io`; something else"
    verdict = authorization_pb2.Verdict(reason=reason, fixes=["something else"])
    wire.answers["AuthorizationService/Check"] = lambda *_: authorization_pb2.CheckResponse(verdict=verdict)
    assert main(["check", "x@y.io", "SELECT", "table", "a.b.c", "--endpoint", wire.endpoint]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[1:] == [f"  reason: {reason}", "  fix: something else"]


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("table set-column-mask a.b.c d a.b.f", "Did you mean set-mask?"),
        ("group add-member analysts bob@x.io", "Did you mean add?"),
        ("table set-filter a.b.c", "Did you mean set-row-filter"),
        ("table explode a.b.c", "no such command: explode."),
    ],
)
def test_command_of_another_name_is_suggested(capsys: Captured, line: str, meant: str) -> None:
    assert main(line.split()) == 2
    assert meant in capsys.readouterr().err.splitlines()[0]


def test_check_about_somebody_else_that_is_denied_names_the_role(wire: WireServer, capsys: Captured) -> None:
    wire.answers["AuthorizationService/Check"] = fail(
        grpc.StatusCode.PERMISSION_DENIED, "no", reason="ACCESS_DENIED"
    )
    assert main(["check", "bob@x.io", "SELECT", "table", "a.b.c", "--endpoint", wire.endpoint]) == 4
    err = capsys.readouterr().err
    assert err.startswith("Error: no [PERMISSION_DENIED/ACCESS_DENIED]")
    assert "needs the role QUERY_ENGINE" in err


def test_status_of_a_server_that_is_down_does_not_advise_itself(capsys: Captured) -> None:
    assert main(["status", "--endpoint", "127.0.0.1:1", "--timeout", "1"]) == 6
    err = capsys.readouterr().err
    assert "lakewarden-server serve" in err
    assert "lakewarden status" not in err
    assert main(["whoami", "--endpoint", "127.0.0.1:1", "--timeout", "1"]) == 6
    assert "lakewarden status" in capsys.readouterr().err


def test_commands_know_every_kind_that_something_is_granted_on() -> None:
    from lakewarden.cli._parameters import SECURABLE_TYPES
    from lakewarden.v1.grants_pb2 import SecurableType

    assert {kind.upper() for kind in SECURABLE_TYPES} == set(SecurableType.keys()[1:])
