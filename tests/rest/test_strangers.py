"""What the Databricks API tells those who may nothing: the same of what there is and of what there is not, and no secret to anybody's log."""

import json
import re
from uuid import UUID

import httpx2
import pytest

from lakewarden_server.http.rest.endpoints import OPERATIONS
from lakewarden_server.testing import WORKSPACE, serve
from pipeline.test_planted_secrets import dump, everything_logged

ASSIGNED = "bob@example.com"
ABSENT = {
    "token_id": "9" * 22, "secret_id": "9" * 22, "type": "jobs", "above": "sql", "id": "none",
    "workspace": "elsewhere", "principal": str(UUID(int=7)),
}  # fmt: skip
BODY = {
    "access_control_list": [{"user_name": ASSIGNED, "permission_level": "CAN_USE"}],
    "permissions": ["ADMIN"],
    "comment": "mine",
}


@pytest.fixture(scope="module")
def server():
    with serve(http=True) as running:
        yield running


@pytest.fixture(scope="module")
def there(server):
    """What there is, by the parameters of paths; and in the body of what is about a principal, its name."""
    admin = server.client()
    admin.workspaces.create("hidden", metastore="metastore", omit_catalog=True)
    for kind in ("job", "warehouse"):
        admin.workspace_objects.create(kind, "7")
    principal = admin.service_principals.create("spark")
    secret = admin.service_principals.create_secret(principal.name).secret.id
    token = admin.tokens.create(workspace=WORKSPACE).token.id
    return {
        **ABSENT, "token_id": token, "secret_id": secret, "id": "7", "workspace": "hidden", "principal": principal.id,
        "application_id": principal.name,
    }  # fmt: skip


def answer(server, token, operation, named):
    """Status and body, without what differs from request to request and what only repeats the request."""
    sent = {"Authorization": f"Bearer {token}", "X-Databricks-Workspace-Id": WORKSPACE}
    body = {
        **BODY,
        "token_id": named["token_id"],
        "application_id": named.get("application_id", str(UUID(int=8))),
    }
    path = operation.path.format(**named).replace("/sql/jobs/", "/sql/warehouses/")
    told = httpx2.request(
        operation.method, server.http_url + path, headers=sent,
        content=json.dumps(body) if operation.method in ("POST", "PUT", "PATCH") else b"",
    )  # fmt: skip
    text = re.sub(r'"request_id": "[^"]+"', "", told.text)
    for value in sorted((*named.values(), body["application_id"]), key=len, reverse=True):
        text = text.replace(value, "?") if len(value) > 3 else re.sub(rf"\b{value}\b", "?", text)
    return told.status_code, text


def of_others(operation):
    """Whether a call is about something with a name, and not about the caller or what everybody may know."""
    about_all = operation.path.endswith(("permissionLevels", "assignments/permissions"))
    return "on-behalf-of" in operation.path or ("{" in operation.path and not about_all)


@pytest.mark.parametrize(
    "operation", [*filter(of_others, OPERATIONS)], ids=lambda each: f"{each.method} {each.path}"
)
@pytest.mark.parametrize("name", [ASSIGNED, "eve@example.com"])
def test_stranger_is_told_the_same_of_what_there_is_and_of_what_there_is_not(server, there, operation, name):
    token = server.token_of(name) if name == ASSIGNED else _token_of_unassigned(server, name)
    found, absent = (answer(server, token, operation, named) for named in (there, ABSENT))
    assert found == absent
    assert found[0] in (403, 404)


def _token_of_unassigned(server, name):
    if server.app.follower.at_head().snapshot.principal_named(name) is None:
        server.client().users.create(name)
    return server.issue_token(name)


def test_who_may_is_told_another_thing_of_what_there_is_not(server, there):
    reading = [operation for operation in OPERATIONS if of_others(operation) and operation.method == "GET"]
    assert len(reading) > 4
    for operation in reading:
        found, absent = (answer(server, server.admin_token, operation, named) for named in (there, ABSENT))
        assert (found[0], found != absent) == (200, True), operation


def test_no_token_or_secret_is_in_the_database_or_the_log():
    with everything_logged() as written, serve(http=True) as server:
        sent = {"Authorization": f"Bearer {server.admin_token}", "X-Databricks-Workspace-Id": WORKSPACE}
        principal = server.client().service_principals.create("spark")
        with httpx2.Client(base_url=server.http_url, headers=sent) as client:
            token = client.post("/api/2.0/token/create").json()["token_value"]
            own = f"/api/2.0/accounts/account/servicePrincipals/{principal.id}/credentials/secrets"
            secret = client.post(own).json()["secret"]
            on_behalf = client.post(
                "/api/2.0/token-management/on-behalf-of/tokens", json={"application_id": principal.name}
            ).json()["token_value"]
            # Also where they do not belong.
            client.post("/api/2.0/token/delete", json={"token_id": on_behalf})
            client.put("/api/2.0/permissions/jobs/7", content=f"not JSON: {secret}")
        kept = dump(server.app.database) + written.getvalue()
    for value in (token, on_behalf, secret, server.admin_token):
        assert value.rpartition("_")[2] not in kept
