"""Logging in and out, and the profiles, against a server that answers as told."""

from __future__ import annotations

import io
import sys
from base64 import b64encode
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner

from client.wire import WireServer, fail
from lakewarden._config import Profile, ProfileFile, profile_path, read_profiles, write_profiles
from lakewarden.cli import main
from lakewarden.cli._application import root
from lakewarden.v1 import sessions_pb2, tokens_pb2

Captured = pytest.CaptureFixture[str]


def _log_in(wire: WireServer, monkeypatch: pytest.MonkeyPatch, token: str, *options: str) -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{token}\n"))
    wire.answers["SessionService/GetSession"] = lambda *_: sessions_pb2.Session(
        principal="ada@x.io", token_id="t1"
    )
    return main(["login", "--token-stdin", "--endpoint", wire.endpoint, *options])


def test_login_stores_the_token_and_later_commands_use_it(
    wire: WireServer, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    assert _log_in(wire, monkeypatch, "lwpat_mine", "--workspace", "analytics") == 0
    assert main(["catalog", "get", "main"]) == 0
    assert wire.calls[-1].metadata["authorization"] == "Bearer lwpat_mine"
    assert wire.calls[-1].metadata["lakewarden-workspace"] == "analytics"
    for line in ("profile list -o json", "profile show", "profile show default -o yaml"):
        assert main(line.split()) == 0
    captured = capsys.readouterr()
    assert "lwpat_mine" not in captured.out + captured.err


def test_login_with_a_client_secret_stores_the_access_token_and_not_the_secret(
    wire: WireServer, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    wire.answers["TokenService/CreateAccessToken"] = lambda *_: tokens_pb2.CreateAccessTokenResponse(
        access_token="eyJ.access.token"
    )
    wire.answers["SessionService/GetSession"] = lambda *_: sessions_pb2.Session(
        principal="3f0c9a52", token_id="s1", credential_kind=sessions_pb2.CLIENT_CREDENTIALS
    )
    monkeypatch.setattr(sys, "stdin", io.StringIO("lwsec_planted\n"))
    arguments = ["login", "--client-id", "3f0c9a52", "--workspace", "analytics"]
    assert main([*arguments, "--endpoint", wire.endpoint]) == 0
    basic = b64encode(b"3f0c9a52:lwsec_planted").decode()
    assert [(call.rpc, call.metadata["authorization"]) for call in wire.calls] == [
        ("TokenService/CreateAccessToken", f"Basic {basic}"),
        ("SessionService/GetSession", "Bearer eyJ.access.token"),
    ]
    assert read_profiles().profiles["default"] == Profile(wire.endpoint, "eyJ.access.token", "analytics")
    assert profile_path().stat().st_mode & 0o777 == 0o600
    assert "planted" not in profile_path().read_text()
    assert main(["whoami"]) == 0
    captured = capsys.readouterr()
    assert "CLIENT_CREDENTIALS" in captured.out
    assert "planted" not in captured.out + captured.err


def test_client_secret_comes_from_stdin_alone(
    wire: WireServer, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    for more, saying in (([], "No client secret"), (["--token-stdin"], "not with both")):
        assert main(["login", "--client-id", "id", "--endpoint", wire.endpoint, *more]) == 2
        assert saying in capsys.readouterr().err
    assert wire.calls == []


def test_login_of_a_new_profile_takes_the_server_of_the_current_one(
    wire: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _log_in(wire, monkeypatch, "lwpat_mine", "--workspace", "analytics") == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO("lwpat_bob\n"))
    assert main(["login", "--token-stdin", "--profile", "bob"]) == 0
    assert read_profiles().profiles["bob"] == Profile(wire.endpoint, "lwpat_bob")
    assert read_profiles().current == "default"


def test_login_trades_a_bootstrap_token_for_a_lasting_one(
    wire: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire.answers["TokenService/CreateToken"] = lambda *_: tokens_pb2.CreateTokenResponse(
        token_value="lwpat_lasting"
    )
    assert _log_in(wire, monkeypatch, "lwboot_once", "--profile", "production") == 0
    assert [(call.rpc, call.metadata["authorization"]) for call in wire.calls] == [
        ("TokenService/CreateToken", "Bearer lwboot_once"),
        ("SessionService/GetSession", "Bearer lwpat_lasting"),
    ]
    stored = read_profiles()
    assert (stored.current, stored.profiles["production"].token) == ("production", "lwpat_lasting")


def test_lasting_token_is_kept_even_if_trying_it_fails(
    wire: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire.answers["TokenService/CreateToken"] = lambda *_: tokens_pb2.CreateTokenResponse(
        token_value="lwpat_lasting"
    )
    monkeypatch.setattr(sys, "stdin", io.StringIO("lwboot_once\n"))
    wire.answers["SessionService/GetSession"] = fail(grpc.StatusCode.INTERNAL, "oops")
    assert main(["login", "--token-stdin", "--endpoint", wire.endpoint]) == 70
    assert read_profiles().profiles["default"].token == "lwpat_lasting"


def test_login_with_a_refused_token_stores_nothing(wire: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("lwpat_bad\n"))
    wire.answers["SessionService/GetSession"] = fail(
        grpc.StatusCode.UNAUTHENTICATED, "no", reason="TOKEN_INVALID"
    )
    assert main(["login", "--token-stdin", "--endpoint", wire.endpoint]) == 4
    assert not read_profiles().profiles


def test_login_asks_for_the_token_without_showing_it(
    wire: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakewarden.cli.session.is_interactive", lambda: True)
    done = CliRunner().invoke(root, ["login", "--endpoint", wire.endpoint], input="lwpat_typed\n")
    assert done.exit_code == 0
    assert "lwpat_typed" not in done.output
    assert read_profiles().profiles["default"].token == "lwpat_typed"


def test_logout_forgets_and_on_request_revokes(wire: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _log_in(wire, monkeypatch, "lwpat_mine") == 0
    assert main(["logout", "--revoke"]) == 0
    assert (wire.calls[-1].rpc, wire.calls[-1].request.id) == ("TokenService/DeleteToken", "t1")
    assert read_profiles().profiles["default"].token == ""
    assert main(["logout"]) == 0


def test_logout_says_that_an_access_token_is_not_revoked_and_what_ends_it(
    wire: WireServer, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    assert _log_in(wire, monkeypatch, "eyJ.access.token") == 0
    wire.answers["SessionService/GetSession"] = lambda *_: sessions_pb2.Session(
        principal="3f0c9a52", token_id="s1", credential_kind=sessions_pb2.CLIENT_CREDENTIALS
    )
    assert main(["logout", "--revoke"]) != 0
    assert wire.calls[-1].rpc == "SessionService/GetSession"
    assert "cannot be revoked: it ends within the hour" in capsys.readouterr().err
    assert read_profiles().profiles["default"].token == "eyJ.access.token"
    assert main(["logout"]) == 0
    assert read_profiles().profiles["default"].token == ""


def test_profile_commands_change_the_file(home: Path) -> None:
    assert main(["profile", "set", "a", "--endpoint", "a:1", "--workspace", "w"]) == 0
    assert main(["profile", "set", "b", "--endpoint", "b:1", "--insecure"]) == 0
    assert main(["profile", "use", "b"]) == 0
    stored = read_profiles()
    assert stored.current == "b"
    assert stored.profiles == {"a": Profile("a:1", "", "w"), "b": Profile("b:1", insecure=True)}
    assert main(["profile", "delete", "b", "--yes"]) == 0
    assert (read_profiles().current, list(read_profiles().profiles)) == ("default", ["a"])


def test_changed_endpoint_drops_the_stored_token() -> None:
    write_profiles(ProfileFile(profiles={"p": Profile(endpoint="a:1", token="lwpat_x")}))
    assert main(["profile", "set", "p", "--workspace", "w"]) == 0
    assert read_profiles().profiles["p"].token == "lwpat_x"
    assert main(["profile", "set", "p", "--endpoint", "b:1"]) == 0
    assert read_profiles().profiles["p"].token == ""


@pytest.mark.parametrize("reason", ["TOKEN_INVALID", "TOKEN_EXPIRED"])
def test_one_time_token_that_is_spent_is_explained(
    wire: WireServer, monkeypatch: pytest.MonkeyPatch, capsys: Captured, reason: str
) -> None:
    wire.answers["TokenService/CreateToken"] = fail(grpc.StatusCode.UNAUTHENTICATED, "no", reason=reason)
    assert _log_in(wire, monkeypatch, "lwboot_once") == 4
    err = capsys.readouterr().err
    assert "A one-time token works once" in err
    assert "lakewarden-server recover" in err
    assert "Run `lakewarden login`" not in err


def test_profile_that_is_made_by_setting_it_is_told(capsys: Captured) -> None:
    assert main(["profile", "set", "new", "--endpoint", "a:1"]) == 0
    assert capsys.readouterr().err == "there was no profile of that name: made profile new\n"
    assert main(["profile", "set", "new", "--workspace", "w"]) == 0
    assert capsys.readouterr().err == "set profile new\n"
