"""Functions: SQL expressions under a name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import functions_pb2 as pb
from lakewarden_policy import Reference, name_key
from lakewarden_server.entities import Function, touch
from lakewarden_server.services import functions_in_use, securables, validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.defined import check_first_owner, reference_messages, shows_definition
from lakewarden_server.services.definitions import ColumnDefinition, checked
from lakewarden_server.services.parsing import Parsing
from lakewarden_server.storage.repositories import references as reference_rows

PARAMETERS_MAX = 100


class PreparedBody(NamedTuple):
    """A body that was parsed before any lock; `names` are to be checked against the parameters."""

    references: Sequence[Reference] = ()
    names: Sequence[str] = ()
    parameters: Sequence[ColumnDefinition] = ()
    return_type: str = ""


class FunctionService:
    """Implements `lakewarden.v1.FunctionService`."""

    def __init__(self, parsing: Parsing) -> None:
        self._parsing = parsing

    def prepare_create_function(self, request: pb.CreateFunctionRequest) -> PreparedBody:
        """Reads the parameters, and from the body what it references."""
        function = request.function
        if len(function.parameters) > PARAMETERS_MAX:
            raise validation.invalid(
                "parameters", f"{len(function.parameters)}; a function has at most {PARAMETERS_MAX}"
            )
        parameters = checked(
            ColumnDefinition(given.name, given.type_text.strip(), "", True, validation.comment(given.comment))
            for given in function.parameters
        )
        (returned,) = checked([ColumnDefinition("result", function.return_type_text.strip(), "", True, "")])
        body = self._read(function.definition)
        _check_names(body.names, [parameter.name for parameter in parameters])
        return body._replace(parameters=parameters, return_type=returned.type_text)

    def create_function(self, request: pb.CreateFunctionRequest, call: Call) -> pb.Function:
        """Creates a function."""
        prepared: PreparedBody = call.prepared
        check_first_owner(request.function, call)
        function = securables.create(
            call,
            Function,
            request.function,
            metastore_id=call.metastore_id,
            definition=request.function.definition,
            return_type_text=prepared.return_type,
            parameters=[
                {"name": given.name, "type_text": given.type_text, "comment": given.comment}
                for given in prepared.parameters
            ],
        )
        reference_rows.replace(call.uow.session, function.id, prepared.references)
        return _written(function, call)

    def get_function(self, request: pb.GetFunctionRequest, call: Call) -> pb.Function:
        """Returns one function, its body only to who may execute or manage it."""
        return _written(call.row(Function, call.self_id), call)

    def list_functions(self, request: pb.ListFunctionsRequest, call: Call) -> pb.ListFunctionsResponse:
        """Lists the functions of a schema that the caller may see, without their bodies."""
        page, token = securables.page(call, Function, "FUNCTION", call.objects.get("parent"), request)
        return pb.ListFunctionsResponse(
            functions=[_to_message(function, call) for function in page], next_page_token=token
        )

    def prepare_update_function(self, request: pb.UpdateFunctionRequest) -> PreparedBody:
        """Reads the new body, when the mask names it."""
        if "definition" not in request.update_mask.paths:
            return PreparedBody()
        return self._read(request.function.definition)

    def update_function(self, request: pb.UpdateFunctionRequest, call: Call) -> pb.Function:
        """Changes what the mask names."""
        setters = {**securables.SETTERS, "definition": _set_definition}
        function = securables.update(call, Function, request.function, request.update_mask.paths, setters)
        call.uow.session.flush()
        return _written(function, call)

    def delete_function(self, request: pb.DeleteFunctionRequest, call: Call) -> Empty:
        """Deletes a function that protects no table."""
        securables.delete(call, force=False, sent_etag=request.etag)
        return Empty()

    def _read(self, text: str) -> PreparedBody:
        from lakewarden_server.services.queries import read_expression

        with self._parsing.turn():
            reading = read_expression(text)
        return PreparedBody(reading.references, reading.columns)


def _set_definition(function: Any, message: Any, call: Call) -> None:
    """Replaces the body; one that protects a table stays within what an engine can put in a query."""
    from lakewarden_server.services.expansion import problem_of_policy

    prepared: PreparedBody = call.prepared
    _check_names(prepared.names, function.parameter_names)
    tables = functions_in_use.tables_of(call, function.id)
    problem = problem_of_policy(message.definition) if tables else ""
    if problem:
        raise functions_in_use.in_use(call, function.id, tables, f"its body {problem}")
    function.definition = message.definition
    reference_rows.replace(call.uow.session, function.id, prepared.references)
    touch(function)


def _check_names(names: Sequence[str], parameters: Sequence[str]) -> None:
    from lakewarden_server.services.queries import invalid

    known = {name_key(parameter) for parameter in parameters}
    unknown = next((name for name in names if name_key(name) not in known), None)
    if unknown is not None:
        raise invalid(f"{unknown!r} is no parameter of the function")


def _written(function: Function, call: Call) -> pb.Function:
    """The message, with the body where the caller is shown it."""
    call.uow.session.flush()
    message = _to_message(function, call)
    if shows_definition(call, "EXECUTE"):
        message.definition = function.definition
        rows = reference_rows.of_object(call.uow.session, function.id)
        message.references.extend(reference_messages(rows))
    return message


def _to_message(function: Function, call: Call) -> pb.Function:
    message = pb.Function(
        metastore_id=function.metastore_id or "",
        return_type_text=function.return_type_text,
        parameters=[pb.FunctionParameter(**parameter) for parameter in function.parameters],
    )
    securables.fill(message, function, call)
    return message
