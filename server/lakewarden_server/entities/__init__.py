"""SQLAlchemy mapped classes: the domain model, one file per noun. Storage and services use them."""

from __future__ import annotations

from lakewarden_server.entities.base import Base, ChangeLogged, Stamped, UtcDateTime, state, touch
from lakewarden_server.entities.catalogs import Catalog
from lakewarden_server.entities.columns import Column
from lakewarden_server.entities.definitions import Defined, MaterializedView, StreamingTable, View
from lakewarden_server.entities.functions import Function
from lakewarden_server.entities.grants import Grant
from lakewarden_server.entities.group_members import GroupMember
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
from lakewarden_server.entities.securables import Account, Securable
from lakewarden_server.entities.table_policies import ColumnMask, RowFilter
from lakewarden_server.entities.tables import Table
from lakewarden_server.entities.tokens import Token
from lakewarden_server.entities.volumes import Volume
from lakewarden_server.entities.workspace_bindings import WorkspaceBinding
from lakewarden_server.entities.workspaces import Workspace

__all__ = [
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
    "DecisionLog",
    "Defined",
    "Function",
    "Grant",
    "GroupMember",
    "Idempotency",
    "MaterializedView",
    "Metastore",
    "ModelAlias",
    "ModelVersion",
    "PolicyText",
    "Principal",
    "RegisteredModel",
    "RowFilter",
    "Schema",
    "Securable",
    "SecurableReference",
    "Stamped",
    "StreamingTable",
    "Table",
    "Token",
    "UtcDateTime",
    "View",
    "Volume",
    "Workspace",
    "WorkspaceBinding",
    "state",
    "touch",
]
