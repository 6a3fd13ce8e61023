"""Seals: what goes in comes out again, for the same object and key only, and is not to be read in between."""

from __future__ import annotations

import pytest

from lakewarden_server.authn.keys import KEY_BYTES, Keys
from lakewarden_server.core.seals import NONCE_BYTES, BrokenSeal, seal, unseal

KEY = Keys.derive(bytes(KEY_BYTES)).secrets
SECRETS = {"password": "s3cr3t-ü", "token": "t"}


def test_secrets_come_out_as_they_went_in() -> None:
    assert unseal(KEY, seal(KEY, SECRETS, owner_id="a"), owner_id="a") == SECRETS


def test_sealed_bytes_tell_nothing_and_never_repeat() -> None:
    sealed = [seal(KEY, SECRETS, owner_id="a") for _ in range(3)]
    assert len({found[:NONCE_BYTES] for found in sealed}) == 3
    assert not any(word in found for found in sealed for word in (b"s3cr3t", b"password", b"token"))


@pytest.mark.parametrize("position", [0, NONCE_BYTES, -1])
def test_changed_bytes_are_refused(position: int) -> None:
    sealed = bytearray(seal(KEY, SECRETS, owner_id="a"))
    sealed[position] ^= 1
    with pytest.raises(BrokenSeal, match="set them anew"):
        unseal(KEY, bytes(sealed), owner_id="a")


def test_seal_moved_to_another_object_or_key_is_refused() -> None:
    sealed = seal(KEY, SECRETS, owner_id="a")
    with pytest.raises(BrokenSeal):
        unseal(KEY, sealed, owner_id="b")
    with pytest.raises(BrokenSeal):
        unseal(Keys.derive(b"1" * KEY_BYTES).secrets, sealed, owner_id="a")
    with pytest.raises(BrokenSeal):
        unseal(KEY, b"", owner_id="a")


def test_every_use_has_a_key_of_its_own() -> None:
    keys = Keys.derive(bytes(KEY_BYTES))
    assert len({keys.pepper, keys.page_token, keys.secrets, keys.payload}) == 4
    assert not any(key.hex() in repr(keys) or repr(key) in repr(keys) for key in (keys.pepper, keys.secrets))
