"""Encrypts the secrets of credentials and connections for storage: AES-256-GCM, bound to the object they belong to."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES: Final = 12


class BrokenSeal(Exception):
    """The bytes were changed, moved from another object, or sealed under another key file."""


def seal(key: bytes, secrets: Mapping[str, str], *, owner_id: str) -> bytes:
    """Encrypts named secrets under a 32-byte key; only together with `owner_id` can they be read again.

    A nonce is random: 2**32 seals under one key file stay far from a collision that matters (NIST SP 800-38D, 8.3).
    """
    nonce = os.urandom(NONCE_BYTES)
    text = json.dumps(dict(secrets), sort_keys=True, separators=(",", ":"))
    return nonce + AESGCM(key).encrypt(nonce, text.encode(), owner_id.encode())


def unseal(key: bytes, sealed: bytes, *, owner_id: str) -> dict[str, str]:
    """The named secrets again. Raises `BrokenSeal`."""
    try:
        text = AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], owner_id.encode())
    except (InvalidTag, ValueError):
        raise BrokenSeal(
            f"the secrets of {owner_id} cannot be read with this key file: set them anew"
        ) from None
    secrets: dict[str, str] = json.loads(text)
    return secrets
