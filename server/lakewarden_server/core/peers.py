"""Who is at the other end of a connection: the network address a call came from, as the transport says it.

What a proxy says of its own clients is not read: anybody could say it. Behind a proxy, the proxy is the peer.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_network
from typing import Final, NamedTuple
from urllib.parse import unquote

from lakewarden_policy import Address, parse_address

PEERS_REMEMBERED_MAX: Final = 10_000
LOCAL_ADDRESS: Final = "127.0.0.1"
"""What the peer of a Unix socket counts as: it is on this machine, and whoever may open the socket is said by its file."""
SITE_PREFIX: Final = 64
"""Bits of an IPv6 address that are one customer's: the others are theirs to choose, so counters do not look at them."""


class Peer(NamedTuple):
    """The other end of a connection."""

    address: Address | None
    """None where the transport's words cannot be read: such a peer is in no list."""
    text: str
    """For people."""
    site: str
    """What counters tell peers by."""


@lru_cache(PEERS_REMEMBERED_MAX)
def peer_at(host: str) -> Peer:
    """The peer at an address."""
    address = parse_address(host)
    if address is None:
        return Peer(None, host or "an unknown address", "")
    if isinstance(address, IPv6Address):
        return Peer(address, str(address), str(ip_network((address, SITE_PREFIX), strict=False)))
    return Peer(address, str(address), str(address))


LOCAL: Final = peer_at(LOCAL_ADDRESS)


def grpc_peer(text: str) -> Peer:
    """The peer gRPC names as `ipv4:HOST:PORT`, `ipv6:[HOST]:PORT` (its brackets perhaps percent-encoded) or `unix:PATH`."""
    if text.startswith("unix"):
        return LOCAL
    host = text.partition(":")[2].rpartition(":")[0]
    return peer_at(host if text.startswith("ipv4:") else unquote(host).strip("[]"))
