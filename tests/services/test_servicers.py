"""Each servicer behind grpc_testing's transport: the contract of the adapter, through the same pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import grpc_testing
import pytest
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from access.places import NOUNS
from access.rpcs import offered
from access.world import REQUESTS, World, build, request_for
from lakewarden_server.app import services
from lakewarden_server.lineage.recorder import Recorder
from lakewarden_server.rpc.servicers import servicer_class
from lakewarden_server.testing import EmbeddedServer, serve

# One RPC of each service that succeeds for the admin without changing what the others answer.
READS = {
    "AuditService": "GetAuditHead",
    "AuthorizationService": "Check",
    "CatalogService": "GetCatalog",
    "FederationPolicyService": "ListFederationPolicies",
    "FunctionService": "GetFunction",
    "GrantService": "ListGrants",
    "GroupService": "GetGroup",
    "IpAccessListService": "ListIpAccessLists",
    "ExternalLineageService": "ListExternalLineage",
    "LineageGovernanceService": "FindLineageLeaks",
    "LineageGraphService": "TraverseLineage",
    "LineageService": "RecordOpenLineage",
    "MaterializedViewService": "GetMaterializedView",
    "MetastoreService": "GetMetastore",
    "PermissionService": "ListPermissionLevels",
    "RegisteredModelService": "GetModelVersion",
    "SchemaService": "ListSchemas",
    "ServicePrincipalService": "ListServicePrincipals",
    "SessionService": "GetSession",
    "StreamingTableService": "GetStreamingTable",
    "SystemTableService": "ReadSystemTable",
    "TableService": "GetTable",
    "TagService": "ListTags",
    "TokenService": "ListTokens",
    "UserService": "ListUsers",
    "ViewService": "GetView",
    "VolumeService": "GetVolume",
    "WorkspaceBindingService": "GetWorkspaceBindings",
    "WorkspaceObjectService": "ListWorkspaceObjects",
    "WorkspaceService": "ListWorkspaces",
    **{f"{noun.service}Service": f"Get{noun.service}" for noun in NOUNS},
}


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple[EmbeddedServer, World, grpc_testing.Server]]:
    # Its transport has no other end; a call is told one all the same.
    context = "grpc_testing._server._servicer_context.ServicerContext.peer"
    with pytest.MonkeyPatch.context() as patch, serve() as server:
        patch.setattr(context, lambda _context: "ipv4:127.0.0.1:1")
        world = build(server)
        implemented = {
            descriptor: servicer_class(descriptor, server.app.pipeline)()
            for descriptor in services(server.app.keys, recorder=Recorder(server.app.database))
        }
        clock = grpc_testing.strict_real_time()
        yield server, world, grpc_testing.server_from_dictionary(implemented, clock)


def _descriptors(server: EmbeddedServer) -> dict[str, ServiceDescriptor]:
    return {descriptor.name: descriptor for descriptor in services(server.app.keys)}


def _invoke(
    stage: tuple[EmbeddedServer, World, grpc_testing.Server], service: str, *, token: str, timeout: float = 10
) -> tuple[Any, dict[str, str], grpc.StatusCode, str]:
    server, world, transport = stage
    method = _descriptors(server)[service].methods_by_name[READS[service]]
    name = f"lakewarden.v1.{service}/{READS[service]}"
    request = GetMessageClass(method.input_type).FromString(request_for(name, world))
    metadata = (("authorization", f"Bearer {token}"), ("lakewarden-workspace", "workspace"))
    rpc = transport.invoke_unary_unary(method, metadata, request, timeout)
    reply, trailing, code, details = rpc.termination()
    return reply, dict(trailing or ()), code, details


@pytest.mark.parametrize("service", READS)
def test_servicer_answers_with_revision_and_request_id(
    stage: tuple[EmbeddedServer, World, grpc_testing.Server], service: str
) -> None:
    reply, initial, code, _ = _invoke(stage, service, token=stage[0].admin_token)
    assert code is grpc.StatusCode.OK
    assert reply.DESCRIPTOR is offered()[f"lakewarden.v1.{service}/{READS[service]}"].output_type
    assert {"lakewarden-revision", "lakewarden-request-id"} <= set(initial)


@pytest.mark.parametrize("service", READS)
def test_servicer_refuses_with_code_and_message(
    stage: tuple[EmbeddedServer, World, grpc_testing.Server], service: str
) -> None:
    """The test transport drops the trailers of an aborted call; the details in them are tested over real gRPC."""
    reply, _, code, details = _invoke(stage, service, token="garbage")
    assert (reply, code) == (None, grpc.StatusCode.UNAUTHENTICATED)
    assert "not a Lakewarden token" in details


def test_every_servicer_has_its_contract_test(
    stage: tuple[EmbeddedServer, World, grpc_testing.Server],
) -> None:
    assert set(_descriptors(stage[0])) == set(READS)
    assert {f"{service}/{method}" for service, method in READS.items()} <= set(REQUESTS)
