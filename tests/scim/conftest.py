"""A real server with SCIM over HTTP, and HTTP clients of it."""

import httpx2
import pytest

from lakewarden_server.testing import serve


@pytest.fixture(scope="module")
def server():
    with serve(http=True) as running:
        yield running


@pytest.fixture(scope="module")
def http(server):
    """Makes an HTTP client with a token (the admin's, when none is given) at a mount."""
    made = []

    def client(token=None, *, mount="/scim/v2", **headers):
        sent = (server.admin_token if token is None else token).encode("latin-1")
        authorization = {"Authorization": b"Bearer " + sent if sent else b"Bearer"}
        one = httpx2.Client(base_url=server.http_url + mount, headers={**authorization, **headers})
        made.append(one)
        return one

    yield client
    for one in made:
        one.close()


@pytest.fixture(scope="module")
def admin(http):
    return http()
