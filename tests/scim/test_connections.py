"""Connections that wait for their clients, to ask, to send or to read: they end, and they keep nobody from being answered."""

import json
import socket
import time
from contextlib import ExitStack, contextmanager

import httpx2
import pytest

from lakewarden_policy import load_policy
from lakewarden_server.core.clock import monotonic
from lakewarden_server.http import connections, requests
from scim.requests import user

HEAD = b"GET /scim/v2/ServiceProviderConfig HTTP/1.1\r\nHost: a\r\n"
SLOW = HEAD + b"Content-Length: 2\r\n\r\n"
SCHEMAS = b"GET /scim/v2/Schemas HTTP/1.1\r\nHost: a\r\n\r\n"
UNREAD = 200
"""Answers of 8 kB each: more than the buffers of both ends take where the client's is small."""
SECONDS_MAX = 20.0
EVE = "127.0.0.66"


@pytest.fixture
def connect(server):
    """Opens a connection to the server, from an address of this machine."""
    host, _, port = server.app.http_address.rpartition(":")

    def connected(source="127.0.0.1", *, buffer_bytes=None):
        made = stack.enter_context(socket.socket())
        if buffer_bytes:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        made.settimeout(SECONDS_MAX)
        made.bind((source, 0))
        made.connect((host, int(port)))
        return made

    with ExitStack() as stack:
        yield connected


@contextmanager
def writes_held(server):
    """Nothing is written while the block runs: a request that writes has a thread, and waits in it."""
    admin = server.app.follower.at_head().snapshot.principal_named("admin@example.com")
    with server.app.database.write(
        deadline=monotonic() + 30, request_id="", actor_id=admin.id, policy_digest=load_policy().digest
    ):
        yield


def creation(server, name):
    """The bytes of a request that writes."""
    body = json.dumps(user(name)).encode()
    return b"POST /scim/v2/Users HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s" % (
        server.admin_token.encode(), len(body), body,
    )  # fmt: skip


def is_alive(connection):
    """Whether the other end still has the connection: nothing arrives, and no end."""
    connection.settimeout(0.3)
    try:
        return connection.recv(1) != b""
    except TimeoutError:
        return True
    except ConnectionError:
        return False
    finally:
        connection.settimeout(10)


def everything(connection):
    """All that arrives until the other end ends the connection or for long sends nothing."""
    found = bytearray()
    try:
        while piece := connection.recv(1 << 20):
            found += piece
    except (ConnectionError, TimeoutError):
        pass
    return bytes(found)


def eventually(condition):
    """Waits until a condition holds."""
    give_up = time.monotonic() + SECONDS_MAX
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def is_cut(connection):
    """Whether the other end has done with a connection on which there is something to read."""
    try:
        connection.sendall(b"X")
    except ConnectionError:
        return True
    return False


def is_served(server):
    """Whether somebody who comes now is answered, and not sent away."""
    try:
        return is_answered(server)
    except httpx2.TransportError:
        return False


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


def test_new_connection_ends_where_all_others_are_worked_on(server, connect, monkeypatch):
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 2)
    busy = [connect(), connect()]
    with writes_held(server):
        for number, connection in enumerate(busy):
            connection.sendall(creation(server, f"busy{number}@connections.example"))
        time.sleep(0.3)
        assert is_ended(connect())
    for connection in busy:
        assert connection.recv(10_000).startswith(b"HTTP/1.1 201")


def test_slow_bodies_keep_nobody_from_being_answered(server, connect, monkeypatch):
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 3)
    busy = connect()
    with writes_held(server):
        busy.sendall(creation(server, "worked-on@connections.example"))
        slow = [connect() for _ in range(2)]
        for connection in slow:
            connection.sendall(SLOW + b"{")
            time.sleep(0.1)
        # The one that waits longest goes, and not the one that came first and is worked on.
        assert is_answered(server)
        assert [is_alive(connection) for connection in slow] == [False, True]
        assert is_answered(server)
    assert busy.recv(10_000).startswith(b"HTTP/1.1 201")


def test_body_that_trickles_ends(connect, monkeypatch):
    monkeypatch.setattr(requests, "BODY_SECONDS", 0.5)
    connection = connect()
    connection.sendall(HEAD + b"Content-Length: 10000\r\n\r\n")
    assert seconds_of_trickling(connection) < 5


def test_answers_nobody_reads_keep_nobody_from_being_answered(server, connect, monkeypatch):
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 3)
    unread = [connect(buffer_bytes=4_096) for _ in range(3)]
    for connection in unread:
        connection.sendall(SCHEMAS * UNREAD)
    eventually(lambda: is_served(server))
    eventually(lambda: any(is_cut(connection) for connection in unread))


def test_client_that_does_not_take_its_answers_is_cut(connect, monkeypatch):
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 0.5)
    connection = connect(buffer_bytes=4_096)
    connection.sendall(SCHEMAS * UNREAD)
    eventually(lambda: is_cut(connection))


def test_control_client_that_takes_its_answers_late_gets_them_all(connect):
    connection = connect(buffer_bytes=4_096)
    last = SCHEMAS.replace(b"Host: a", b"Host: a\r\nConnection: close")
    connection.sendall(SCHEMAS * (UNREAD - 1) + last)
    time.sleep(2)
    assert everything(connection).count(b"HTTP/1.1 200") == UNREAD


def test_one_address_drives_out_only_its_own(server, connect, monkeypatch):
    monkeypatch.setattr(connections, "CONNECTIONS_PER_PEER_MAX", 2)
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 5)
    good = connect()
    hostile = [connect(EVE) for _ in range(10)]
    assert [is_alive(connection) for connection in hostile] == [False] * 8 + [True] * 2
    good.sendall(HEAD + b"\r\n")
    assert good.recv(10_000).startswith(b"HTTP/1.1 200")


def test_control_without_a_limit_of_its_own_one_address_drives_out_others(connect, monkeypatch):
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 5)
    good = connect()
    for _ in range(10):
        connect(EVE)
    assert is_ended(good)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("a" * 255, 200), ("[::1]:8443", 200), ("lake_warden.example:1", 200), ("", 200),
        ("a" * 256, 400), ("a/b", 400), ("a b", 400), ("a@b", 400), ("a?b", 400), ("\xe9", 400),
    ],
)  # fmt: skip
def test_host_is_short_and_a_host(connect, host, status):
    connection = connect()
    connection.sendall(SCHEMAS.replace(b"Host: a", b"Host: " + host.encode("latin-1")))
    assert connection.recv(100).startswith(b"HTTP/1.1 %d" % status)


@pytest.mark.parametrize(
    "heads",
    [
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n",
    ],
)
def test_a_head_that_can_be_read_two_ways_is_refused_and_nothing_after_it_is_answered(connect, heads):
    """What a proxy takes for the body of one request must not be another request here."""
    hidden = b"0\r\n\r\n" + SCHEMAS
    connection = connect()
    connection.sendall(b"POST /scim/v2/Users HTTP/1.1\r\nHost: a\r\n" + heads + b"\r\n" + hidden)
    told = b""
    while piece := connection.recv(65_536):
        told += piece
    assert told.startswith(b"HTTP/1.1 400 ")
    assert told.count(b"HTTP/1.1 ") == 1
