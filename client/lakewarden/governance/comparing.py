"""Compares files with a server: settles what they are about, reads that much of the server, and plans."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from lakewarden._errors import FailedPrecondition, PermissionDenied
from lakewarden.governance.documents import Document, Scope, identity
from lakewarden.governance.planning import plan
from lakewarden.governance.reading import same_name
from lakewarden.governance.server import ServerReader
from lakewarden.governance.steps import Plan

if TYPE_CHECKING:
    from lakewarden._client import Client


class Comparison(NamedTuple):
    """The plan, and the server it is for as it was read."""

    plan: Plan
    server: ServerReader


def compare(client: Client, wanted: Document, *, prune: bool) -> Comparison:
    """Plan what brings the server to what the files say. Raises LakewardenError, among others where files fit no server."""
    if prune and wanted.scope is None:
        raise FailedPrecondition(
            "files say in [scope] what they describe completely; without it nothing can be pruned"
        )
    scope = wanted.scope or _implied_scope(wanted)
    reader = ServerReader(client, scope)
    account = client.with_workspace("")
    contents = _has_content(client, wanted, scope)
    if wanted.scope is not None:
        reader.require_whole(contents=contents)
    actual = reader.read(contents=contents)
    caller = reader.principals.in_files(account.session.get().principal)
    made = plan(
        _in_force(wanted, datetime.now(UTC)), actual, caller=caller, workspace=client.workspace, prune=prune
    )
    return Comparison(made, reader)


def _in_force(document: Document, now: datetime) -> Document:
    """The document without the grants that are over: the server would refuse them."""
    kept = {
        key: grant
        for key, grant in document.grants.items()
        if grant.terms.expire_time is None or grant.terms.expire_time > now
    }
    return replace(document, grants=kept)


def _implied_scope(document: Document) -> Scope:
    """What files are about that do not say so: whatever they mention."""
    return Scope(
        account=document.concerns_account(),
        catalogs=document.catalogs_named(),
        places=document.concerns_places(),
    )


def _has_content(client: Client, wanted: Document, scope: Scope) -> bool:
    """Whether the catalogs the files speak of may exist already: not in a metastore the plan has yet to make.

    Raises FailedPrecondition when the calling workspace neither is nor will be attached to the right metastore.
    """
    if not scope.metastore and not scope.catalogs and not scope.places:
        return False
    if not client.workspace:
        raise FailedPrecondition(
            "the files describe the content of a metastore: name a workspace attached to it, with --workspace"
        )
    planned = wanted.rows.get(identity("workspace", client.workspace))
    will_be = planned.values.get("metastore", "") if planned is not None else ""
    try:
        attached = client.session.get().metastore
    except PermissionDenied as denied:
        if (
            denied.reason != "WORKSPACE_DENIED"
            or planned is None
            or _exists(client, "workspaces", client.workspace)
        ):
            raise
        attached = ""
    target = scope.metastore or will_be or attached
    if attached and same_name(attached, target):
        return True
    if target and same_name(will_be or "", target) and not _exists(client, "metastores", target):
        return False
    raise FailedPrecondition(
        f"workspace {client.workspace} is attached to {attached or 'no metastore'}, and the files describe "
        f"{target or 'the content of one'}: name another workspace, or attach it first"
    )


def _exists(client: Client, resource: str, name: str) -> bool:
    return any(
        same_name(found.full_name, name) for found in getattr(client.with_workspace(""), resource).list()
    )
