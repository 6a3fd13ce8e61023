"""Key sets that identity providers publish at pinned URLs: fetched in the background, for no call and from no other host than the operator's.

A call takes what is there. A token of an unknown key asks for a fetch, at most once a minute for each URL, so that nobody makes
this server call around; and what was not confirmed for a day is not taken any more.
"""

from __future__ import annotations

import http.client
import ipaddress
import logging
import re
import socket
import ssl
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, urlsplit

from lakewarden_server.authn.jwks import JWKS_BYTES_MAX, InvalidJwks, KeySet, parse_jwks
from lakewarden_server.core.clock import monotonic

URL_BYTES_MAX: Final = 2_048
FETCH_SECONDS_MAX: Final = 2.0
REFRESH_SECONDS: Final = 300.0
REPEAT_SECONDS_MIN: Final = 60.0
"""Between two fetches of a URL, whatever is asked and whatever failed."""
CONFIRMED_SECONDS_MAX: Final = 86_400.0
ETAG_BYTES_MAX: Final = 256
POLL_SECONDS: Final = 0.25
HTTPS_PORT: Final = 443
_URL: Final = re.compile(r"https://[a-z0-9.-]+(:[0-9]{1,5})?/[!-~]*")
_TRANSLATED: Final = ipaddress.ip_network("64:ff9b::/96")
"""Addresses behind which there is one of IPv4, of whatever kind (RFC 6052)."""
logger = logging.getLogger("lakewarden")


class FetchFailed(Exception):
    """The keys could not be had; the message says why."""


def is_url(text: str) -> bool:
    """Whether what a policy says of its keys is where they are; a key set begins otherwise."""
    return text.startswith("https://")


@dataclass(frozen=True)
class JwksHosts:
    """The hosts keys are fetched from, as `host` or `host:port`, compared exactly; only `private` ones may have private addresses."""

    public: frozenset[str] = frozenset()
    private: frozenset[str] = frozenset()

    def check(self, url: str) -> SplitResult:
        """The parts of a URL keys may be fetched from. Raises `InvalidJwks`."""
        if len(url) > URL_BYTES_MAX or not _URL.fullmatch(url) or "#" in url:
            raise InvalidJwks("write https://HOST/PATH in lower case, without user and fragment")
        parts = urlsplit(url)
        if parts.netloc not in self.public | self.private:
            raise InvalidJwks(f"the server fetches no keys from {parts.netloc}: its operator allows hosts")
        return parts


@dataclass
class _Published:
    keys: KeySet | None = None
    etag: str = ""
    confirmed: float = 0.0
    tried: float | None = None
    """Monotonic seconds."""
    missed: bool = False
    problem: str = field(default="", repr=False)


class ProviderKeys:
    """What the providers publish, as of the last fetch. One thread fetches; any thread reads."""

    def __init__(self, hosts: JwksHosts, *, trusting: ssl.SSLContext | None = None) -> None:
        """`trusting` is the system's roots when absent."""
        self._hosts = hosts
        self._trusting = trusting
        self._published: dict[str, _Published] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lakewarden-provider-keys", daemon=True)

    def start(self) -> None:
        """Begins to fetch, where any host is allowed at all."""
        if self._hosts.public | self._hosts.private:
            self._trusting = self._trusting or ssl.create_default_context()
            self._trusting.minimum_version = ssl.TLSVersion.TLSv1_2
            self._thread.start()

    def stop(self) -> None:
        """Ends after the fetch that is under way."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def want(self, urls: Iterable[str]) -> None:
        """Which URLs the policies name now: others are forgotten."""
        self._published = {url: self._published.get(url) or _Published() for url in urls}

    def current(self, url: str) -> KeySet | None:
        """The keys at a URL; None before the first fetch, and when the last confirmation is too long ago."""
        found = self._published.get(url)
        if found is None or monotonic() - found.confirmed > CONFIRMED_SECONDS_MAX:
            return None
        return found.keys

    def missed(self, url: str) -> None:
        """Somebody showed a key that is not among them."""
        found = self._published.get(url)
        if found is not None:
            found.missed = True

    def _run(self) -> None:
        while not self._stopping.wait(POLL_SECONDS):
            for url, found in self._published.items():
                if _is_due(found) and not self._stopping.is_set():
                    self._refresh(url, found)

    def _refresh(self, url: str, found: _Published) -> None:
        found.tried, found.missed, problem = monotonic(), False, ""
        try:
            answer = self._fetch(self._hosts.check(url), found.etag)
            if answer is not None:
                text, etag = answer
                found.keys, found.etag = parse_jwks(text), etag
            found.confirmed = found.tried
        except (FetchFailed, InvalidJwks) as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001
            # One provider's answer, or its address, must not end the fetching for all.
            problem = f"{type(error).__name__} while they were fetched"
        if problem and problem != found.problem:
            logger.warning("the keys at %s were not taken, those of before stay: %s", url, problem)
        found.problem = problem

    def _fetch(self, url: SplitResult, etag: str) -> tuple[str, str] | None:
        """Text and ETag; None where nothing changed. Follows no redirect and uses no proxy. Raises `FetchFailed`."""
        assert url.hostname is not None
        assert self._trusting is not None
        port = url.port or HTTPS_PORT
        try:
            address = _address(url.hostname, port, private=url.netloc in self._hosts.private)
            connection = _Pinned(url.hostname, port, address, self._trusting)
            over = threading.Timer(FETCH_SECONDS_MAX, connection.cut)
            over.start()
            try:
                connection.request(
                    "GET",
                    url.path + (f"?{url.query}" if url.query else ""),
                    headers={"Accept": "application/json", **({"If-None-Match": etag} if etag else {})},
                )
                return _answer(connection.getresponse(), known=bool(etag))
            finally:
                over.cancel()
                connection.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise FetchFailed(f"{type(error).__name__}: {error}") from None


class _Pinned(http.client.HTTPSConnection):
    """A connection to the very address that was looked at; the name is what the certificate must have."""

    def __init__(self, host: str, port: int, address: str, trusting: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=FETCH_SECONDS_MAX, context=trusting)
        self._address, self._trusting = address, trusting
        self._is_over = False
        self._tls: socket.socket | None = None
        """Kept: `sock` is gone as soon as the head of a last answer was read."""

    def connect(self) -> None:
        """Connects; `cut` ends every step of it."""
        plain = socket.create_connection((self._address, self.port), timeout=FETCH_SECONDS_MAX)
        tls = self._trusting.wrap_socket(plain, server_hostname=self.host, do_handshake_on_connect=False)
        self.sock = self._tls = tls
        if self._is_over:
            raise TimeoutError("the time was over when it was connected")
        tls.do_handshake()

    def cut(self) -> None:
        """Ends the connection under whoever waits for it, also byte by byte."""
        self._is_over = True
        if self._tls is not None:
            with suppress(OSError):
                # Not that of TLS, which would take the object away that another thread is working with.
                socket.socket.shutdown(self._tls, socket.SHUT_RDWR)


def _is_due(found: _Published) -> bool:
    if found.tried is None:
        return True
    asked = found.missed or found.problem
    return monotonic() - found.tried >= (REPEAT_SECONDS_MIN if asked else REFRESH_SECONDS)


def _address(host: str, port: int, *, private: bool) -> str:
    """The first address of a host, none of which may be private unless that is allowed. Raises OSError, `FetchFailed`."""
    found = [info[4][0] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if not private and not all(_is_public(str(address)) for address in found):
        raise FetchFailed("the host has an address that is not public")
    return str(found[0])


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped.is_global and not address.ipv4_mapped.is_multicast
        if address.sixtofour or address.teredo or address in _TRANSLATED:
            return False
    return address.is_global and not address.is_multicast


def _answer(response: http.client.HTTPResponse, *, known: bool) -> tuple[str, str] | None:
    if response.status == http.HTTPStatus.NOT_MODIFIED and known:
        return None
    if response.status != http.HTTPStatus.OK:
        raise FetchFailed(f"the answer is {response.status}; redirects are not followed")
    body = response.read(JWKS_BYTES_MAX + 1)
    if len(body) > JWKS_BYTES_MAX:
        raise FetchFailed(f"it is longer than {JWKS_BYTES_MAX} bytes")
    if response.length:
        raise FetchFailed("it was cut short")
    etag = response.getheader("ETag") or ""
    return body.decode(), etag if len(
        etag
    ) <= ETAG_BYTES_MAX and etag.isascii() and etag.isprintable() else ""
