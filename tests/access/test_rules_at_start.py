"""A server with an RPC nobody authorizes does not start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.wrappers_pb2 import StringValue

import lakewarden_server.app
from access.descriptors import service
from lakewarden_policy import load_policy
from lakewarden_server.pipeline.rules import RuleError, collect_methods
from lakewarden_server.testing import serve


class ProbeService:
    """Answers what it is asked."""

    def probe(self, request: StringValue, call: Any) -> StringValue:
        return request


BROKEN: dict[str, tuple[dict[str, Any] | None, str]] = {
    "no option": (None, "has no (lakewarden.v1.rule) option"),
    "empty rule": ({}, "needs a noun or a securable_type"),
    "unknown operation": ({"operation": "catalog.teleport"}, "operations.csv does not define catalog.teleport"),
    "unknown noun": ({"operation": "moon.get"}, "operations.csv does not define moon.get"),
    "operation without noun": ({"operation": "get"}, "needs a noun or a securable_type"),
    "selector as operation": ({"operation": "catalog.update.name"}, "does not bind"),
    "unbound self": ({"operation": "catalog.get"}, "speaks of self, which the rule does not bind"),
    "unbound subject": ({"operation": "token.list"}, "speaks of subject, which the rule does not bind"),
    "unknown field": ({"operation": "catalog.get", "self": "full_name"}, "binds full_name, which StringValue does not have"),
    "field below a scalar": ({"operation": "catalog.get", "self": "value.name"}, "binds value.name"),
    "unknown field of the past": ({"operation": "session.get", "as_of": ["moment"]}, "binds moment"),
    "unknown mask": ({"operation": "session.get", "update_mask": "mask"}, "binds mask"),
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_method_without_a_usable_rule_is_not_collected(broken: str) -> None:
    rule, problem = BROKEN[broken]
    with pytest.raises(RuleError, match="the server cannot start") as raised:
        collect_methods({service(("Probe", rule)): ProbeService()}, load_policy())
    assert problem in str(raised.value)
    assert "ProbeService/Probe" in str(raised.value)


def test_method_with_a_usable_rule_is_collected() -> None:
    """The control: the same service with a rule is accepted."""
    methods = collect_methods(
        {service(("Probe", {"operation": "session.get"})): ProbeService()}, load_policy()
    )
    assert len(methods) == 1


def test_all_problems_are_told_at_once() -> None:
    broken = service(("Probe", None), ("Other", {"operation": "moon.get"}))
    with pytest.raises(RuleError, match=r"Probe: .*; .*Other: "):
        collect_methods({broken: ProbeService()}, load_policy())


def test_method_without_a_function_is_not_collected() -> None:
    missing = service(("Vanish", {"operation": "session.get"}))
    with pytest.raises(RuleError, match="ProbeService has no method vanish"):
        collect_methods({missing: ProbeService()}, load_policy())


def test_stream_of_requests_is_not_collected() -> None:
    stream = service(("Probe", {"operation": "session.get"}), streaming="requests")
    with pytest.raises(RuleError, match="streams of requests are not supported"):
        collect_methods({stream: ProbeService()}, load_policy())


@pytest.mark.parametrize("more", ["write", "snapshot_only", "log_decision"])
def test_what_writes_or_tells_a_decision_is_not_answered_in_a_stream(more: str) -> None:
    stream = service(("Probe", {"operation": "session.get", more: True}), streaming="replies")
    with pytest.raises(RuleError, match="only what reads and tells no decision"):
        collect_methods({stream: ProbeService()}, load_policy())


def test_a_stream_in_a_pool_that_is_not_for_streams_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    offer = lakewarden_server.app.services
    stream = service(("Probe", {"operation": "session.get", "pool": "lineage"}), streaming="replies")
    monkeypatch.setattr(
        lakewarden_server.app, "services", lambda *given: {**offer(*given), stream: ProbeService()}
    )
    with pytest.raises(KeyError, match="lineage"), serve(workspace=False):
        pass


def test_server_with_an_rpc_without_a_rule_does_not_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    offer = lakewarden_server.app.services
    extra: ServiceDescriptor = service(("Probe", None))
    monkeypatch.setattr(
        lakewarden_server.app, "services", lambda *given: {**offer(*given), extra: ProbeService()}
    )
    with pytest.raises(RuleError, match="has no"), serve(directory=tmp_path):
        pass


def test_unknown_method_is_denied_by_the_pipeline() -> None:
    """The last guard: what no rule names is refused even when a transport lets it in."""
    from lakewarden_server.core.peers import LOCAL
    from lakewarden_server.pipeline.errors import CallFailed
    from lakewarden_server.pipeline.pipeline import Incoming

    with serve(workspace=False) as server:
        incoming = Incoming({"authorization": f"Bearer {server.admin_token}"}, None, LOCAL)
        with pytest.raises(CallFailed) as failed:
            server.app.pipeline.handle("lakewarden.v1.MoonService/GetMoon", StringValue(), incoming)
    assert failed.value.status.message == "no rule allows this method"
