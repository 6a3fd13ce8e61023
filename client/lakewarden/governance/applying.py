"""Carries out a plan: one call for each step, in order, until the first that fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lakewarden._errors import LakewardenError
from lakewarden.governance.comparing import Comparison
from lakewarden.governance.documents import Identity, identity
from lakewarden.governance.fields import NAME, Noun
from lakewarden.governance.nouns import NOUNS
from lakewarden.governance.secrets import resolved
from lakewarden.governance.shapes import PRINCIPAL, SECRET, SECRETS
from lakewarden.governance.steps import BIND, CREATE, DELETE, GRANT, MEMBERSHIP, REVOKE, UPDATE, Step

if TYPE_CHECKING:
    from lakewarden._client import Client

ISOLATED = "ISOLATED"
Progress = Callable[[int, int, Step], None]


class Applier:
    """Takes the steps of one comparison, remembering what the calls answer: new application ids and etags."""

    def __init__(self, client: Client, comparison: Comparison) -> None:
        self._client = client
        self._steps = comparison.plan.steps
        self._server = comparison.server
        self._principals = comparison.server.principals
        self._etags: dict[Identity, str] = {}
        self._acts: dict[str, Callable[[Step], None]] = {
            CREATE: self._create,
            UPDATE: self._update,
            DELETE: self._delete,
            GRANT: self._grant,
            REVOKE: self._grant,
            MEMBERSHIP: self._change_members,
            BIND: self._bind,
        }

    def run(self, progress: Progress) -> None:
        """Take all steps. Raises the first one's LakewardenError, with a note that says which step it was."""
        self._look_for_secrets()
        count = len(self._steps)
        for number, step in enumerate(self._steps, 1):
            progress(number, count, step)
            try:
                self._acts[step.action](step)
            except LakewardenError as error:
                error.add_note(
                    f"Step {number} of {count} failed: {step.title}. The {number - 1} before it are done. "
                    "Repair the cause and apply again: it goes on from here."
                )
                raise

    def _look_for_secrets(self) -> None:
        """Raises FailedPrecondition before anything is done when a secret that will be needed is not there."""
        for step in self._steps:
            if step.action in (CREATE, UPDATE):
                self._secrets(step)

    def _secrets(self, step: Step) -> dict[str, Any]:
        """The secrets a step sends: all of a new object's, else those that are set together with what changes."""
        noun, found = NOUNS[step.noun], {}
        setters = {noun.field(change.field).set for change in step.changes if change.field != NAME}
        values = {**step.wanted, **{change.field: change.after for change in step.changes}}
        for field in noun.fields:
            needed = step.action == CREATE or (field.set is not None and field.set in setters)
            if field.shape in (SECRET, SECRETS) and needed and values.get(field.name):
                found[field.name] = resolved(values[field.name])
        return found

    def _create(self, step: Step) -> None:
        noun = NOUNS[step.noun]
        made = noun.create(self._server.client_for(step.noun, step.name), step.name, self._values(noun, step))
        if step.noun == "service_principal":
            self._principals.add(made.name, made.display_name)
        self._remember(step, made)

    def _update(self, step: Step) -> None:
        noun = NOUNS[step.noun]
        changed = noun.update(
            self._server.client_for(step.noun, step.name),
            self._name(step),
            [change.field for change in step.changes],
            self._values(noun, step),
            self._etag(step),
        )
        self._remember(step, changed)

    def _delete(self, step: Step) -> None:
        NOUNS[step.noun].delete(
            self._server.client_for(step.noun, step.name), self._name(step), self._etag(step)
        )

    def _grant(self, step: Step) -> None:
        from lakewarden._authorization import change
        from lakewarden.v1.grants_pb2 import GrantChange

        principal = self._principals.on_server(step.principal)
        granted = [grant.privilege for grant in step.granted]
        # Revokes first: revoking ALL PRIVILEGES takes others with it, which the grants then bring back.
        changes = [change(GrantChange.REVOKE, principal, step.revoked)] if step.revoked else []
        if granted:
            terms = step.granted[0].terms
            changes.append(
                change(
                    GrantChange.GRANT,
                    principal,
                    granted,
                    expire_time=terms.expire_time,
                    reason=terms.reason,
                )
            )
        self._server.client_for(step.noun, step.name).grants.update(step.noun, step.name, changes)

    def _change_members(self, step: Step) -> None:
        added, removed = (
            list(map(self._principals.on_server, names)) for names in (step.added, step.removed)
        )
        collection = NOUNS[step.noun].field(step.collection).collection
        assert collection is not None
        collection.change(self._server.client_for(step.noun, step.name), step.name, added, removed)

    def _bind(self, step: Step) -> None:
        modes = [change.after for change in step.changes]
        # From the calling workspace, bound or not: whoever may bind may do it from any workspace of the metastore.
        self._client.workspace_bindings.update(
            step.noun,
            step.name,
            isolated=modes[0] == ISOLATED if modes else None,
            add={binding.workspace: binding.binding_type for binding in step.bound},
            remove={*step.removed, *filter(None, [step.unbound])},
        )

    def _name(self, step: Step) -> str:
        if step.noun == "service_principal":
            return self._principals.application_id(step.name)
        return step.name

    def _values(self, noun: Noun, step: Step) -> dict[str, Any]:
        """The new values as the client takes them."""
        values = {**step.wanted, **{change.field: change.after for change in step.changes}}
        values |= self._secrets(step)
        for field in noun.fields:
            if field.shape == PRINCIPAL and values.get(field.name):
                values[field.name] = self._principals.on_server(values[field.name])
        return values

    def _etag(self, step: Step) -> str:
        """The etag of the last answer about the object, else the one it was read with: no change in between is lost."""
        return self._etags.get(identity(step.noun, step.name), step.etag)

    def _remember(self, step: Step, answer: Any) -> None:
        self._etags[identity(step.noun, step.name)] = answer.etag
