"""SQLAlchemy mapped classes: the domain model, one file per noun. Storage and services use them."""

from __future__ import annotations

from lakewarden_server.entities.base import Base, ChangeLogged, Stamped, UtcDateTime, state, touch
from lakewarden_server.entities.catalogs import Catalog
from lakewarden_server.entities.columns import Column
from lakewarden_server.entities.connections import Connection
from lakewarden_server.entities.credentials import ServiceCredential, StorageCredential
from lakewarden_server.entities.definitions import Defined, MaterializedView, StreamingTable, View
from lakewarden_server.entities.external_locations import ExternalLocation
from lakewarden_server.entities.external_metadata import ExternalMetadata
from lakewarden_server.entities.federation_policies import FederationPolicy
from lakewarden_server.entities.functions import Function
from lakewarden_server.entities.grants import Grant
from lakewarden_server.entities.group_members import GroupMember
from lakewarden_server.entities.ip_access_lists import IpAccessList, IpAccessSettings
from lakewarden_server.entities.lineage import (
    LineageAlias,
    LineageAsset,
    LineageChange,
    LineageContribution,
    LineageEdge,
    LineageEdgeVersion,
    LineageEnding,
    LineageEvent,
    LineageHead,
    LineageJob,
    LineageLink,
    LineageMapping,
    LineageMention,
    LineageName,
    LineageRun,
)
from lakewarden_server.entities.lineage_declarations import LineageDeclaration
from lakewarden_server.entities.metastores import Metastore
from lakewarden_server.entities.principals import Principal
from lakewarden_server.entities.records import (
    AuditHead,
    AuditLog,
    AuthzHead,
    Bootstrap,
    ChangeLog,
    DecisionLog,
    Idempotency,
    PolicyText,
)
from lakewarden_server.entities.references import SecurableReference
from lakewarden_server.entities.registered_models import ModelAlias, ModelVersion, RegisteredModel
from lakewarden_server.entities.schemas import Schema
from lakewarden_server.entities.secrets import Secret
from lakewarden_server.entities.securables import Account, Securable
from lakewarden_server.entities.shares import Provider, Recipient, Share, ShareObject, ShareRecipient
from lakewarden_server.entities.storage_paths import StoragePath
from lakewarden_server.entities.table_policies import ColumnMask, RowFilter
from lakewarden_server.entities.tables import Table
from lakewarden_server.entities.tags import OF_THE_OBJECT, Tag
from lakewarden_server.entities.tokens import Token, TokenUse
from lakewarden_server.entities.volumes import Volume
from lakewarden_server.entities.workspace_bindings import WorkspaceBinding
from lakewarden_server.entities.workspace_objects import WORKSPACE_OBJECTS, WorkspaceObject
from lakewarden_server.entities.workspaces import Workspace

__all__ = [
    "OF_THE_OBJECT",
    "WORKSPACE_OBJECTS",
    "Account",
    "AuditHead",
    "AuditLog",
    "AuthzHead",
    "Base",
    "Bootstrap",
    "Catalog",
    "ChangeLog",
    "ChangeLogged",
    "Column",
    "ColumnMask",
    "Connection",
    "DecisionLog",
    "Defined",
    "ExternalLocation",
    "ExternalMetadata",
    "FederationPolicy",
    "Function",
    "Grant",
    "GroupMember",
    "Idempotency",
    "IpAccessList",
    "IpAccessSettings",
    "LineageAlias",
    "LineageAsset",
    "LineageChange",
    "LineageContribution",
    "LineageDeclaration",
    "LineageEdge",
    "LineageEdgeVersion",
    "LineageEnding",
    "LineageEvent",
    "LineageHead",
    "LineageJob",
    "LineageLink",
    "LineageMapping",
    "LineageMention",
    "LineageName",
    "LineageRun",
    "MaterializedView",
    "Metastore",
    "ModelAlias",
    "ModelVersion",
    "PolicyText",
    "Principal",
    "Provider",
    "Recipient",
    "RegisteredModel",
    "RowFilter",
    "Schema",
    "Secret",
    "Securable",
    "SecurableReference",
    "ServiceCredential",
    "Share",
    "ShareObject",
    "ShareRecipient",
    "Stamped",
    "StorageCredential",
    "StoragePath",
    "StreamingTable",
    "Table",
    "Tag",
    "Token",
    "TokenUse",
    "UtcDateTime",
    "View",
    "Volume",
    "Workspace",
    "WorkspaceBinding",
    "WorkspaceObject",
    "state",
    "touch",
]
