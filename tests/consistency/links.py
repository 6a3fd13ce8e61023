"""The way of one replica to its database: a TCP proxy that cuts, holds or slows it when a storm says so."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from sqlalchemy import make_url

from consistency.proxies import Proxy

CONNECT_SECONDS = 5.0
DEFAULT_PORT = 5432


class DatabaseLink(Proxy):
    """A proxy in front of one PostgreSQL; `url` is the database's through it."""

    def __init__(self, url: str) -> None:
        self._database = url
        self._is_cut = False
        self._delay_seconds = 0.0
        self._open = threading.Event()
        self._open.set()
        super().__init__(self._connect)
        self.url = url_through(url, int(self.endpoint.rpartition(":")[2]))

    def cut(self, seconds: float) -> None:
        """Ends every connection at once and refuses new ones for a while."""
        self._during(seconds, lambda value: setattr(self, "_is_cut", value), self.cut_all)

    def hold(self, seconds: float) -> None:
        """Lets no byte through for a while, in either direction, and then all of them."""
        self._during(seconds, lambda value: self._open.clear() if value else self._open.set())

    def slow(self, delay: float, *, seconds: float) -> None:
        """Makes each piece of traffic wait, for a while."""
        self._during(seconds, lambda value: setattr(self, "_delay_seconds", delay if value else 0.0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.set()
        self.close()

    def _forwarding(self, *, from_client: bool) -> None:
        self._open.wait()
        if self._delay_seconds:
            time.sleep(self._delay_seconds)

    def _connect(self) -> socket.socket:
        if self._is_cut:
            raise ConnectionRefusedError
        return connect_to(self._database)

    @staticmethod
    def _during(
        seconds: float, switch: Callable[[bool], object], act: Callable[[], object] | None = None
    ) -> None:
        switch(True)
        try:
            if act is not None:
                act()
            time.sleep(seconds)
        finally:
            switch(False)


def url_through(url: str, port: int) -> str:
    """The URL of the same database over TCP and a port of this machine, in plain text, as a proxy reads it."""
    through = make_url(url).difference_update_query(["host", "port"]).set(host="127.0.0.1", port=port)
    plain = through.update_query_dict({"sslmode": "disable", "gssencmode": "disable"})
    return plain.render_as_string(hide_password=False)


def connect_to(url: str) -> socket.socket:
    """A connection to the server of this database as libpq would make it: to the socket in the directory that stands for a host, or over TCP."""
    database = make_url(url)
    host = database.host or database.query.get("host")
    port = database.port or DEFAULT_PORT
    if not isinstance(host, str) or not host.startswith("/"):
        return socket.create_connection((str(host or "127.0.0.1"), port), CONNECT_SECONDS)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(CONNECT_SECONDS)
    try:
        connection.connect(f"{host}/.s.PGSQL.{port}")
    except OSError:
        connection.close()
        raise
    connection.settimeout(None)
    return connection
