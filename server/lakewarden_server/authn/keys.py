"""The key file: one random key from which the keys of tokens, pages, secrets and remembered requests are derived.

Its first line is that key. Further lines are keys of rings, in which one is added, then used, and later the others are dropped:
keys of access tokens (hexadecimal alone), peppers of stored digests (`pepper:`) and keys of secrets at rest (`secrets:`). Of each
ring the first key makes what is new and all of them read, so that a new one can be known everywhere before it is used, and
an old one for as long as something rests on it. A ring without lines has one key, which is derived.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from lakewarden_server.core.errors import OperatorError

KEY_BYTES = 32
PRIVATE_MODE = 0o600
RING_KEYS_MAX = 4


class Ring(StrEnum):
    """What a key of the file is for; the value stands before it, but for that of access tokens."""

    SIGNING = ""
    PEPPER = "pepper"
    SECRETS = "secrets"


_PURPOSES = {
    Ring.SIGNING: "access token signature",
    Ring.PEPPER: "token pepper",
    Ring.SECRETS: "secrets at rest",
}


class KeyFileError(OperatorError):
    """The key file is missing, readable by others, or not a key; the message says what to do."""


class Key(NamedTuple):
    """A key and the id that rows name it by; its representation tells the id alone."""

    id: str
    secret: bytes

    def __repr__(self) -> str:
        return f"Key(id={self.id!r})"


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys derived from the key file, or added to it. None of them appears in a representation."""

    page_token: bytes = field(repr=False)
    payload: bytes = field(repr=False)
    rings: Mapping[Ring, tuple[Key, ...]] = field(repr=False)
    """None is empty: the first key of each makes what is new, all of them read."""
    id: str

    @classmethod
    def derive(cls, root: bytes, added: Mapping[Ring, tuple[bytes, ...]] | None = None) -> Keys:
        """Derives one key for each use, so that no use can attack another; `id` names the root without telling it."""
        root_id = _purpose(root, "key id").hex()[:16]
        rings = {}
        for ring in Ring:
            derived = _purpose(root, _PURPOSES[ring])
            rings[ring] = tuple(
                # Rows from before there were rings name the root.
                Key(root_id if key == derived else _purpose(key, "key id").hex()[:16], key)
                for key in (added or {}).get(ring) or (derived,)
            )
        return cls(
            page_token=_purpose(root, "page token"),
            payload=_purpose(root, "request payload"),
            rings=rings,
            id=root_id,
        )

    @property
    def peppers(self) -> tuple[Key, ...]:
        """Peppers of the digests of tokens and client secrets."""
        return self.rings[Ring.PEPPER]

    @property
    def pepper(self) -> bytes:
        """The one of new digests."""
        return self.peppers[0].secret

    @property
    def secrets(self) -> bytes:
        """The key that secrets are sealed with from now on."""
        return self.rings[Ring.SECRETS][0].secret

    @property
    def signing(self) -> tuple[bytes, ...]:
        """Seeds of the keys of access tokens: the first one signs."""
        return tuple(key.secret for key in self.rings[Ring.SIGNING])


def create_key_file(path: Path) -> Keys:
    """Writes a new key file with mode 0600 and returns its keys. Raises FileExistsError rather than overwrite one."""
    root = secrets.token_bytes(KEY_BYTES)
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, _Lines(root, {}))
    return Keys.derive(root)


def load_key_file(path: Path) -> Keys:
    """Reads the key file. Raises `KeyFileError` when it is missing, readable by others or malformed."""
    return Keys.derive(*_read(path))


def add_key(path: Path, ring: Ring) -> None:
    """Adds a key that reads and does not make anything yet. Raises `KeyFileError`."""
    known = tuple(key.secret for key in load_key_file(path).rings[ring])
    _replace(path, ring, (*known, secrets.token_bytes(KEY_BYTES)))


def use_key(path: Path, ring: Ring) -> None:
    """Lets the key that was added last make what is new; those from before go on reading. Raises `KeyFileError`."""
    known = _read(path).rings.get(ring, ())
    if len(known) < 2:
        raise KeyFileError(f"key file {path} holds no other key for this: add one first")
    _replace(path, ring, (known[-1], *known[:-1]))


def drop_keys(path: Path, ring: Ring) -> None:
    """Leaves only the key in use: what rests on the others is void. Raises `KeyFileError`."""
    _replace(path, ring, _read(path).rings.get(ring, ())[:1])


class _Lines(NamedTuple):
    """What a key file says."""

    root: bytes
    rings: Mapping[Ring, tuple[bytes, ...]]


def _purpose(root: bytes, name: str) -> bytes:
    return hmac.new(root, name.encode(), hashlib.sha256).digest()


def _read(path: Path) -> _Lines:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        words = [line.rpartition(":") for line in path.read_text(encoding="ascii").split()]
        found = [(Ring(name), bytes.fromhex(key)) for name, _, key in words]
    except FileNotFoundError:
        raise KeyFileError(
            f"key file {path} is missing: restore it from your backup (a new database gets one by `lakewarden-server init`; "
            "where it is lost for good, `lakewarden-server recover` makes a new one, and every old token is void)"
        ) from None
    except (OSError, ValueError) as error:
        raise KeyFileError(f"key file {path} cannot be read: {error}") from None
    if mode & 0o077:
        raise KeyFileError(f"key file {path} has mode {mode:04o}: others may read it. Run `chmod 600 {path}`")
    if not found or found[0][0] or any(len(key) != KEY_BYTES for _, key in found):
        raise KeyFileError(
            f"key file {path} does not hold {KEY_BYTES} bytes in hexadecimal on each line: restore it from your backup"
        )
    (_, root), *added = found
    rings = {ring: tuple(key for name, key in added if name is ring) for ring in Ring}
    if any(len(keys) > RING_KEYS_MAX for keys in rings.values()):
        raise KeyFileError(
            f"key file {path} holds more than {RING_KEYS_MAX} keys of one kind: drop the old ones"
        )
    return _Lines(root, rings)


def _replace(path: Path, ring: Ring, keys: tuple[bytes, ...]) -> None:
    """All of it or nothing: a key file that was cut short would void every token."""
    if len(keys) > RING_KEYS_MAX:
        raise KeyFileError(
            f"key file {path} would hold more than {RING_KEYS_MAX} keys of one kind: drop the old ones"
        )
    root, rings = _read(path)
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    _write(beside, _Lines(root, {**rings, ring: keys}))
    beside.replace(path)


def _write(path: Path, lines: _Lines) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE)
    added = [f"{ring}:{key.hex()}".removeprefix(":") for ring, keys in lines.rings.items() for key in keys]
    with os.fdopen(descriptor, "w") as file:
        file.write("".join(f"{line}\n" for line in (lines.root.hex(), *added)))
        file.flush()
        os.fsync(file.fileno())
