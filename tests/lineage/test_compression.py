"""Text as it is stored: whole again however it was stored, and nothing else taken for it."""

from __future__ import annotations

import random
import zlib

import pytest

from lakewarden_server.lineage.compression import HEAD, LZ4, compressed, decompressed

TEXT = b"abcdefgh" * 9
SUM, BLOCK = zlib.adler32(TEXT), compressed(TEXT)[HEAD.size :]
TEXTS = [
    b"",
    b"{}",
    b'{"a":"' + b"x" * 100_000 + b'"}',
    "{“é”: 🦆}".encode(),
    random.Random(1).randbytes(70_000),
    *(bytes([first]) * 300 for first in (0, 4, 0x78)),
]
IDS = [f"{len(text)}-{text[:1].hex()}" for text in TEXTS]


@pytest.mark.parametrize("text", TEXTS, ids=IDS)
def test_text_is_read_back_whole(text: bytes) -> None:
    assert decompressed(compressed(text)) == text


@pytest.mark.parametrize("level", range(10))
@pytest.mark.parametrize("text", TEXTS, ids=IDS)
def test_what_zlib_made_is_read_too(text: bytes, level: int) -> None:
    assert decompressed(zlib.compress(text, level)) == text


def test_what_comes_again_takes_little_room() -> None:
    assert len(compressed(b'{"name":"column"}' * 1_000)) < 200


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"plain",
        LZ4,
        HEAD.pack(LZ4, 5, SUM),
        HEAD.pack(LZ4, 5, SUM) + b"\xff" * 9,
        compressed(TEXT)[:-1],
        HEAD.pack(LZ4, len(TEXT) - 1, SUM) + BLOCK,
        HEAD.pack(LZ4, len(TEXT) + 1, SUM) + BLOCK,
        HEAD.pack(LZ4, len(TEXT), SUM + 1) + BLOCK,
        zlib.compress(TEXT)[:-1],
    ],
    ids=[
        "nothing",
        "text",
        "no length",
        "no block",
        "no such block",
        "cut",
        "shorter",
        "longer",
        "other sum",
        "zlib cut",
    ],
)
def test_what_is_damaged_is_no_text(stored: bytes) -> None:
    with pytest.raises((ValueError, OSError, zlib.error)):
        decompressed(stored)
