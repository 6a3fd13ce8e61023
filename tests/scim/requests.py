"""Bodies of SCIM requests."""

CORE = "urn:ietf:params:scim:schemas:core:2.0"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"


def user(user_name, **attributes):
    return {"schemas": [f"{CORE}:User"], "userName": user_name, **attributes}


def group(name, *member_ids, **attributes):
    members = [{"value": member} for member in member_ids]
    return {"schemas": [f"{CORE}:Group"], "displayName": name, "members": members, **attributes}


def service_principal(name, **attributes):
    return {"schemas": [f"{CORE}:ServicePrincipal"], "displayName": name, **attributes}


def patch(op, path=None, value=None):
    operation = {"op": op, "path": path, "value": value}
    kept = {key: part for key, part in operation.items() if part is not None}
    return {"schemas": [PATCH], "Operations": [kept]}


def made(response):
    """The resource a request made."""
    assert response.status_code == 201, response.text
    return response.json()


def assert_error(response, status, scim_type=None):
    """The error body of RFC 7644, section 3.12."""
    body = response.json()
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("application/scim+json")
    assert (body["schemas"], body["status"]) == ([ERROR], str(status))
    assert scim_type is None or body["scimType"] == scim_type, body
