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
    shown = [line.strip() for line in capsys.readouterr().out.splitlines() if line.startswith("  run: ")]
    commands = [
        "lakewarden grant 'USE SCHEMA' schema a.b bob@x.io",
        "lakewarden grant SELECT table a.b.c 'the analysts'",
        "lakewarden grant EXECUTE registered_model A.B.TO bob@x.io",
    ]
    assert shown == [f"run: {command}" for command in commands]
    wire.answers["TableService/GetTable"] = fail(
        grpc.StatusCode.PERMISSION_DENIED, "no", reason="PRIVILEGE_MISSING", fixes="; ".join(fixes)
    )
    assert main(["table", "get", "a.b.c", "--endpoint", wire.endpoint]) == 4
    err = capsys.readouterr().err
    assert all(command in err for command in commands)


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
