"""Pages by key, never by offset. A page token is authenticated and good only for the caller, workspace and list it was made for."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from lakewarden_server.core.errors import InvalidArgument, Reason

PAGE_SIZE_DEFAULT = 100
PAGE_SIZE_MAX = 1_000
_MAC_BYTES = 16

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Pager:
    """Reads and writes page tokens under a key derived from the key file."""

    key: bytes
    scope: str
    """Everything a token is bound to: method, caller, workspace, epoch."""

    def page(
        self,
        rows: Sequence[Row],
        sort_key: Callable[[Row], str],
        *,
        list_name: str,
        page_size: int,
        page_token: str,
        skip: int = 0,
    ) -> tuple[Sequence[Row], str]:
        """The rows after the token's key but for the first `skip`, and the token of the next page, empty at the end.

        `rows` are in the order of `sort_key`. Raises `InvalidArgument` for a negative number or a token that is not of this list.
        """
        if skip < 0:
            raise InvalidArgument(Reason.FIELD_INVALID, "skip is negative", field="skip")
        size = page_size_of(page_size)
        start = 0
        if page_token:
            last = self.read(list_name, page_token)
            start = _after(rows, sort_key, last)
        start += skip
        page = rows[start : start + size]
        more = start + size < len(rows)
        return page, self.write(list_name, sort_key(page[-1])) if more and page else ""

    def write(self, list_name: str, last: str) -> str:
        """A token that continues `list_name` after the key `last`."""
        body = json.dumps([list_name, last], ensure_ascii=False, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._mac(body) + body).decode().rstrip("=")

    def read(self, list_name: str, token: str) -> str:
        """The key a token continues after."""
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (binascii.Error, ValueError):
            raise invalid_token() from None
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(body)):
            raise invalid_token()
        name, last = json.loads(body)
        if name != list_name:
            raise invalid_token()
        return str(last)

    def _mac(self, body: bytes) -> bytes:
        return hmac.new(self.key, self.scope.encode() + b"\0" + body, hashlib.sha256).digest()[:_MAC_BYTES]


def page_size_of(requested: int, *, size_max: int = PAGE_SIZE_MAX) -> int:
    """The page size to use: 0 means the default, more than the maximum means the maximum."""
    if requested < 0:
        raise InvalidArgument(
            Reason.FIELD_INVALID, "page_size is negative: send 0 for the default", field="page_size"
        )
    return min(requested or PAGE_SIZE_DEFAULT, size_max)


def _after(rows: Sequence[Row], sort_key: Callable[[Row], str], last: str) -> int:
    low, high = 0, len(rows)
    while low < high:
        middle = (low + high) // 2
        if sort_key(rows[middle]) <= last:
            low = middle + 1
        else:
            high = middle
    return low


def invalid_token() -> InvalidArgument:
    """PAGE_TOKEN_INVALID."""
    return InvalidArgument(
        Reason.PAGE_TOKEN_INVALID,
        "the page token is not from this list, caller and workspace: start again without it",
        field="page_token",
    )
