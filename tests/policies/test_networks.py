"""Addresses and networks: what admits what, compared with asking every network one by one."""

from __future__ import annotations

import random
from bisect import bisect_left
from ipaddress import ip_address, ip_network

import pytest

from lakewarden_policy import Address, Admission, InvalidNetwork, IpAccessList, parse_address, parse_network
from lakewarden_policy import networks as module
from lakewarden_server.core.peers import grpc_peer, peer_at

ROUNDS = 300


def a_network(rng: random.Random) -> str:
    if rng.random() < 0.5:
        return str(ip_network((0x0A000000 + rng.randrange(256), rng.randrange(24, 33)), strict=False))
    return str(ip_network((0x20010DB8 << 96 | rng.randrange(256), rng.randrange(120, 129)), strict=False))


def an_address(rng: random.Random) -> Address:
    low = rng.randrange(256)
    return ip_address(0x0A000000 + low) if rng.random() < 0.5 else ip_address(0x20010DB8 << 96 | low)


def by_hand(lists: list[IpAccessList], address: Address) -> bool:
    """Semantics 5.7, word for word."""

    def is_in(found: IpAccessList) -> bool:
        return any(address in ip_network(text) for text in found.ip_addresses)

    if any(found.list_type == "BLOCK" and is_in(found) for found in lists):
        return False
    allowing = [found for found in lists if found.list_type == "ALLOW"]
    return not allowing or any(is_in(found) for found in allowing)


def disagreements(seed: int) -> int:
    rng, count = random.Random(seed), 0
    for _ in range(ROUNDS):
        lists = [
            IpAccessList(
                str(n),
                "account",
                rng.choice(("ALLOW", "BLOCK")),
                tuple(a_network(rng) for _ in range(rng.randrange(1, 6))),
            )
            for n in range(rng.randrange(4))
        ]
        admission = Admission(lists)
        count += sum(
            admission.admits(address) != by_hand(lists, address)
            for address in (an_address(rng) for _ in range(20))
        )
    return count


def test_admission_agrees_with_the_words_of_the_semantics() -> None:
    assert disagreements(1) == 0


def test_control_an_edge_that_is_off_by_one_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "bisect_right", bisect_left)
    assert disagreements(1) > 0


def test_control_allow_before_block_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Admission,
        "admits",
        lambda self, a: (self._allowed is not None and a in self._allowed) or a not in self._blocked,
    )
    assert disagreements(1) > 0


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.0.0.7", "10.0.0.7/32"),
        ("::1", "::1/128"),
        ("2001:DB8:0::/32", "2001:db8::/32"),
        ("::ffff:10.0.0.7", "10.0.0.7/32"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("::/0", "::/0"),
    ],
)
def test_network_is_read(written: str, read: str) -> None:
    assert str(parse_network(written)) == read


@pytest.mark.parametrize(
    "text",
    ["", " 10.0.0.1", "10.0.0.1/8", "10.0.0.0/0.0.0.255", "10.0.0.0/255.0.0.0", "10.1", "167772161", "0x0a.0.0.1",
     "010.0.0.1", "1٠.0.0.1", "fe80::1%eth0", "[::1]", "10.0.0.1:80", "2001:db8::1/32", "10.0.0.0/-1", "10.0.0.0/33"],
)  # fmt: skip
def test_text_that_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(InvalidNetwork):
        parse_network(text)


@pytest.mark.parametrize(
    ("said", "address", "site"),
    [
        ("ipv4:10.0.0.7:1234", "10.0.0.7", "10.0.0.7"),
        ("ipv6:[::1]:1234", "::1", "::/64"),
        ("ipv6:%5B2001:db8::7%5D:1234", "2001:db8::7", "2001:db8::/64"),
        ("ipv6:%5B::ffff:10.0.0.7%5D:1234", "10.0.0.7", "10.0.0.7"),
        ("ipv6:%5Bfe80::1%252%5D:1234", "fe80::1", "fe80::/64"),
        ("unix:", "127.0.0.1", "127.0.0.1"),
        ("unix:/run/lakewarden.sock", "127.0.0.1", "127.0.0.1"),
    ],
)
def test_peer_is_read_as_grpc_says_it(said: str, address: str, site: str) -> None:
    peer = grpc_peer(said)
    assert (str(peer.address), peer.site) == (address, site)


@pytest.mark.parametrize("said", ["", "ipv4:", "ipv4:nonsense:1", "vsock:3:4", "inproc:1"])
def test_peer_that_cannot_be_read_has_no_address(said: str) -> None:
    assert grpc_peer(said).address is None
    assert not Admission([IpAccessList("1", "account", "BLOCK", ("10.0.0.0/8",))]).admits(
        grpc_peer(said).address
    )


def test_one_ipv6_customer_is_one_site() -> None:
    assert peer_at("2001:db8::1").site == peer_at("2001:db8::ffff:1").site != peer_at("2001:db8:0:1::1").site
    assert parse_address("nonsense") is None
