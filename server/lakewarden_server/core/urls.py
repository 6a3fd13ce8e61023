"""Storage URLs in one canonical spelling, so that one place has one name and "lies inside" compares whole segments.

Text is refused rather than repaired where two readers could take it for two places (`reference/reliability.md`
section 3, "Locations"): percent-encoding, `..`, empty segments, userinfo, ports, queries and fragments. The server never
opens a URL; engines do.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

URL_BYTES_MAX: Final = 2_048
SEGMENTS_MAX: Final = 64

_ALIASES: Final = {"s3a": "s3", "s3n": "s3", "abfs": "abfss"}
"""Other spellings of a scheme for the same storage; engines read the canonical one as well."""

_BUCKET: Final = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_AUTHORITIES: Final[Mapping[str, re.Pattern[str]]] = {
    "s3": re.compile(_BUCKET),
    "gs": re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]"),
    # The container stands where other URLs have userinfo. Private-link and zonal host names are second names of an
    # account, so only its first one is taken.
    "abfss": re.compile(
        r"[a-z0-9](?:[a-z0-9]|-(?!-)){1,61}[a-z0-9]@[a-z0-9]{3,24}\.dfs\.core\.(?:windows\.net|usgovcloudapi\.net|chinacloudapi\.cn)"
    ),
    "r2": re.compile(
        r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]@[0-9a-f]{32}\.(?:(?:eu|fedramp)\.)?r2\.cloudflarestorage\.com"
    ),
    # One machine's own files: for tests and for servers that stand beside their data.
    "file": re.compile(""),
}
_SHAPES: Final = {
    "s3": "s3://bucket/path",
    "gs": "gs://bucket/path",
    "abfss": "abfss://container@account.dfs.core.windows.net/path",
    "r2": "r2://bucket@account.r2.cloudflarestorage.com/path",
    "file": "file:///path",
}
_SECOND_NAMES: Final = ("-s3alias", "--ol-s3", ".mrap")
"""Endings of S3 names that stand for a bucket with another name: its overlap with the bucket could not be seen."""
_IP_ADDRESS: Final = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}")
_URL: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9]*)://(?P<authority>[^/]*)(?P<path>/.*)?", re.DOTALL)
_FORBIDDEN: Final = frozenset("%?#\\*[]{}$'\"`<>|^")
"""Encodings, ends of a path, and what globs, shells and the policy languages of clouds read as more than a letter."""


class InvalidUrl(ValueError):
    """The text is no storage URL that could be compared; the message says what to write instead."""


def canonical_url(text: str) -> str:
    """The one spelling of a storage URL: scheme and authority in lower case, path as it is, no slash at the end.

    Raises `InvalidUrl`. Two canonical URLs name the same place exactly when they are equal.
    """
    if len(text.encode(errors="surrogatepass")) > URL_BYTES_MAX:
        raise InvalidUrl(f"longer than {URL_BYTES_MAX} bytes")
    found = _URL.fullmatch(text)
    if found is None:
        raise InvalidUrl(f"it is not of the form {' or '.join(_SHAPES.values())}")
    scheme = found["scheme"].lower()
    scheme = _ALIASES.get(scheme, scheme)
    if scheme not in _AUTHORITIES:
        raise InvalidUrl(f"scheme {scheme!r} is none of {', '.join(_AUTHORITIES)}")
    authority = _authority(scheme, found["authority"])
    segments = _segments(found["path"] or "")
    if scheme == "file" and not segments:
        raise InvalidUrl("the root of a file system is no location: name a directory below it")
    return "/".join((f"{scheme}://{authority}", *segments))


def is_inside(url: str, container: str) -> bool:
    """Whether a canonical URL is `container` itself or below it, by whole segments: `/a/bc` is not inside `/a/b`."""
    return url == container or url.startswith(f"{container}/")


def overlap(one: str, other: str) -> bool:
    """Whether two canonical URLs share anything."""
    return is_inside(one, other) or is_inside(other, one)


def ancestors(url: str) -> tuple[str, ...]:
    """A canonical URL and everything above it, the longest first."""
    start = url.index("://") + 3
    found = [url]
    while (cut := found[-1].rfind("/")) > start:
        found.append(found[-1][:cut])
    return tuple(found)


def _authority(scheme: str, text: str) -> str:
    authority = text.lower() if text.isascii() else text
    if scheme == "file" and authority == "localhost":
        authority = ""
    if _AUTHORITIES[scheme].fullmatch(authority) is None or ".." in authority:
        raise InvalidUrl(f"write it as {_SHAPES[scheme]}, without user, password or port")
    if scheme == "s3" and (authority.endswith(_SECOND_NAMES) or _IP_ADDRESS.fullmatch(authority)):
        raise InvalidUrl("name the bucket itself, not an access point or address of it")
    return authority


def _segments(path: str) -> list[str]:
    if not path.strip("/") and len(path) <= 1:
        return []
    segments = path.removesuffix("/").split("/")[1:]
    if len(segments) > SEGMENTS_MAX:
        raise InvalidUrl(f"more than {SEGMENTS_MAX} levels deep")
    for segment in segments:
        _check_segment(segment)
    return segments


def _check_segment(segment: str) -> None:
    if not segment:
        raise InvalidUrl("it has an empty segment (two slashes in a row)")
    if segment in {".", ".."}:
        raise InvalidUrl(f"it has the segment {segment!r}: write the path it leads to")
    forbidden = sorted(_FORBIDDEN.intersection(segment))
    if forbidden:
        raise InvalidUrl(f"the path holds {forbidden[0]!r}; a path is written as it is stored, not encoded")
    if segment != segment.strip() or not all(_is_visible(character) for character in segment):
        raise InvalidUrl("the path holds a control or invisible character, or a space at an end of a segment")
    # A compatibility character can read as `/` or `.` to one engine and as itself to another.
    if unicodedata.normalize("NFKC", segment) != segment:
        raise InvalidUrl("the path is not in Unicode's NFKC form")


def _is_visible(character: str) -> bool:
    """Neither control, format, surrogate, private, unassigned, nor a space other than the plain one."""
    category = unicodedata.category(character)
    return character == " " or category[0] not in "CZ"
