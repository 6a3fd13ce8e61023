"""Peppers and keys of secrets are changed with an overlap like the key that signs, each without touching the others."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.test_authenticator import BOB, END, state
from lakewarden_policy import Token
from lakewarden_server.authn.authenticator import Authenticator
from lakewarden_server.authn.keys import (
    RING_KEYS_MAX,
    KeyFileError,
    Keys,
    Ring,
    add_key,
    create_key_file,
    drop_keys,
    load_key_file,
    use_key,
)
from lakewarden_server.authn.tokens import TokenKind, TokenText, digest, mint
from lakewarden_server.core.errors import Unauthenticated

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lakewarden.key"
    create_key_file(path)
    return path


def made(keys: Keys) -> tuple[TokenText, Token]:
    """A token as a server with these keys makes and stores it."""
    text = mint(TokenKind.PAT)
    return text, Token(text.id, "bob", digest(keys.pepper, text, "bob"), text.kind, END, None)


def takes(keys: Keys, text: TokenText, token: Token) -> bool:
    """Whether a server with these keys, which never saw the token, takes it."""
    authenticator = Authenticator(keys)
    try:
        authenticator.authenticate(
            state(principals=[BOB], tokens=[token]), authenticator.read(f"Bearer {text.render()}"), NOW
        )
    except Unauthenticated:
        return False
    return True


def test_two_servers_take_each_others_tokens_in_every_step(file: Path) -> None:
    servers, tokens = [load_key_file(file)] * 2, []
    for change in (add_key, use_key, None):
        if change:
            change(file, Ring.PEPPER)
        for number in (0, 1):
            servers[number] = load_key_file(file)
            tokens += [made(keys) for keys in servers]
            assert all(takes(keys, *token) for keys in servers for token in tokens)


def test_a_pepper_that_is_used_before_it_is_known_everywhere_is_noticed(file: Path) -> None:
    before = load_key_file(file)
    add_key(file, Ring.PEPPER)
    use_key(file, Ring.PEPPER)
    assert not takes(before, *made(load_key_file(file)))


def test_a_dropped_pepper_verifies_nothing_and_the_new_one_goes_on(file: Path) -> None:
    old = made(load_key_file(file))
    add_key(file, Ring.PEPPER)
    use_key(file, Ring.PEPPER)
    new = made(load_key_file(file))
    drop_keys(file, Ring.PEPPER)
    after = load_key_file(file)
    assert (takes(after, *old), takes(after, *new)) == (False, True)
    assert takes(after, new[0], new[1]._replace(principal_id="ann")) is False


@pytest.mark.parametrize("ring", Ring)
def test_a_ring_changes_alone_and_names_its_keys(file: Path, ring: Ring) -> None:
    before = load_key_file(file)
    add_key(file, ring)
    added = load_key_file(file)
    assert added.rings[ring][0] == before.rings[ring][0]
    assert added.rings[ring][0].id == before.id
    use_key(file, ring)
    used = load_key_file(file)
    assert used.rings[ring] == added.rings[ring][::-1]
    drop_keys(file, ring)
    after = load_key_file(file)
    assert after.rings[ring] == used.rings[ring][:1]
    for other in set(Ring) - {ring}:
        assert after.rings[other] == before.rings[other]
    assert (after.id, after.page_token, after.payload) == (before.id, before.page_token, before.payload)
    secret = after.rings[ring][0].secret
    assert repr(secret)[2:-1] not in repr(after) + repr(after.rings) + repr(added.rings)
    assert (file.stat().st_mode & 0o777, [path.name for path in file.parent.iterdir()]) == (
        0o600,
        [file.name],
    )


def test_files_that_are_none_are_refused(file: Path) -> None:
    with pytest.raises(KeyFileError, match="add one first"):
        use_key(file, Ring.PEPPER)
    for _ in range(RING_KEYS_MAX - 1):
        add_key(file, Ring.PEPPER)
    with pytest.raises(KeyFileError, match="drop the old ones"):
        add_key(file, Ring.PEPPER)
    whole = file.read_text()
    for line in ("pepper:abcd", "peper:" + "ab" * 32, "pepper:", "pepper:" + "ab" * 32):
        file.write_text(f"{whole}{line}\n")
        with pytest.raises(KeyFileError):
            load_key_file(file)
    for text in ("", "pepper:" + "ab" * 32):
        file.write_text(text)
        with pytest.raises(KeyFileError, match="32 bytes"):
            load_key_file(file)
