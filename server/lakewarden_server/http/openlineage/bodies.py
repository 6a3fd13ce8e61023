"""What a producer sends: compressed or not, one event or a list of them. Every event keeps the bytes it came with."""

from __future__ import annotations

import json
import zlib
from typing import Final

from lakewarden_server.http.requests import BodyTooLarge
from lakewarden_server.pipeline.headers import LARGE_MESSAGE_BYTES_MAX

BODY_BYTES_MAX: Final = LARGE_MESSAGE_BYTES_MAX - 65_536
"""As sent and decompressed, so that the call it becomes is within its own limit."""
_GZIP: Final = 16 + zlib.MAX_WBITS
_SPACE: Final = " \t\n\r"


class BodyInvalid(Exception):
    """A body that is no such thing; the message says what it is not."""


class EncodingUnknown(Exception):
    """A body compressed in a way this server does not read."""


def decoded(body: bytes, encoding: str) -> bytes:
    """The body as it was before `Content-Encoding`. Raises `BodyTooLarge` before more than the limit was read, `BodyInvalid`."""
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise EncodingUnknown
    found = bytearray()
    try:
        while body:
            # A gzip file is one member after another.
            member = zlib.decompressobj(_GZIP)
            found += member.decompress(body, BODY_BYTES_MAX + 1 - len(found))
            if len(found) > BODY_BYTES_MAX or member.unconsumed_tail:
                raise BodyTooLarge(BODY_BYTES_MAX)
            if not member.eof:
                raise BodyInvalid("the body ends before its compressed data does")
            body = member.unused_data
    except zlib.error:
        raise BodyInvalid("the body is not the gzip data it says it is") from None
    return bytes(found)


def split(body: bytes) -> list[bytes]:
    """The elements of a JSON array, each as it was written. Raises `BodyInvalid`."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise BodyInvalid("the body is not UTF-8") from None
    decode = json.JSONDecoder().raw_decode
    elements: list[bytes] = []
    at = _after_space(text, 0)
    if text[at : at + 1] != "[":
        raise BodyInvalid("the body is not a JSON array")
    at = _after_space(text, at + 1)
    while text[at : at + 1] != "]" or elements:
        try:
            _value, end = decode(text, at)
        except (ValueError, RecursionError):
            raise BodyInvalid("the body is not a JSON array") from None
        elements.append(text[at:end].encode())
        at = _after_space(text, end)
        if text[at : at + 1] == "]":
            break
        if text[at : at + 1] != ",":
            raise BodyInvalid("the body is not a JSON array")
        at = _after_space(text, at + 1)
    if _after_space(text, at + 1) != len(text):
        raise BodyInvalid("something follows the JSON array")
    return elements


def _after_space(text: str, at: int) -> int:
    while text[at : at + 1] and text[at] in _SPACE:
        at += 1
    return at
