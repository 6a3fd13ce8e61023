"""The key file: one random key from which the keys of tokens, pages, secrets and remembered requests are derived.

Its first line is that key. Further lines are keys of access tokens: the first of them signs, all verify, so that a new one can be
known everywhere before it signs and an old one for an hour after. Without any, one is derived.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

KEY_BYTES = 32
PRIVATE_MODE = 0o600
SIGNING_KEYS_MAX = 4


class KeyFileError(Exception):
    """The key file is missing, readable by others, or not a key; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys derived from the key file. None of them appears in a representation."""

    pepper: bytes = field(repr=False)
    page_token: bytes = field(repr=False)
    secrets: bytes = field(repr=False)
    payload: bytes = field(repr=False)
    signing: tuple[bytes, ...] = field(repr=False)
    """Seeds of the keys of access tokens: the first one signs."""
    id: str

    @classmethod
    def derive(cls, root: bytes, signing: tuple[bytes, ...] = ()) -> Keys:
        """Derives one key for each use, so that no use can attack another; `id` names the root without telling it."""

        def purpose(name: str) -> bytes:
            return hmac.new(root, name.encode(), hashlib.sha256).digest()

        return cls(
            pepper=purpose("token pepper"),
            page_token=purpose("page token"),
            secrets=purpose("secrets at rest"),
            payload=purpose("request payload"),
            signing=signing or (purpose("access token signature"),),
            id=purpose("key id").hex()[:16],
        )


def create_key_file(path: Path) -> Keys:
    """Writes a new key file with mode 0600 and returns its keys. Raises FileExistsError rather than overwrite one."""
    root = secrets.token_bytes(KEY_BYTES)
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, [root])
    return Keys.derive(root)


def load_key_file(path: Path) -> Keys:
    """Reads the key file. Raises `KeyFileError` when it is missing, readable by others or malformed."""
    root, *signing = _read(path)
    return Keys.derive(root, tuple(signing))


def add_signing_key(path: Path) -> None:
    """Adds a key that verifies access tokens and does not sign yet. Raises `KeyFileError`."""
    root, *_ = _read(path)
    _replace(path, [root, *load_key_file(path).signing, secrets.token_bytes(KEY_BYTES)])


def use_signing_key(path: Path) -> None:
    """Lets the key that was added last sign; those from before go on verifying. Raises `KeyFileError`."""
    root, *signing = _read(path)
    if len(signing) < 2:
        raise KeyFileError(f"key file {path} holds no other signing key: add one first")
    _replace(path, [root, signing[-1], *signing[:-1]])


def drop_signing_keys(path: Path) -> None:
    """Leaves only the key that signs: what the others signed is void. Raises `KeyFileError`."""
    root, *signing = _read(path)
    _replace(path, [root, *signing[:1]])


def _read(path: Path) -> list[bytes]:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        found = [bytes.fromhex(line) for line in path.read_text(encoding="ascii").split()]
    except FileNotFoundError:
        raise KeyFileError(
            f"key file {path} is missing: restore it from your backup (a new database gets one by `lakewarden-server init`; "
            "where it is lost for good, `lakewarden-server recover` makes a new one, and every old token is void)"
        ) from None
    except (OSError, ValueError) as error:
        raise KeyFileError(f"key file {path} cannot be read: {error}") from None
    if mode & 0o077:
        raise KeyFileError(f"key file {path} has mode {mode:04o}: others may read it. Run `chmod 600 {path}`")
    if not found or any(len(key) != KEY_BYTES for key in found):
        raise KeyFileError(
            f"key file {path} does not hold {KEY_BYTES} bytes in hexadecimal on each line: restore it from your backup"
        )
    if len(found) > 1 + SIGNING_KEYS_MAX:
        raise KeyFileError(
            f"key file {path} holds more than {SIGNING_KEYS_MAX} signing keys: drop the old ones"
        )
    return found


def _replace(path: Path, keys: list[bytes]) -> None:
    """All of it or nothing: a key file that was cut short would void every token."""
    if len(keys) > 1 + SIGNING_KEYS_MAX:
        raise KeyFileError(
            f"key file {path} would hold more than {SIGNING_KEYS_MAX} signing keys: drop the old ones"
        )
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    _write(beside, keys)
    beside.replace(path)


def _write(path: Path, keys: list[bytes]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE)
    with os.fdopen(descriptor, "w") as file:
        file.write("".join(f"{key.hex()}\n" for key in keys))
        file.flush()
        os.fsync(file.fileno())
