"""Network addresses, and which of them a scope's IP access lists admit (semantics 5.7)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    collapse_addresses,
    ip_address,
    ip_network,
)
from typing import Final

from lakewarden_policy.records import IpAccessList

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
ALLOW: Final = "ALLOW"
BLOCK: Final = "BLOCK"
_MAPPED: Final = ip_network("::ffff:0:0/96")


class InvalidNetwork(ValueError):
    """A text that is no network, or one that two readers could read as two."""


def parse_address(text: str) -> Address | None:
    """An address without its zone; an IPv4 address in the form of IPv6 is the IPv4 address. None for anything else."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def parse_network(text: str) -> Network:
    """A network or a single address. Raises `InvalidNetwork` for one with bits of a host, a zone or an unusual notation."""
    try:
        # A mask in place of a length (`10.0.0.0/0.0.0.255`) is read as its opposite by some.
        if not text.isascii() or "." in text.partition("/")[2] or "%" in text:
            raise ValueError("write an address, or an address/length")
        found = ip_network(text)
    except ValueError as error:
        raise InvalidNetwork(f"{text[:64]!r} is no network: {error}") from None
    if not isinstance(found, IPv6Network) or not found.overlaps(_MAPPED):
        return found
    if found.prefixlen < _MAPPED.prefixlen:
        # It holds more than IPv4 written as IPv6; no caller has such an address, so this part of it says nothing.
        return found
    mapped = found.network_address.ipv4_mapped
    assert mapped is not None
    return IPv4Network((mapped, found.prefixlen - _MAPPED.prefixlen))


class Networks:
    """Networks of both families, joined and in order: a look-up is a bisection."""

    def __init__(self, texts: Iterable[str]) -> None:
        parsed = [parse_network(text) for text in texts]
        self._ranges: dict[int, tuple[list[int], list[int]]] = {}
        families: dict[int, list[Network]] = {
            4: list(collapse_addresses(found for found in parsed if isinstance(found, IPv4Network))),
            6: list(collapse_addresses(found for found in parsed if isinstance(found, IPv6Network))),
        }
        for version, networks in families.items():
            if networks:
                self._ranges[version] = (
                    [int(found.network_address) for found in networks],
                    [int(found.broadcast_address) for found in networks],
                )

    def __contains__(self, address: Address) -> bool:
        ranges = self._ranges.get(address.version)
        if ranges is None:
            return False
        first, last = ranges
        number = int(address)
        at = bisect_right(first, number) - 1
        return at >= 0 and number <= last[at]


class Admission:
    """The enabled lists of one scope."""

    def __init__(self, lists: Iterable[IpAccessList]) -> None:
        texts: dict[str, list[str]] = {}
        for found in lists:
            texts.setdefault(found.list_type, []).extend(found.ip_addresses)
        self._blocked = Networks(texts.get(BLOCK, ()))
        # No ALLOW list allows all; one of nothing would allow nothing.
        self._allowed = Networks(texts[ALLOW]) if ALLOW in texts else None
        self._is_open = not texts

    def admits(self, address: Address | None) -> bool:
        """BLOCK first, then ALLOW. An address that is not known is in no list, and so is admitted where there are none only."""
        if address is None:
            return self._is_open
        return address not in self._blocked and (self._allowed is None or address in self._allowed)


class Admissions(dict[str, Admission | None]):
    """Scope id (the account's or a workspace's) -> its lists while it enforces them, else None; worked out at the first look-up."""

    def __init__(self, lists: Mapping[str, tuple[IpAccessList, ...]], enforced: Mapping[str, bool]) -> None:
        super().__init__()
        self._lists, self._enforced = lists, enforced

    def __missing__(self, scope_id: str) -> Admission | None:
        # What enforces nothing is not kept: asking for it must not fill memory.
        if scope_id not in self._enforced:
            return None
        found = self[scope_id] = Admission(self._lists.get(scope_id, ()))
        return found

    def refuses(self, scope_id: str, address: Address | None) -> bool:
        """Whether a call from the address is refused in the scope."""
        if not self._enforced:
            return False
        found = self[scope_id]
        return found is not None and not found.admits(address)
