"""The conformance suite of the SCIM community against the running server, over HTTP."""

import uuid
from collections import Counter

from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server


class Fresh(list):
    """Examples of an attribute, another one each time: what the suite fills in must be a name of its kind, and free."""

    def __init__(self, form):
        super().__init__([form])
        self._form = form

    def __getitem__(self, _index):
        return self._form.format(uuid.uuid4().hex)


def test_conformance_suite_finds_no_error(http):
    with http() as connection:
        client = SyncSCIMClient(connection)
        client.discover()
        for model, field, form in (
            ("User", "user_name", "{}@example.com"),
            ("Group", "display_name", "group-{}"),
        ):
            client.get_resource_model(model).model_fields[field].examples = Fresh(form)
        results = check_server(client)
    failed = [
        (result.title, result.resource_type, result.reason)
        for result in results
        if result.status in (Status.ERROR, Status.CRITICAL)
    ]
    assert not failed, "\n".join(map(str, failed))
    counts = Counter(result.status for result in results)
    assert counts[Status.SUCCESS] > 60
    assert {result.resource_type for result in results} >= {"User", "Group", "ServicePrincipal"}
