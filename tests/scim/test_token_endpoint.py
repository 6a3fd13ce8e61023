"""The token endpoint beside SCIM: forms of RFC 6749 and RFC 8693 get access tokens, and each wrong one its own error."""

import httpx2
import pytest

from services.providers import AUDIENCE, ISSUER, SUBJECT, Provider

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"
CLIENT = {"grant_type": "client_credentials"}


@pytest.fixture(scope="module")
def program(server):
    """Application id and client secret of a service principal, and a provider whose tokens stand for it."""
    admin, provider = server.client(), Provider()
    name = admin.service_principals.create("spark").name
    secret = admin.service_principals.create_secret(name).secret_value
    admin.federation_policies.create(
        ISSUER, [AUDIENCE], provider.jwks, service_principal=name, subject=SUBJECT
    )
    return name, secret, provider


def asked(server, form, **more):
    return httpx2.post(f"{server.http_url}/oidc/v1/token", data=form, **more)


def test_client_secret_gets_an_access_token_in_the_header_or_in_the_form(server, program):
    name, secret, _ = program
    for answer in (
        asked(server, {**CLIENT, "scope": "all-apis"}, auth=(name, secret)),
        asked(server, {**CLIENT, "client_id": name, "client_secret": secret}),
    ):
        body = answer.json()
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        assert (body["token_type"], 3_500 < body["expires_in"] <= 3_600) == ("Bearer", True)
        assert server.client(body["access_token"], workspace="").session.get().principal == name


def test_providers_token_is_exchanged(server, program):
    name, _, provider = program
    form = {"grant_type": EXCHANGE, "subject_token": provider.token(), "subject_token_type": JWT}
    body = asked(server, form).json()
    assert body["issued_token_type"].endswith("access_token")
    assert server.client(body["access_token"], workspace="").session.get().principal == name
    refused = asked(server, {**form, "subject_token": Provider().token()})
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({}, 400, "invalid_request"),
        (CLIENT, 401, "invalid_client"),
        ({**CLIENT, "client_id": "x", "client_secret": "lwsec_x"}, 401, "invalid_client"),
        ({**CLIENT, "scope": "sql"}, 400, "invalid_scope"),
        ({**CLIENT, "client_id": ["a", "b"]}, 400, "invalid_request"),
        ({**CLIENT, "filler": "x" * 20_000}, 413, "invalid_request"),
        ({"grant_type": EXCHANGE}, 400, "invalid_request"),
        ({"grant_type": EXCHANGE, "subject_token": "x", "subject_token_type": JWT}, 400, "invalid_grant"),
    ],
)
def test_wrong_form_is_refused_with_its_error(server, form, status, error):
    answer = asked(server, form, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.headers["cache-control"] == "no-store"


def test_two_secrets_another_scheme_and_another_body_are_refused(server, program):
    name, secret, _ = program
    both = asked(server, {**CLIENT, "client_secret": secret}, auth=(name, secret))
    bearer = asked(server, CLIENT, headers={"Authorization": f"Bearer {server.admin_token}"})
    json = httpx2.post(f"{server.http_url}/oidc/v1/token", json=CLIENT)
    assert [answer.json()["error"] for answer in (both, bearer, json)] == ["invalid_request"] * 3
    assert httpx2.get(f"{server.http_url}/oidc/v1/token").status_code == 405
