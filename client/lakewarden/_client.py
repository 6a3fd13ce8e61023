"""The client: one object per server and principal, with a resource for every noun of the API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from lakewarden._audit import Audit
from lakewarden._authorization import Grants, PlanAccess, PlanAnswer
from lakewarden._bindings import WorkspaceBindings
from lakewarden._config import DEFAULT_TIMEOUT_SECONDS, resolve
from lakewarden._connection import TRIES_MAX, Connection, open_connection
from lakewarden._definitions import Functions, MaterializedViews, StreamingTables, Views
from lakewarden._external_lineage import ExternalLineages
from lakewarden._federation import FederationPolicies
from lakewarden._ip_access import IpAccessLists
from lakewarden._lineage import LineageQuestions
from lakewarden._lineage_events import LineageEvents
from lakewarden._lineage_governance import LineageGovernance
from lakewarden._models import Models
from lakewarden._objects import Permissions, WorkspaceObjects
from lakewarden._places import Connections, ExternalLocations, ServiceCredentials, StorageCredentials
from lakewarden._principals import Groups, ServicePrincipals, Sessions, Tokens, Users
from lakewarden._questions import Questions
from lakewarden._securables import Catalogs, Metastores, Schemas, Tables, Volumes, Workspaces
from lakewarden._sharing import ExternalMetadata, Providers, Recipients, Shares
from lakewarden._system_tables import SystemTable, SystemTables
from lakewarden._tags import Tags

if TYPE_CHECKING:
    import pyarrow


class Client:
    """A connection to a Lakewarden server; safe to share between threads, and a context manager.

    A setting not given comes from LAKEWARDEN_ENDPOINT, LAKEWARDEN_TOKEN, LAKEWARDEN_WORKSPACE and
    LAKEWARDEN_PROFILE, then from the profile. TLS is used except on loopback; a token is refused over plain text to
    anywhere else, unless `insecure` says so. `cert_file` and `key_file` are shown in TLS: a certificate that stands for a
    service principal needs no token.

        with Client("localhost:50051", token="lwpat_…", workspace="analytics") as client:
            client.grants.grant("SELECT", "table", "main.sales.orders", "bob@example.com")
    """

    def __init__(
        self,
        endpoint: str | None = None,
        token: str | None = None,
        workspace: str | None = None,
        *,
        profile: str | None = None,
        tls: bool | None = None,
        ca_file: str | None = None,
        cert_file: str | None = None,
        key_file: str | None = None,
        insecure: bool = False,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        retries: int = TRIES_MAX - 1,
    ) -> None:
        settings = resolve(
            endpoint=endpoint,
            token=token,
            workspace=workspace,
            profile=profile,
            ca_file=ca_file,
            cert_file=cert_file,
            key_file=key_file,
            insecure=insecure,
        )
        self._connection = open_connection(
            endpoint=settings.endpoint,
            token=settings.token,
            workspace=settings.workspace,
            tls=tls,
            ca_file=settings.ca_file,
            cert_file=settings.cert_file,
            key_file=settings.key_file,
            insecure=settings.insecure,
            timeout_seconds=timeout_seconds,
            retries=retries,
        )
        self._owns_channel = True

    @cached_property
    def metastores(self) -> Metastores:
        """Metastores."""
        return Metastores(self._connection)

    @cached_property
    def workspaces(self) -> Workspaces:
        """Workspaces."""
        return Workspaces(self._connection)

    @cached_property
    def workspace_bindings(self) -> WorkspaceBindings:
        """Isolation, and the workspaces that isolated securables are bound to."""
        return WorkspaceBindings(self._connection)

    @cached_property
    def workspace_objects(self) -> WorkspaceObjects:
        """Jobs, clusters, notebooks, folders and other objects of the workspace."""
        return WorkspaceObjects(self._connection)

    @cached_property
    def permissions(self) -> Permissions:
        """Levels on the objects of the workspace."""
        return Permissions(self._connection)

    @cached_property
    def catalogs(self) -> Catalogs:
        """Catalogs of the workspace's metastore."""
        return Catalogs(self._connection)

    @cached_property
    def schemas(self) -> Schemas:
        """Schemas."""
        return Schemas(self._connection)

    @cached_property
    def tables(self) -> Tables:
        """Tables."""
        return Tables(self._connection)

    @cached_property
    def volumes(self) -> Volumes:
        """Volumes."""
        return Volumes(self._connection)

    @cached_property
    def models(self) -> Models:
        """Registered models, their versions and aliases."""
        return Models(self._connection)

    @cached_property
    def views(self) -> Views:
        """Views."""
        return Views(self._connection)

    @cached_property
    def materialized_views(self) -> MaterializedViews:
        """Materialized views."""
        return MaterializedViews(self._connection)

    @cached_property
    def streaming_tables(self) -> StreamingTables:
        """Streaming tables."""
        return StreamingTables(self._connection)

    @cached_property
    def functions(self) -> Functions:
        """Functions."""
        return Functions(self._connection)

    @cached_property
    def storage_credentials(self) -> StorageCredentials:
        """What engines reach cloud storage with."""
        return StorageCredentials(self._connection)

    @cached_property
    def service_credentials(self) -> ServiceCredentials:
        """What engines reach outside services with."""
        return ServiceCredentials(self._connection)

    @cached_property
    def external_locations(self) -> ExternalLocations:
        """Places in cloud storage."""
        return ExternalLocations(self._connection)

    @cached_property
    def connections(self) -> Connections:
        """How engines reach databases and services outside."""
        return Connections(self._connection)

    @cached_property
    def shares(self) -> Shares:
        """Tables and views given to recipients outside."""
        return Shares(self._connection)

    @cached_property
    def recipients(self) -> Recipients:
        """Who is given shares."""
        return Recipients(self._connection)

    @cached_property
    def providers(self) -> Providers:
        """Who gives us shares."""
        return Providers(self._connection)

    @cached_property
    def external_metadata(self) -> ExternalMetadata:
        """Stand-ins in lineage for things in outside systems."""
        return ExternalMetadata(self._connection)

    @cached_property
    def tags(self) -> Tags:
        """Tags of catalogs, schemas, what schemas hold, and columns."""
        return Tags(self._connection)

    @cached_property
    def users(self) -> Users:
        """Users."""
        return Users(self._connection)

    @cached_property
    def groups(self) -> Groups:
        """Groups and their members."""
        return Groups(self._connection)

    @cached_property
    def service_principals(self) -> ServicePrincipals:
        """Service principals."""
        return ServicePrincipals(self._connection)

    @cached_property
    def tokens(self) -> Tokens:
        """Personal access tokens."""
        return Tokens(self._connection)

    @cached_property
    def federation_policies(self) -> FederationPolicies:
        """Which identity providers are trusted for whom."""
        return FederationPolicies(self._connection)

    @cached_property
    def ip_access_lists(self) -> IpAccessLists:
        """From which addresses the account and its workspaces are called."""
        return IpAccessLists(self._connection)

    @cached_property
    def lineage_events(self) -> LineageEvents:
        """Telling which data was made of which."""
        return LineageEvents(self._connection)

    @cached_property
    def external_lineage(self) -> ExternalLineages:
        """Lineage that is declared, where nothing that ran tells it."""
        return ExternalLineages(self._connection)

    @cached_property
    def grants(self) -> Grants:
        """Grants on securables."""
        return Grants(self._connection)

    @cached_property
    def authorization(self) -> Questions:
        """Checks, plan authorization, and the questions why, who, what and what if."""
        return Questions(self._connection)

    @cached_property
    def audit(self) -> Audit:
        """What was done and what was refused."""
        return Audit(self._connection)

    @cached_property
    def lineage(self) -> LineageQuestions:
        """Which data was made of which."""
        return LineageQuestions(self._connection)

    @cached_property
    def lineage_governance(self) -> LineageGovernance:
        """Leaks of protected data, and what a revoke would do downstream."""
        return LineageGovernance(self._connection)

    @cached_property
    def session(self) -> Sessions:
        """The caller itself."""
        return Sessions(self._connection)

    def authorize_plan(
        self, accesses: Iterable[PlanAccess], *, subject: str | None = None, capabilities: Iterable[str] = ()
    ) -> PlanAnswer:
        """Decide everything a query plan accesses; what a governed engine connection calls before each statement."""
        return self.authorization.authorize_plan(accesses, subject=subject, capabilities=capabilities)

    def system_tables(self) -> tuple[SystemTable, ...]:
        """Return the system tables with their columns."""
        return SystemTables(self._connection).list()

    def system_table(self, full_name: str, **asked: Any) -> pyarrow.Table:
        """Return a system table, e.g. `system.access.table_lineage`: what `SystemTables.read` says. Needs pyarrow."""
        return SystemTables(self._connection).read(full_name, **asked)

    def system_table_batches(
        self, full_name: str, **asked: Any
    ) -> tuple[pyarrow.Schema, Iterator[pyarrow.RecordBatch]]:
        """Return a system table's schema, and its rows in batches that are fetched as they are asked for: `SystemTables.batches`."""
        return SystemTables(self._connection).batches(full_name, **asked)

    def health(self) -> str:
        """Return the server's standard health status, e.g. `SERVING`. Needs no token."""
        return self._connection.health()

    @property
    def endpoint(self) -> str:
        """Where the server is."""
        return self._connection.endpoint

    @property
    def workspace(self) -> str:
        """Name of the workspace the calls are made from; empty for none."""
        return self._connection.workspace

    @property
    def revision(self) -> str:
        """The revision the last reply was made at, as `<epoch>:<number>`; empty before the first reply."""
        return self._connection.last_seen.revision

    def as_token(self, token: str) -> Client:
        """Return a client that calls with another token over the same channel; closing it leaves the channel open."""
        return self._copy(replace(self._connection, token=token.strip()))

    def with_workspace(self, workspace: str) -> Client:
        """Return a client that calls from another workspace over the same channel."""
        return self._copy(replace(self._connection, workspace=workspace))

    def with_timeout(self, timeout_seconds: float) -> Client:
        """Return a client with another deadline for each call, over the same channel."""
        return self._copy(replace(self._connection, timeout_seconds=timeout_seconds))

    def at_least_revision(self, revision: str) -> Client:
        """Return a client whose calls are answered at this revision or a later one, never at an older."""
        return self._copy(replace(self._connection, at_least_revision=revision))

    def with_freshness(self, freshness: Literal["full", "bounded"]) -> Client:
        """Return a client whose questions are answered from the state of their arrival (`full`), or of up to 250 ms before (`bounded`)."""
        return self._copy(replace(self._connection, freshness=freshness))

    def _copy(self, connection: Connection) -> Client:
        copy = object.__new__(type(self))
        copy._connection = connection
        copy._owns_channel = False
        return copy

    def close(self) -> None:
        """Close the channel; running calls are cancelled. A copy leaves it to the client it was made from."""
        if self._owns_channel:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        token = "<set>" if self._connection.token else "<none>"
        return f"Client(endpoint={self.endpoint!r}, workspace={self.workspace!r}, token={token})"
