"""Carries out a plan: one call for each step, in order, until the first that fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lakewarden._errors import LakewardenError
from lakewarden.governance.comparing import Comparison
from lakewarden.governance.documents import Identity, identity, of_account
from lakewarden.governance.nouns import NOUNS, PRINCIPAL, Noun
from lakewarden.governance.steps import CREATE, DELETE, GRANT, MEMBERSHIP, REVOKE, UPDATE, Step

if TYPE_CHECKING:
    from lakewarden._client import Client

Progress = Callable[[int, int, Step], None]


class Applier:
    """Takes the steps of one comparison, remembering what the calls answer: new application ids and etags."""

    def __init__(self, client: Client, comparison: Comparison) -> None:
        self._client = client
        self._account = client.with_workspace("")
        self._steps = comparison.plan.steps
        self._principals = comparison.principals
        self._etags: dict[Identity, str] = {}
        self._acts: dict[str, Callable[[Step], None]] = {
            CREATE: self._create,
            UPDATE: self._update,
            DELETE: self._delete,
            GRANT: self._grant,
            REVOKE: self._grant,
            MEMBERSHIP: self._change_members,
        }

    def run(self, progress: Progress) -> None:
        """Take all steps. Raises the first one's LakewardenError, with a note that says which step it was."""
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

    def _create(self, step: Step) -> None:
        noun = NOUNS[step.noun]
        made = noun.create(self._at(step.noun), step.name, self._values(noun, step))
        if step.noun == "service_principal":
            self._principals.add(made.name, made.display_name)
        self._remember(step, made)

    def _update(self, step: Step) -> None:
        noun = NOUNS[step.noun]
        changed = noun.update(
            self._at(step.noun), self._name(step), self._values(noun, step), self._etag(step)
        )
        self._remember(step, changed)

    def _delete(self, step: Step) -> None:
        NOUNS[step.noun].delete(self._at(step.noun), self._name(step), self._etag(step))

    def _grant(self, step: Step) -> None:
        from lakewarden._authorization import change
        from lakewarden.v1.grants_pb2 import GrantChange

        principal = self._principals.on_server(step.principal)
        granted = [grant.privilege for grant in step.granted]
        # Revokes first: revoking ALL PRIVILEGES takes others with it, which the grants then bring back.
        changes = [change(GrantChange.REVOKE, principal, step.revoked)] if step.revoked else []
        changes += [change(GrantChange.GRANT, principal, granted)] if granted else []
        self._at(step.noun).grants.update(step.noun, step.name, changes)

    def _change_members(self, step: Step) -> None:
        added, removed = (
            list(map(self._principals.on_server, names)) for names in (step.added, step.removed)
        )
        self._account.groups.update_members(step.name, add=added, remove=removed)

    def _at(self, kind: str) -> Client:
        """The client for a kind: objects of the account are changed outside of any workspace."""
        return self._account if of_account(kind) else self._client

    def _name(self, step: Step) -> str:
        if step.noun == "service_principal":
            return self._principals.application_id(step.name)
        return step.name

    def _values(self, noun: Noun, step: Step) -> dict[str, Any]:
        """The new values as the client takes them."""
        values = {change.field: change.after for change in step.changes}
        for field in noun.fields:
            if field.shape == PRINCIPAL and values.get(field.name):
                values[field.name] = self._principals.on_server(values[field.name])
        return values

    def _etag(self, step: Step) -> str:
        """The etag of the last answer about the object, else the one it was read with: no change in between is lost."""
        return self._etags.get(identity(step.noun, step.name), step.etag)

    def _remember(self, step: Step, answer: Any) -> None:
        self._etags[identity(step.noun, step.name)] = answer.etag
