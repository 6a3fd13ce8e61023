"""What a producer sends: compressed or not, one event or a list of them. Every event keeps the bytes it came with."""

from __future__ import annotations

import json
import zlib
from typing import Final

import msgspec

from lakewarden_server.http.requests import BodyTooLarge
from lakewarden_server.pipeline.headers import LARGE_MESSAGE_BYTES_MAX

BODY_BYTES_MAX: Final = LARGE_MESSAGE_BYTES_MAX - 65_536
"""As sent and decompressed, so that the call it becomes is within its own limit."""
MEMBERS_MAX: Final = 256
"""Parts of one compressed body; what is left is copied for each, so that millions of empty ones would take minutes."""
EVENTS_MAX: Final = 1_000
"""Elements of one array. As many as the call takes, which a test holds it to."""
COMMAS_MAX: Final = 500_000
"""Of an array whose elements are counted after all of them were found; more than events of this size have."""
_GZIP: Final = 16 + zlib.MAX_WBITS
_SPACE: Final = " \t\n\r"
_read_elements: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


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
    members = 0
    try:
        while body:
            # A gzip file is one member after another.
            members += 1
            if members > MEMBERS_MAX:
                raise BodyInvalid(f"the body is compressed in more than {MEMBERS_MAX} parts")
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
    # An element and its comma are two bytes at least, so most bodies need no counting.
    if len(body) <= 2 * COMMAS_MAX or body.count(b",") <= COMMAS_MAX:
        try:
            elements = _read_elements(body)
        except (msgspec.MsgspecError, RecursionError):
            # What it does not read Python's own reader may.
            return _split_slowly(text)
        if len(elements) > EVENTS_MAX:
            raise _too_many()
        return [bytes(element) for element in elements]
    return _split_slowly(text)


def _split_slowly(text: str) -> list[bytes]:
    """The same, where no element is read over what a call takes."""
    decode = json.JSONDecoder().raw_decode
    elements: list[bytes] = []
    at = _after_space(text, 0)
    if text[at : at + 1] != "[":
        raise BodyInvalid("the body is not a JSON array")
    at = _after_space(text, at + 1)
    while text[at : at + 1] != "]" or elements:
        if len(elements) == EVENTS_MAX:
            raise _too_many()
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


def _too_many() -> BodyInvalid:
    return BodyInvalid(f"at most {EVENTS_MAX} events in one call")


def _after_space(text: str, at: int) -> int:
    while text[at : at + 1] and text[at] in _SPACE:
        at += 1
    return at
