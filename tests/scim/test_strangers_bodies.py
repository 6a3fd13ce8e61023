"""Whose body is taken: nobody's without a credential, little of whoever has one that proves to be nobody's, and the whole of a caller's."""

import re
import socket
from contextlib import ExitStack

import pytest

from lakewarden_server.authn.tokens import TokenKind, mint
from lakewarden_server.http.requests import BODY_BYTES_MAX, OPEN_BODY_BYTES_MAX, UNPROVEN_BODY_BYTES_MAX

PATHS = ["/scim/v2/Users", "/api/2.0/preview/scim/v2/Groups", "/api/2.0/token/create"]
MISSPELT = ["", "Bearer", "Bearer lwpat_x", "Bearer {}x", "Basic !", "Digest a", "Bearer a.b.c"]


@pytest.fixture
def connect(server):
    """Opens a connection to the server."""
    host, _, port = server.app.http_address.rpartition(":")
    with ExitStack() as stack:
        yield lambda: stack.enter_context(socket.create_connection((host, int(port)), timeout=10))


def head(path, authorization="", length=BODY_BYTES_MAX, more=""):
    """The head of a request with a body."""
    shown = f"Authorization: {authorization}\r\n" if authorization else ""
    return f"POST {path} HTTP/1.1\r\nHost: a\r\n{shown}{more}Content-Length: {length}\r\n\r\n".encode()


def status(connection):
    """The status of the answer, all of which is read; None where there is none in half a second."""
    connection.settimeout(0.5)
    try:
        answer = connection.recv(100_000)
    except TimeoutError:
        return None
    finally:
        connection.settimeout(10)
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    while length and len(body) < int(length[1]):
        body += connection.recv(100_000)
    assert head.startswith(b"HTTP/1.1 ")
    return int(head[9:12])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("authorization", MISSPELT)
def test_what_is_no_credential_is_refused_before_a_byte_of_the_body(server, connect, path, authorization):
    connection = connect()
    connection.sendall(head(path, authorization.format(server.admin_token)))
    assert status(connection) == 401


def test_stranger_is_not_asked_to_send_on(server, connect):
    stranger, caller = connect(), connect()
    expecting = "Expect: 100-continue\r\n"
    stranger.sendall(head(PATHS[0], more=expecting))
    assert status(stranger) == 401
    caller.sendall(head(PATHS[0], f"Bearer {server.admin_token}", more=expecting))
    assert status(caller) == 100


@pytest.mark.parametrize("path", PATHS)
def test_well_formed_token_of_nobody_gets_no_further_than_a_first_piece(connect, path):
    connection = connect()
    connection.sendall(head(path, f"Bearer {mint(TokenKind.PAT).render()}"))
    connection.sendall(b" " * UNPROVEN_BODY_BYTES_MAX)
    assert status(connection) is None
    connection.sendall(b" ")
    assert status(connection) == 401


@pytest.mark.parametrize("path", PATHS[:2])
def test_control_callers_whole_body_is_read(server, connect, path):
    connection = connect()
    connection.sendall(
        head(path, f"Bearer {server.admin_token}", more="Content-Type: application/scim+json\r\n")
    )
    connection.sendall(b" " * (BODY_BYTES_MAX - 1))
    assert status(connection) is None
    connection.sendall(b"{")
    assert status(connection) == 400


def test_body_of_a_refused_request_is_not_taken_for_the_next_one(server, connect):
    connection = connect()
    smuggled = b"DELETE /scim/v2/Groups/7 HTTP/1.1\r\nHost: a\r\n\r\n"
    connection.sendall(head(PATHS[0], length=len(smuggled)))
    assert status(connection) == 401
    connection.sendall(smuggled)
    assert status(connection) is None
    connection.sendall(b"GET /scim/v2/ServiceProviderConfig HTTP/1.1\r\nHost: a\r\n\r\n")
    assert status(connection) == 200


@pytest.mark.parametrize("path", ["/scim/v2/Nothing/at/all", "/oidc/v1/token"])
def test_where_no_credential_is_asked_for_bodies_are_small(connect, path):
    connection = connect()
    form = "Content-Type: application/x-www-form-urlencoded\r\n"
    connection.sendall(head(path, length=OPEN_BODY_BYTES_MAX + 1, more=form))
    connection.sendall(b"a" * OPEN_BODY_BYTES_MAX)
    assert status(connection) is None
    connection.sendall(b"a")
    assert status(connection) == 413
