"""The system groups of a workspace and the catalog that is made with it (semantics 3.2, 4 and 5.1).

Members are worked out from the grants on the workspace, so there is no second membership to keep consistent.
"""

from __future__ import annotations

from lakewarden_policy import READ_WRITE, WORKSPACE_GROUPS, name_key, workspace_group_id
from lakewarden_server.core.errors import AlreadyExists, Reason
from lakewarden_server.entities import Principal, Workspace, WorkspaceBinding
from lakewarden_server.services import principals, securables
from lakewarden_server.services.call import Call
from lakewarden_server.services.catalogs import add_catalog
from lakewarden_server.storage.repositories import grants, workspace_bindings

CATALOG_GRANTS = ("USE_CATALOG",)
SCHEMA_GRANTS = (
    "USE_SCHEMA",
    "CREATE_TABLE",
    "CREATE_VOLUME",
    "CREATE_MODEL",
    "CREATE_FUNCTION",
    "CREATE_MATERIALIZED_VIEW",
)
"""What the users of a workspace hold on its catalog and on the `default` schema in it (semantics 3.2)."""
ENTITLEMENTS = ("DATABRICKS_SQL_ACCESS", "USE_TOKENS", "WORKSPACE_ACCESS")
"""What the users of a workspace hold on it until that is revoked (semantics 5.3)."""


def create(call: Call, workspace: Workspace) -> None:
    """Adds the groups of a new workspace. Raises NAME_TAKEN."""
    for role in WORKSPACE_GROUPS:
        name = group_name(workspace.name, role)
        _refuse_taken(call, name)
        call.uow.session.add(
            Principal(
                id=workspace_group_id(workspace.id, role),
                kind="GROUP",
                name=name,
                name_key=name_key(name),
                system=True,
            )
        )
    users = workspace_group_id(workspace.id, "users")
    grants.give(call.uow.session, workspace.id, users, ENTITLEMENTS, by=call.caller.id, time=call.now)
    call.uow.session.flush()


def rename(call: Call, workspace: Workspace) -> None:
    """Names the groups after the workspace's new name. Raises NAME_TAKEN."""
    for role in WORKSPACE_GROUPS:
        group = call.uow.session.get(Principal, workspace_group_id(workspace.id, role))
        name = group_name(workspace.name, role)
        if group is not None and group.name != name:
            _refuse_taken(call, name, besides=group.id)
            group.name, group.name_key = name, name_key(name)


def delete(call: Call, workspace_id: str) -> None:
    """Ends the groups, and the bindings to the workspace. What the groups own, as its catalog, stays theirs until it is transferred."""
    session = call.uow.session
    for binding in workspace_bindings.of_workspace(session, workspace_id):
        session.delete(binding)
    for role in WORKSPACE_GROUPS:
        group = session.get(Principal, workspace_group_id(workspace_id, role))
        if group is not None:
            principals.bury(call, group)


def add_workspace_catalog(call: Call, workspace: Workspace, metastore_id: str) -> None:
    """Adds the workspace's own catalog: isolated, bound to it, owned by its admins, open to its users. Raises NAME_TAKEN."""
    session = call.uow.session
    securables.refuse_taken(call, kind="CATALOG", parent_id=metastore_id, name=workspace.name)
    catalog, schema = add_catalog(
        call,
        name=workspace.name,
        metastore_id=metastore_id,
        owner_id=workspace_group_id(workspace.id, "admins"),
        comment=f"the catalog of workspace {workspace.name}",
        isolation_mode="ISOLATED",
    )
    session.flush()
    session.add(WorkspaceBinding(securable_id=catalog.id, workspace_id=workspace.id, type=READ_WRITE))
    users = workspace_group_id(workspace.id, "users")
    for securable_id, privileges in ((catalog.id, CATALOG_GRANTS), (schema.id, SCHEMA_GRANTS)):
        grants.give(session, securable_id, users, privileges, by=call.caller.id, time=call.now)


def group_name(workspace_name: str, role: str) -> str:
    """`analytics users`."""
    return f"{workspace_name} {role}"


def _refuse_taken(call: Call, name: str, besides: str = "") -> None:
    taken = call.snapshot.principal_named(name)
    if taken is not None and taken.id != besides:
        raise AlreadyExists(
            Reason.NAME_TAKEN,
            f"there is a principal {name!r} already, which would be a group of the workspace: choose another name",
            name=name,
            kind="GROUP",
        )
