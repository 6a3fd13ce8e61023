"""What a plan's allowed access carries besides the yes: row filters, column masks, and what a view is made of.

An engine that did not say that it applies them, and whatever cannot be told it as SQL, turns the yes into a no.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from lakewarden.v1 import authorization_pb2 as pb
from lakewarden.v1 import grants_pb2
from lakewarden_policy import KINDS, RELATIONS, Securable, Snapshot
from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import DeadlineExceeded, Reason
from lakewarden_server.services.call import Call

if TYPE_CHECKING:
    from lakewarden_server.services.expansion import Session

RELATIONS_MAX = 1_000
_READS_NOTHING = frozenset({"APPLY_TAG", "BROWSE", "MANAGE", "OWNER"})
"""Whatever else there is may show rows, so filters and masks go with it."""
STORED_KINDS = ("MATERIALIZED_VIEW", "STREAMING_TABLE")
"""What an engine cannot tell from a table: relations whose rows it holds."""

_RULED_KINDS = RELATIONS | {"FUNCTION"}


class Unenforceable(Exception):
    """What this engine cannot be trusted to apply; the text says which and why."""


def add_rules(
    verdict: pb.Verdict,
    call: Call,
    *,
    found: Securable,
    kind: str,
    privilege: str,
    subject: str,
    capabilities: Collection[int],
) -> None:
    """Completes the verdict of an allowed access; `kind` is what the engine took it for.

    Raises Unenforceable, and DeadlineExceeded for a plan that takes too long.
    """
    if monotonic() >= call.deadline:
        raise DeadlineExceeded(
            Reason.DEADLINE_PASSED, "The deadline passed before the plan was decided: ask about less at once."
        )
    if privilege in _READS_NOTHING or found.kind not in _RULED_KINDS:
        return
    rules = _Rules(call.snapshot, call.metastore_id, subject, capabilities)
    if found.kind == "FUNCTION":
        rules.refuse_guarded(found)
        rules.add_function(verdict, found)
    elif found.kind == "VIEW":
        verdict.relations.extend(rules.relations(found))
    elif found.kind == "MATERIALIZED_VIEW" and privilege != "SELECT":
        rules.refuse_guarded(found)
    elif kind == "VIEW":
        # Its text must not stand in for its rows: SELECT is on what its owner stored, at the time it was stored (semantics 3.3).
        raise Unenforceable("its rows are stored, and this engine does not have them")
    else:
        rules.add_policies(verdict, found.id)


class _Rules:
    """The rules of one snapshot for one subject and one engine."""

    def __init__(
        self, snapshot: Snapshot, metastore_id: str | None, subject: str, capabilities: Collection[int]
    ) -> None:
        self._snapshot = snapshot
        self._metastore_id = metastore_id
        self._subject = subject
        self._capabilities = capabilities
        self._known_session: Session | None = None

    def add_policies(self, message: Any, table_id: str) -> None:
        """Writes filter and masks of a table into a verdict or relation."""
        row_filter = self._snapshot.row_filters.get(table_id)
        if row_filter is not None:
            self._require(pb.ROW_FILTER, f"the row filter of {self._snapshot.full_name(table_id)}")
            message.row_filter = self._policy_sql(row_filter.function_id, row_filter.columns, table_id)
        for mask in self._snapshot.column_masks.get(table_id, ()):
            self._require(pb.COLUMN_MASK, f"the masks of {self._snapshot.full_name(table_id)}")
            columns = (mask.column, *mask.using)
            message.column_masks[mask.column] = self._policy_sql(mask.function_id, columns, table_id)

    def relations(self, view: Securable) -> Iterator[pb.PlanRelation]:
        """The view and all it reads, once each; nothing for an engine that has views of its own and reads no guarded table."""
        reached = self._reached(view)
        if pb.VIEW_EXPANSION not in self._capabilities:
            guarded = next((found for found in reached if self._is_guarded(found.id)), None)
            if guarded is not None:
                what = f"filters or masks below view {self._snapshot.full_name(view.id)}"
                self._require(pb.VIEW_EXPANSION, what)
            return
        for found in reached:
            if found.kind != "FUNCTION":
                yield self._relation(found)

    def add_function(self, verdict: pb.Verdict, function: Securable) -> None:
        """Writes into a verdict what a function computes, for an engine that puts it in the place of the call."""
        from lakewarden_server.services.expansion import NotExpandable, function_sql

        if pb.FUNCTION_EXPANSION not in self._capabilities:
            return
        found = self._snapshot.functions.get(function.id)
        if found is None:
            raise Unenforceable("it has no body")
        try:
            definition = function_sql(found, self._snapshot, self._metastore_id, self._session())
        except NotExpandable as error:
            raise Unenforceable(f"it cannot be put into a query: {error}") from None
        verdict.function.parameters.extend(found.parameters)
        verdict.function.definition = definition

    def refuse_guarded(self, running: Securable) -> None:
        """Raises Unenforceable where a function or refresh reads a guarded table: no verdict says what to apply inside of it."""
        if any(self._is_guarded(found.id) for found in self._reached(running)):
            label, name = KINDS[running.kind].label, self._snapshot.full_name(running.id)
            raise Unenforceable(
                f"{label} {name} reads through filters or masks, which can be applied inside of views only"
            )

    def _relation(self, found: Securable) -> pb.PlanRelation:
        message = pb.PlanRelation(
            full_name=self._snapshot.full_name(found.id),
            securable_type=grants_pb2.SecurableType.Value(found.kind),
        )
        if found.kind == "VIEW":
            self._add_definition(message, found)
        else:
            self.add_policies(message, found.id)
        return message

    def _add_definition(self, message: pb.PlanRelation, found: Securable) -> None:
        from lakewarden_server.services.expansion import NotExpandable, view_sql

        view = self._snapshot.views.get(found.id)
        if view is None:
            raise Unenforceable(f"view {message.full_name} has no definition")
        try:
            message.definition = view_sql(view, self._snapshot, self._metastore_id, self._session())
        except NotExpandable as error:
            raise Unenforceable(f"view {message.full_name} cannot be expanded: {error}") from None
        message.dialect = view.dialect
        message.columns.extend(view.columns)

    def _reached(self, view: Securable) -> list[Securable]:
        """Everything a view, function or refresh uses, through views and functions; the decision has been made, so all of it exists."""
        reached = {view.id: view}
        waiting = [view]
        while waiting:
            for reference in self._snapshot.references.get(waiting.pop().id, ()):
                found = self._snapshot.referenced(reference, self._metastore_id)
                if found is not None and found.id not in reached:
                    reached[found.id] = found
                    waiting += [found] if found.kind in {"VIEW", "FUNCTION"} else []
            if len(reached) > RELATIONS_MAX:
                raise Unenforceable(
                    f"{KINDS[view.kind].label} {self._snapshot.full_name(view.id)} reads more than {RELATIONS_MAX} relations"
                )
        return list(reached.values())

    def _is_guarded(self, object_id: str) -> bool:
        return object_id in self._snapshot.row_filters or object_id in self._snapshot.column_masks

    def _require(self, capability: pb.EngineCapability.ValueType, what: str) -> None:
        if capability not in self._capabilities:
            name = pb.EngineCapability.Name(capability)
            raise Unenforceable(f"this engine did not say that it applies {what} ({name})")

    def _policy_sql(self, function_id: str, columns: tuple[str, ...], table_id: str) -> str:
        from lakewarden_server.services.expansion import NotExpandable, policy_sql

        function = self._snapshot.functions.get(function_id)
        table = self._snapshot.full_name(table_id)
        if function is None or function_id not in self._snapshot.securables:
            raise Unenforceable(f"a function that filters or masks {table} is gone")
        try:
            return policy_sql(function, columns, self._session())
        except NotExpandable as error:
            name = self._snapshot.full_name(function_id)
            raise Unenforceable(
                f"function {name}, which filters or masks {table}, cannot be applied: {error}"
            ) from None

    def _session(self) -> Session:
        from lakewarden_server.services.expansion import session_of

        if self._known_session is None:
            self._known_session = session_of(self._snapshot, self._subject)
        return self._known_session
