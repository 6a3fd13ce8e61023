"""Addresses a server listens on: which of them only this machine reaches, and what is refused on the others."""

from __future__ import annotations

import ipaddress

from lakewarden_server.core.errors import OperatorError


class AddressUnavailable(OperatorError):
    """The address cannot be bound."""

    @classmethod
    def at(cls, address: str) -> AddressUnavailable:
        """The error with what to do."""
        return cls(
            f"cannot listen on {address}: another server has it, or it is no address of this machine; "
            "stop the other one or choose another"
        )


class InsecureAddress(OperatorError):
    """Plaintext was asked for on an address that other machines reach."""


def refuse_plaintext(address: str, *, tls: bool, allowed: bool) -> None:
    """Raises `InsecureAddress` for an address off loopback without TLS, unless the operator allows it."""
    if not tls and not allowed and not is_loopback(address):
        raise InsecureAddress(
            f"plaintext on {address} would show tokens to the network: give a TLS certificate and key, "
            "listen on 127.0.0.1, or allow plaintext explicitly"
        )


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches `host:port`."""
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return address.startswith("unix:")
