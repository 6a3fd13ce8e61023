"""Service principals as a count of what was done: their names may be the same, so a write that is done twice shows."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import text

from consistency.cluster import Cluster
from durability.calls import Caller
from lakewarden.v1 import service_principals_pb2, service_principals_pb2_grpc


def create_robot(caller: Caller, display_name: str, request_id: str) -> str:
    """Creates a service principal in one attempt; returns its id."""
    robot = service_principals_pb2.ServicePrincipal(display_name=display_name, active=True)
    request = service_principals_pb2.CreateServicePrincipalRequest(service_principal=robot)
    stub = service_principals_pb2_grpc.ServicePrincipalServiceStub
    reply, _ = caller.call(stub, "CreateServicePrincipal", request, request_id=request_id)
    return str(reply.id)


def robots(cluster: Cluster) -> Counter[str]:
    """How many service principals of each display name are stored."""
    statement = text("SELECT display_name FROM principals WHERE kind = 'SERVICE_PRINCIPAL'")
    with cluster.server.app.database.read() as uow:
        return Counter(row.display_name for row in uow.connection.execute(statement))


def changes_logged(cluster: Cluster) -> int:
    """How many creations of service principals the change log and the audit tell of, which must agree."""
    with cluster.server.app.database.read() as uow:
        logged, audited = (
            uow.connection.execute(text(statement)).scalar_one()
            for statement in (
                "SELECT count(*) FROM change_log WHERE kind = 'SERVICE_PRINCIPAL' AND operation = 'CREATE'",
                "SELECT count(*) FROM audit_log WHERE operation = 'service_principal.create'",
            )
        )
    assert logged == audited
    return int(logged)
