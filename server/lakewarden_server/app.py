"""The composition root: the one place where the parts are built and put together, started and stopped."""

from __future__ import annotations

import logging
import threading
from importlib.metadata import version

from google.protobuf.descriptor import ServiceDescriptor

from lakewarden.v1 import (
    audit_pb2,
    authorization_pb2,
    catalogs_pb2,
    connections_pb2,
    external_lineage_pb2,
    external_locations_pb2,
    external_metadata_pb2,
    federation_policies_pb2,
    functions_pb2,
    grants_pb2,
    groups_pb2,
    ip_access_lists_pb2,
    lineage_governance_pb2,
    lineage_graph_pb2,
    lineage_pb2,
    materialized_views_pb2,
    metastores_pb2,
    permissions_pb2,
    providers_pb2,
    recipients_pb2,
    registered_models_pb2,
    schemas_pb2,
    service_credentials_pb2,
    service_principals_pb2,
    sessions_pb2,
    shares_pb2,
    storage_credentials_pb2,
    streaming_tables_pb2,
    system_tables_pb2,
    tables_pb2,
    tags_pb2,
    tokens_pb2,
    users_pb2,
    views_pb2,
    volumes_pb2,
    workspace_bindings_pb2,
    workspace_objects_pb2,
    workspaces_pb2,
)
from lakewarden_policy import load_policy, policy_texts
from lakewarden_server.authn.guesses import Guesses
from lakewarden_server.authn.keys import Keys, load_key_file
from lakewarden_server.authn.provider_keys import JwksHosts, ProviderKeys, is_url
from lakewarden_server.authz.bounded import Bounded
from lakewarden_server.authz.follower import Follower
from lakewarden_server.bootstrap import note_policy
from lakewarden_server.config import Settings
from lakewarden_server.core.certificates import CertificateFiles, Certificates
from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import LakewardenError
from lakewarden_server.edges import answering_threads, http_edge, rpc_server
from lakewarden_server.lineage.follower import LineageFollower
from lakewarden_server.lineage.recorder import Recorder
from lakewarden_server.lineage.registering import Registrar
from lakewarden_server.lineage.sql.tracer import Tracer
from lakewarden_server.observability.assembly import Observability
from lakewarden_server.pipeline.decisions import DecisionLog
from lakewarden_server.pipeline.pipeline import Pipeline
from lakewarden_server.pipeline.rates import Rates
from lakewarden_server.pipeline.rules import collect_methods
from lakewarden_server.pipeline.token_uses import TokenUses
from lakewarden_server.purging import purge
from lakewarden_server.services.audit import AuditService
from lakewarden_server.services.authorization import AuthorizationService
from lakewarden_server.services.catalogs import CatalogService
from lakewarden_server.services.connections import ConnectionService
from lakewarden_server.services.credentials import ServiceCredentialService, StorageCredentialService
from lakewarden_server.services.external_lineage import ExternalLineageService
from lakewarden_server.services.external_metadata import ExternalMetadataService
from lakewarden_server.services.federation_policies import FederationPolicyService
from lakewarden_server.services.functions import FunctionService
from lakewarden_server.services.grants import GrantService
from lakewarden_server.services.groups import GroupService
from lakewarden_server.services.ip_access_lists import IpAccessListService
from lakewarden_server.services.lineage import LineageService
from lakewarden_server.services.lineage_governance import LineageGovernanceService
from lakewarden_server.services.lineage_graph import LineageGraphService
from lakewarden_server.services.locations import ExternalLocationService
from lakewarden_server.services.materialized_views import MaterializedViewService
from lakewarden_server.services.metastores import MetastoreService
from lakewarden_server.services.parsing import Parsing
from lakewarden_server.services.permissions import PermissionService
from lakewarden_server.services.registered_models import RegisteredModelService
from lakewarden_server.services.schemas import SchemaService
from lakewarden_server.services.service_principals import ServicePrincipalService
from lakewarden_server.services.sessions import SessionService
from lakewarden_server.services.shares import ShareService
from lakewarden_server.services.sharing import ProviderService, RecipientService
from lakewarden_server.services.sql_lineage import TRACING_MAX
from lakewarden_server.services.streaming_tables import StreamingTableService
from lakewarden_server.services.system_tables.service import SystemTableService
from lakewarden_server.services.tables import TableService
from lakewarden_server.services.tags import TagService
from lakewarden_server.services.tokens import TokenService
from lakewarden_server.services.users import UserService
from lakewarden_server.services.views import ViewService
from lakewarden_server.services.volumes import VolumeService
from lakewarden_server.services.workspace_bindings import WorkspaceBindingService
from lakewarden_server.services.workspace_objects import WorkspaceObjectService
from lakewarden_server.services.workspaces import WorkspaceService
from lakewarden_server.storage import Database, create_database, history

READINESS_SECONDS = 0.5
START_SECONDS = 10.0
SPARE_READERS = 4
"""Connections for the rebuild of the snapshot, the watch of readiness, the registrar and the hourly purge, whatever the calls hold."""
PURGE_SECONDS = 3_600.0
logger = logging.getLogger("lakewarden")


def services(
    keys: Keys,
    hosts: JwksHosts | None = None,
    recorder: Recorder | None = None,
    lineage: LineageFollower | None = None,
    tracer: Tracer | None = None,
    lineage_hosts: frozenset[str] = frozenset(),
) -> dict[ServiceDescriptor, object]:
    """Every service this server offers, by its descriptor; without a recorder none that records lineage."""
    parsing, jwks, lineage = Parsing(), hosts or JwksHosts(), lineage or LineageFollower()
    return {
        _service(metastores_pb2, "MetastoreService"): MetastoreService(),
        _service(workspaces_pb2, "WorkspaceService"): WorkspaceService(),
        _service(catalogs_pb2, "CatalogService"): CatalogService(),
        _service(schemas_pb2, "SchemaService"): SchemaService(),
        _service(volumes_pb2, "VolumeService"): VolumeService(),
        _service(registered_models_pb2, "RegisteredModelService"): RegisteredModelService(),
        _service(tables_pb2, "TableService"): TableService(parsing),
        _service(views_pb2, "ViewService"): ViewService(parsing),
        _service(materialized_views_pb2, "MaterializedViewService"): MaterializedViewService(parsing),
        _service(streaming_tables_pb2, "StreamingTableService"): StreamingTableService(parsing),
        _service(functions_pb2, "FunctionService"): FunctionService(parsing),
        _service(storage_credentials_pb2, "StorageCredentialService"): StorageCredentialService(keys),
        _service(service_credentials_pb2, "ServiceCredentialService"): ServiceCredentialService(keys),
        _service(external_locations_pb2, "ExternalLocationService"): ExternalLocationService(),
        _service(connections_pb2, "ConnectionService"): ConnectionService(keys),
        _service(shares_pb2, "ShareService"): ShareService(),
        _service(recipients_pb2, "RecipientService"): RecipientService(),
        _service(providers_pb2, "ProviderService"): ProviderService(keys),
        _service(external_metadata_pb2, "ExternalMetadataService"): ExternalMetadataService(),
        _service(lineage_graph_pb2, "LineageGraphService"): LineageGraphService(lineage),
        _service(lineage_governance_pb2, "LineageGovernanceService"): LineageGovernanceService(lineage),
        _service(system_tables_pb2, "SystemTableService"): SystemTableService(lineage),
        _service(users_pb2, "UserService"): UserService(),
        _service(groups_pb2, "GroupService"): GroupService(),
        _service(service_principals_pb2, "ServicePrincipalService"): ServicePrincipalService(keys),
        _service(tokens_pb2, "TokenService"): TokenService(keys),
        _service(federation_policies_pb2, "FederationPolicyService"): FederationPolicyService(jwks),
        _service(ip_access_lists_pb2, "IpAccessListService"): IpAccessListService(),
        _service(sessions_pb2, "SessionService"): SessionService(version("lakewarden")),
        _service(workspace_bindings_pb2, "WorkspaceBindingService"): WorkspaceBindingService(),
        _service(workspace_objects_pb2, "WorkspaceObjectService"): WorkspaceObjectService(),
        _service(tags_pb2, "TagService"): TagService(),
        _service(grants_pb2, "GrantService"): GrantService(),
        _service(permissions_pb2, "PermissionService"): PermissionService(),
        _service(authorization_pb2, "AuthorizationService"): AuthorizationService(),
        _service(audit_pb2, "AuditService"): AuditService(),
        _service(lineage_pb2, "LineageService"): LineageService(recorder, tracer, lineage_hosts),
        _service(external_lineage_pb2, "ExternalLineageService"): ExternalLineageService(recorder),
    }


class App:
    """A whole server: database, snapshot, pipeline, gRPC. Built stopped; `start` serves, `stop` ends gracefully."""

    def __init__(
        self,
        settings: Settings,
        *,
        database: Database | None = None,
        keys: Keys | None = None,
        shared_port: bool = False,
    ) -> None:
        """Opens the database; with `shared_port` other workers listen on the same address.

        Raises `KeyFileError`, `CertificateError`, `InsecureAddress`, `RuleError` or a storage error: a server that is not whole does not start.
        """
        self.settings = settings
        self.keys = keys or load_key_file(settings.key_file)
        self.database = database or _database(settings)
        self.follower = Follower(self.database, load_policy())
        hosts = JwksHosts(settings.jwks_hosts, settings.jwks_private_hosts)
        self._provider_keys = ProviderKeys(hosts)
        lineage, self._tracer = LineageFollower(), Tracer(waiting_max=TRACING_MAX)
        offered = services(
            self.keys, hosts, Recorder(self.database), lineage, self._tracer, settings.lineage_hosts
        )
        self._bounded = Bounded(self.follower)
        self._decisions = DecisionLog(self.database)
        self._uses = TokenUses(self.database)
        self.pipeline = Pipeline(
            collect_methods(offered, self.follower.policy),
            self.database,
            self.follower,
            self._bounded,
            self.keys,
            self._decisions,
            self._uses,
            Guesses(settings.failed_logins_per_minute),
            self._provider_keys,
            Rates(
                per_principal=settings.calls_per_second_per_principal,
                per_peer=settings.calls_per_second_per_peer,
            ),
        )
        self._certificates = _certificates(settings)
        self.observability = Observability(
            settings,
            follower=self.follower,
            decisions=self._decisions,
            database=self.database,
            queued=lambda: self.rpc.queued() if self.rpc else {},
            certificates=self._certificates,
        )
        watched = self.observability.watched(self.pipeline)
        self._http = http_edge(settings, watched, self._certificates, shared_port=shared_port)
        self.rpc = rpc_server(settings, watched, list(offered), self._certificates, shared_port=shared_port)
        self._stopping = threading.Event()
        self.warming = threading.Thread(
            target=lineage.warm, args=(self.database,), name="lakewarden-lineage", daemon=True
        )
        self._registrar = Registrar(self.database, self.follower, settings.lineage_hosts)
        self._readiness = threading.Thread(
            target=self._watch_readiness, name="lakewarden-readiness", daemon=True
        )

    @property
    def port(self) -> int:
        """The port that was bound for gRPC; 0 before the start, and where none is served."""
        return self.rpc.port if self.rpc else 0

    @property
    def http_address(self) -> str:
        """`host:port` HTTP is served on; empty where it is not, and before the start."""
        return self._http.address if self._http else ""

    @property
    def decisions(self) -> DecisionLog:
        """The decision log, so that a test can wait for it."""
        return self._decisions

    @property
    def uses(self) -> TokenUses:
        """The uses of tokens not yet written, so that a test can have them written."""
        return self._uses

    def start(self) -> None:
        """Loads the whole state, then listens: before that nobody can ask. Raises `AddressUnavailable`, `Unavailable`."""
        self._keep_policy()
        self._want_keys()
        self._provider_keys.start()
        self.observability.start()
        if self._http:
            self._http.start()
        self._decisions.start()
        if self.rpc:
            self.rpc.start()
            self.rpc.set_serving(True)
            # Nothing that is asked over HTTP alone needs the graph.
            self.warming.start()
        self._readiness.start()
        self._registrar.start()

    def stop(self) -> None:
        """Drains running calls within the grace period, writes what is queued, closes the database."""
        self._stopping.set()
        if self._http:
            self._http.stop(self.settings.grace_seconds)
        if self.rpc:
            self.rpc.stop(self.settings.grace_seconds)
        self._tracer.close()
        self._provider_keys.stop()
        self._bounded.stop()
        self._decisions.stop()
        self._uses.flush()
        self._registrar.stop()
        for thread in (self._readiness, self.warming):
            if thread.is_alive():
                thread.join()
        self.observability.stop()
        self.database.close()

    def _keep_policy(self) -> None:
        """Writes down by which policy this server decides, and makes a revision of it when the last one was decided by another.

        Without room in the database a server still starts: it then only cannot tell later what it decided by.
        """
        policy, deadline = self.follower.policy, monotonic() + START_SECONDS
        try:
            with self.database.transaction(deadline=deadline) as connection:
                history.remember_policy(connection, policy_texts(), policy.digest)
                before = history.newest_policy_digest(connection)
                connection.commit()
            if before not in (None, policy.digest):
                note_policy(self.database, digest=policy.digest)
        except LakewardenError as error:
            logger.warning("the policy could not be kept: %s", error.message)

    def _watch_readiness(self) -> None:
        """Ready means: the state is complete and was compared with the primary less than a second ago."""
        ready, purged = True, monotonic() - PURGE_SECONDS / 2
        while not self._stopping.wait(READINESS_SECONDS):
            try:
                if self._certificates:
                    self._certificates.refresh()
                self._want_keys()
                self._uses.flush_when_due()
                if monotonic() - purged > PURGE_SECONDS:
                    purged = monotonic()
                    purge(self.database, self.follower)
            except Exception as error:
                if ready:
                    logger.warning("not ready: %s", error, exc_info=not isinstance(error, LakewardenError))
                ready = False
            else:
                ready = True
            if self.rpc and not self._stopping.is_set():
                self.rpc.set_serving(ready)

    def _want_keys(self) -> None:
        """Comes to the head, and has the key sets fetched that its policies name."""
        policies = self.follower.at_head().snapshot.federation_policies.values()
        self._provider_keys.want({policy.jwks for policy in policies if is_url(policy.jwks)})


def _service(module: object, name: str) -> ServiceDescriptor:
    found: ServiceDescriptor = module.DESCRIPTOR.services_by_name[name]  # type: ignore[attr-defined]
    return found


def _database(settings: Settings) -> Database:
    """The database, with a connection for every thread that may want one."""
    return create_database(settings.database_url, pool_size=answering_threads(settings) + SPARE_READERS)


def _certificates(settings: Settings) -> Certificates | None:
    key, certificate = settings.tls_key_file, settings.tls_certificate_file
    if key is None or certificate is None:
        return None
    return Certificates(CertificateFiles(certificate, key, settings.tls_client_ca_file))
