"""The key file: one random key from which the keys of tokens, pages, secrets and remembered requests are derived."""

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


class KeyFileError(Exception):
    """The key file is missing, readable by others, or not a key; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys derived from the key file. None of them appears in a representation."""

    pepper: bytes = field(repr=False)
    page_token: bytes = field(repr=False)
    secrets: bytes = field(repr=False)
    payload: bytes = field(repr=False)
    id: str

    @classmethod
    def derive(cls, root: bytes) -> Keys:
        """Derives one key for each use, so that no use can attack another; `id` names the root without telling it."""

        def purpose(name: str) -> bytes:
            return hmac.new(root, name.encode(), hashlib.sha256).digest()

        return cls(
            pepper=purpose("token pepper"),
            page_token=purpose("page token"),
            secrets=purpose("secrets at rest"),
            payload=purpose("request payload"),
            id=purpose("key id").hex()[:16],
        )


def create_key_file(path: Path) -> Keys:
    """Writes a new key file with mode 0600 and returns its keys. Raises FileExistsError rather than overwrite one."""
    root = secrets.token_bytes(KEY_BYTES)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE)
    with os.fdopen(descriptor, "w") as file:
        file.write(root.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    return Keys.derive(root)


def load_key_file(path: Path) -> Keys:
    """Reads the key file. Raises `KeyFileError` when it is missing, readable by others or malformed."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text(encoding="ascii").strip()
        root = bytes.fromhex(text)
    except FileNotFoundError:
        raise KeyFileError(
            f"key file {path} is missing: restore it from your backup (a new database gets one by `lakewarden-server init`; "
            "where it is lost for good, `lakewarden-server recover` makes a new one, and every old token is void)"
        ) from None
    except (OSError, ValueError) as error:
        raise KeyFileError(f"key file {path} cannot be read: {error}") from None
    if mode & 0o077:
        raise KeyFileError(f"key file {path} has mode {mode:04o}: others may read it. Run `chmod 600 {path}`")
    if len(root) != KEY_BYTES:
        raise KeyFileError(
            f"key file {path} does not hold {KEY_BYTES} bytes in hexadecimal: restore it from your backup"
        )
    return Keys.derive(root)
