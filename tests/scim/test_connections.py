"""Connections that ask nothing: they end, and they keep nobody from being answered."""

import socket
import time
from contextlib import ExitStack

import httpx2
import pytest

from lakewarden_server.http import connections

HEAD = b"GET /scim/v2/ServiceProviderConfig HTTP/1.1\r\nHost: a\r\n"


@pytest.fixture
def connect(server):
    """Opens a connection to the server."""
    host, _, port = server.app.http_address.rpartition(":")
    with ExitStack() as stack:
        yield lambda: stack.enter_context(socket.create_connection((host, int(port)), timeout=10))


def is_answered(server):
    return httpx2.get(f"{server.http_url}/scim/v2/ServiceProviderConfig").status_code == 200


def is_ended(connection):
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def seconds_of_trickling(connection):
    """How long a connection lives on which a head comes byte by byte and never ends."""
    begun = time.monotonic()
    connection.settimeout(0.05)
    while time.monotonic() < begun + 10:
        try:
            connection.sendall(b"X")
            if connection.recv(1_000) == b"":
                break
        except TimeoutError:
            continue
        except ConnectionError:
            break
    return time.monotonic() - begun


def test_idle_connections_keep_nobody_from_being_answered(server, connect):
    for _ in range(250):
        connect()
    assert is_answered(server)


def test_connection_that_sends_nothing_ends(connect, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    assert is_ended(connect())


def test_head_that_never_ends_ends_the_connection(connect, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    first = connect()
    first.sendall(HEAD)
    assert seconds_of_trickling(first) < 5
    second = connect()
    second.sendall(HEAD + b"\r\n")
    assert second.recv(10_000).startswith(b"HTTP/1.1 200")
    assert seconds_of_trickling(second) < 5


def test_request_that_has_begun_has_its_time(connect, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    connection = connect()
    connection.sendall(HEAD + b"Content-Length: 2\r\n\r\n")
    time.sleep(0.6)
    connection.sendall(b"{}")
    assert connection.recv(10_000).startswith(b"HTTP/1.1 200")


def test_longest_idle_connection_makes_room(server, connect, monkeypatch):
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 3)
    idle = [connect() for _ in range(3)]
    busy = connect()
    busy.sendall(HEAD + b"Content-Length: 2\r\n\r\n")
    assert is_ended(idle[0])
    assert is_answered(server)
    assert is_ended(idle[1])
    busy.sendall(b"{}")
    assert busy.recv(10_000).startswith(b"HTTP/1.1 200")


def test_new_connection_ends_where_all_others_are_answered(connect, monkeypatch):
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 2)
    busy = [connect(), connect()]
    for connection in busy:
        connection.sendall(HEAD + b"Content-Length: 2\r\n\r\n")
    time.sleep(0.3)
    assert is_ended(connect())
    for connection in busy:
        connection.sendall(b"{}")
        assert connection.recv(10_000).startswith(b"HTTP/1.1 200")
