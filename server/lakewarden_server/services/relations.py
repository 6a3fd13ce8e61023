"""What views, materialized views and streaming tables do alike: they are relations defined by the text of a query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import views_pb2
from lakewarden_policy import Reference, name_key
from lakewarden_server.entities import touch
from lakewarden_server.services import securables, validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.defined import check_first_owner, reference_messages, shows_definition
from lakewarden_server.services.definitions import ColumnDefinition, checked
from lakewarden_server.services.parsing import Parsing
from lakewarden_server.storage.repositories import references as reference_rows
from lakewarden_server.storage.repositories import tags as tag_rows


class Prepared(NamedTuple):
    """A definition that was read before any lock; empty where the request changes none."""

    references: Sequence[Reference] = ()
    values: dict[str, Any] | None = None
    """The columns of the entity."""


class Relations:
    """The five verbs of one kind; its service says the RPC names."""

    def __init__(self, parsing: Parsing, *, entity: type[Any], message: type[Any], reply: type[Any]) -> None:
        self._parsing = parsing
        self._entity = entity
        self._message = message
        self._reply = reply
        self._kind = str(entity.__mapper_args__["polymorphic_identity"])
        self._field = self._kind.lower()

    def prepare_create(self, request: Any) -> Prepared:
        """Reads the definition. Raises DEFINITION_INVALID."""
        return self._read(getattr(request, self._field), schema=request.parent)

    def create(self, request: Any, call: Call) -> Any:
        """Creates a relation with the prepared definition."""
        message = getattr(request, self._field)
        check_first_owner(message, call)
        entity = securables.create(
            call, self._entity, message, metastore_id=call.metastore_id, **call.prepared.values
        )
        reference_rows.replace(call.uow.session, entity.id, call.prepared.references)
        return self._written(entity, call)

    def get(self, call: Call) -> Any:
        """Returns one, its definition only to who may read or manage it."""
        entity = call.row(self._entity, call.self_id)
        if not shows_definition(call, "SELECT"):
            return self.to_message(entity, call)
        return self.to_message(entity, call, references=reference_rows.of_object(call.uow.session, entity.id))

    def list(self, request: Any, call: Call) -> Any:
        """Lists those of a schema that the caller may see, without their definitions."""
        page, token = securables.page(call, self._entity, self._kind, call.objects.get("parent"), request)
        reply = self._reply(next_page_token=token)
        getattr(reply, f"{self._field}s").extend(self.to_message(entity, call) for entity in page)
        return reply

    def prepare_update(self, request: Any) -> Prepared:
        """Reads the new definition, when the mask names it. Raises DEFINITION_INVALID."""
        message = getattr(request, self._field)
        if "definition" not in request.update_mask.paths:
            return Prepared()
        return self._read(message, schema=message.full_name.rpartition(".")[0])

    def update(self, request: Any, call: Call) -> Any:
        """Changes what the mask names."""
        setters = {**securables.SETTERS, "definition": _set_definition}
        message = getattr(request, self._field)
        return self._written(
            securables.update(call, self._entity, message, request.update_mask.paths, setters), call
        )

    def delete(self, request: Any, call: Call) -> Empty:
        """Deletes one; what it references stays."""
        securables.delete(call, force=False, sent_etag=request.etag)
        return Empty()

    def to_message(self, entity: Any, call: Call, *, references: Sequence[Any] | None = None) -> Any:
        """The message of a row, with its definition when the references are given."""
        message = self._message(metastore_id=entity.metastore_id or "")
        message.columns.extend(views_pb2.ViewColumn(**column) for column in entity.columns)
        message.dialect = entity.dialect
        if references is not None:
            message.definition = entity.definition
            message.references.extend(reference_messages(references))
        if getattr(entity, "refresh_time", None) is not None:
            message.refresh_time.FromDatetime(entity.refresh_time)
        securables.fill(message, entity, call)
        return message

    def _written(self, entity: Any, call: Call) -> Any:
        call.uow.session.flush()
        shown = shows_definition(call, "SELECT")
        rows = reference_rows.of_object(call.uow.session, entity.id) if shown else None
        return self.to_message(entity, call, references=rows)

    def _read(self, message: Any, *, schema: str) -> Prepared:
        from lakewarden_server.services.queries import read_query

        with self._parsing.turn():
            reading = read_query(message.definition, message.dialect, schema=schema)
        columns = _columns(message.columns, reading.columns)
        values = {
            "definition": message.definition,
            "full_text": reading.text,
            "dialect": reading.dialect,
            "columns": columns,
        }
        return Prepared(reading.references, values)


def _set_definition(entity: Any, message: Any, call: Call) -> None:
    values = call.prepared.values
    keys = frozenset(name_key(column["name"]) for column in values["columns"])
    tag_rows.drop_columns(call.uow.session, entity.id, besides=keys)
    for column, value in values.items():
        setattr(entity, column, value)
    reference_rows.replace(call.uow.session, entity.id, call.prepared.references)
    # The same text again is a new reading of it.
    touch(entity)


def _columns(given: Sequence[views_pb2.ViewColumn], read: Sequence[str]) -> list[dict[str, Any]]:
    """The columns as stored: those given, which must be as many as were read, or those read."""
    from lakewarden_server.services.queries import invalid

    if given and read and len(given) != len(read):
        raise invalid(f"{len(given)} columns are named, and the query yields {len(read)}")
    columns = given or [views_pb2.ViewColumn(name=name) for name in read]
    named = checked(
        (
            ColumnDefinition(
                column.name, column.type_text.strip(), "", True, validation.comment(column.comment)
            )
            for column in columns
        ),
        typed=False,
    )
    return [
        {"name": column.name, "type_text": column.type_text, "comment": column.comment} for column in named
    ]
