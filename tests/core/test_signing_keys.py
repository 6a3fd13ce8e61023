"""The key of access tokens is changed with an overlap: nobody is refused on the way, and at the end the old one is nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from lakewarden_server.authn.access_tokens import AccessTokens
from lakewarden_server.authn.jwts import take_apart
from lakewarden_server.authn.keys import (
    RING_KEYS_MAX,
    KeyFileError,
    Ring,
    add_key,
    create_key_file,
    drop_keys,
    load_key_file,
    use_key,
)
from lakewarden_server.cli import main
from lakewarden_server.core.errors import Unauthenticated

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lakewarden.key"
    create_key_file(path)
    return path


def issued(tokens: AccessTokens) -> str:
    return tokens.issue(
        principal_id="p",
        client_id="c",
        credential_id="s",
        activation=0,
        now=NOW,
        expire_time=NOW + timedelta(hours=9),
    )


def test_two_servers_take_each_others_tokens_in_every_step(file: Path) -> None:
    servers = [AccessTokens(load_key_file(file))] * 2
    for change in (add_key, use_key, None):
        if change:
            change(file, Ring.SIGNING)
        # First one server knows the change, then the other.
        for number in (0, 1):
            servers[number] = AccessTokens(load_key_file(file))
            for signer in servers:
                for verifier in servers:
                    assert verifier.verify(take_apart(issued(signer))).principal_id == "p"


def test_a_dropped_key_verifies_nothing(file: Path) -> None:
    old = issued(AccessTokens(load_key_file(file)))
    add_key(file, Ring.SIGNING)
    use_key(file, Ring.SIGNING)
    assert AccessTokens(load_key_file(file)).verify(take_apart(old)).credential_id == "s"
    drop_keys(file, Ring.SIGNING)
    new = AccessTokens(load_key_file(file))
    with pytest.raises(Unauthenticated, match="not issued by this installation"):
        new.verify(take_apart(old))
    assert new.verify(take_apart(issued(new))).expire_time == NOW.timestamp() + 3600


def test_the_other_keys_stay_as_they_are(file: Path) -> None:
    before = load_key_file(file)
    add_key(file, Ring.SIGNING)
    after = load_key_file(file)
    assert (after.id, after.pepper, after.secrets) == (before.id, before.pepper, before.secrets)
    assert after.signing[0] == before.signing[0]
    assert (file.stat().st_mode & 0o777, len(after.signing)) == (0o600, 2)
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_nothing_to_use_and_too_many_keys_are_refused(file: Path) -> None:
    with pytest.raises(KeyFileError, match="add one first"):
        use_key(file, Ring.SIGNING)
    for _ in range(RING_KEYS_MAX - 1):
        add_key(file, Ring.SIGNING)
    with pytest.raises(KeyFileError, match="drop the old ones"):
        add_key(file, Ring.SIGNING)
    file.write_text(file.read_text() + "abcd\n")
    with pytest.raises(KeyFileError, match="32 bytes"):
        load_key_file(file)


def test_commands_change_the_key_file(file: Path) -> None:
    for step, count in (("add", "2 signing keys"), ("use", "2 signing keys"), ("drop", "1 signing key,")):
        done = CliRunner().invoke(main, ["signing-key", step, "--key-file", str(file)])
        assert (done.exit_code, count in done.output) == (0, True), done.output
    assert CliRunner().invoke(main, ["signing-key", "use", "--key-file", str(file)]).exit_code == 1
