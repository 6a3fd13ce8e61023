"""Identifiers: time-ordered, never reused, never derived from a name."""

from __future__ import annotations

import os
import time
import uuid


def new_id() -> str:
    """A fresh UUID version 7 (RFC 9562 section 5.7) as 36 lower-case characters.

    Millisecond time in the first 48 bits keeps inserts near the end of an index; the other 74 bits are random.
    """
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & ((1 << 48) - 1)) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def new_nonce() -> str:
    """Sixteen random bytes in hexadecimal: marks one commit so that two histories can be told apart."""
    return os.urandom(16).hex()
