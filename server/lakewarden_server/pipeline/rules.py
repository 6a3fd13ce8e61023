"""The methods this server answers, each with the authorization rule of its proto option. A method without one stops start-up."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor

from lakewarden.v1 import rules_pb2
from lakewarden_policy import BOUND_KINDS, IN_WORKSPACE, KINDS, Policy, UnknownOperation
from lakewarden_server.core.errors import OperatorError

ServiceMethod = Callable[[Any, Any], Any]
"""Answers with a message; one that streams, with an iterator of them that needs no transaction any more."""
PrepareMethod = Callable[[Any], Any]

AS_OF = "authorization.as_of"
"""The operation of every question about the past, whatever its RPC asks about the present."""
GENERIC_NOUNS = {
    "create", "get", "update", "delete", "grant", "grants_all", "effective", "explain", "bind", "tag",
}  # fmt: skip
"""Operations whose noun is the kind of the securable named in the request, e.g. `grant` on a table is `table.grant`."""


class RuleError(OperatorError):
    """An RPC without a usable rule: the server must not start."""


class Binding(NamedTuple):
    """An object a request names beside the one it is about; see `Binding` in rules.proto."""

    name: str
    field: str
    kind: str


@dataclass(frozen=True, slots=True)
class Rule:
    """`Rule` of rules.proto as plain attributes: every call reads a dozen of them, at a fifth of what a message's cost."""

    operation: str
    self: str
    parent: str
    subject: str
    securable_type: str
    update_mask: str
    privileges: str
    write: bool
    snapshot_only: bool
    log_decision: bool
    bind: tuple[Binding, ...]
    references: bool
    large_requests: bool
    as_of: tuple[str, ...]
    urgent: bool
    pool: str
    workspace_objects: bool
    records: bool

    @classmethod
    def of(cls, option: rules_pb2.Rule) -> Rule:
        """The rule of a method's proto option."""
        values = {field.name: getattr(option, field.name) for field in fields(cls)}
        bindings = tuple(Binding(binding.name, binding.field, binding.kind) for binding in option.bind)
        return cls(**{**values, "bind": bindings, "as_of": tuple(option.as_of)})


@dataclass(frozen=True)
class Method:
    """One RPC: where it is, what it may do, and the function that does it."""

    full_name: str
    """As on the wire: `lakewarden.v1.TableService/CreateTable`."""
    rule: Rule
    input_type: Descriptor
    output_type: Descriptor
    function: ServiceMethod
    prepare: PrepareMethod | None
    streams: bool = False
    """Whether it answers with several messages."""

    @cached_property
    def noun(self) -> str:
        """The noun of the operation, e.g. `table`; empty for an operation whose noun is in the request."""
        return self.rule.operation.partition(".")[0] if "." in self.rule.operation else ""

    @cached_property
    def kind(self) -> str | None:
        """The kind of the object the operation is about, when the noun is one."""
        kind = self.noun.upper()
        return kind if kind in KINDS else None

    @cached_property
    def kinds(self) -> dict[int, str]:
        """The kinds its `securable_type` can name, by their numbers."""
        *path, last = self.rule.securable_type.split(".")
        message: Descriptor | None = self.input_type
        for part in path:
            message = message.fields_by_name[part].message_type if message else None
        enum = message.fields_by_name[last].enum_type if message else None
        # To others an object of a workspace is a securable like any.
        wanted = IN_WORKSPACE if self.rule.workspace_objects else KINDS
        return {value.number: value.name for value in enum.values if value.name in wanted} if enum else {}

    @cached_property
    def past_fields(self) -> tuple[tuple[str, bool], ...]:
        """The fields that name an earlier state, and whether each can be set or unset rather than empty."""
        by_name = self.input_type.fields_by_name
        return tuple((name, by_name[name].has_presence) for name in self.rule.as_of)


def collect_methods(services: Mapping[ServiceDescriptor, object], policy: Policy) -> dict[str, Method]:
    """Every method of the given services by its wire name.

    Raises `RuleError` naming each method that has no rule, an unknown operation, a field that is not in its request, or no
    function: an RPC that nobody authorizes must not be reachable.
    """
    methods: dict[str, Method] = {}
    problems: list[str] = []
    for service, implementation in services.items():
        for descriptor in service.methods:
            full_name = f"{service.full_name}/{descriptor.name}"
            try:
                methods[full_name] = _method(full_name, descriptor, implementation, policy)
            except RuleError as error:
                problems.append(f"{full_name}: {error}")
    if problems:
        raise RuleError("the server cannot start: " + "; ".join(problems))
    return methods


def operations_of(method: Method) -> list[str]:
    """The operations a method can select, without the selectors of masks and privileges."""
    if method.noun:
        return [method.rule.operation]
    return [f"{kind.lower()}.{method.rule.operation}" for kind in securable_kinds(method)]


def securable_kinds(method: Method) -> list[str]:
    """The kinds a method's `securable_type` field can name."""
    return list(method.kinds.values())


def snake_case(name: str) -> str:
    """`CreateTable` -> `create_table`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _method(full_name: str, descriptor: MethodDescriptor, implementation: object, policy: Policy) -> Method:
    options = descriptor.GetOptions()
    if not options.HasExtension(rules_pb2.rule):
        raise RuleError("it has no (lakewarden.v1.rule) option")
    rule = Rule.of(options.Extensions[rules_pb2.rule])
    if descriptor.client_streaming:
        raise RuleError("streams of requests are not supported")
    if descriptor.server_streaming and (rule.write or rule.snapshot_only or rule.log_decision or rule.as_of):
        raise RuleError("only what reads and tells no decision is answered in a stream")
    name = snake_case(descriptor.name)
    function = getattr(implementation, name, None)
    if not callable(function):
        raise RuleError(f"{type(implementation).__name__} has no method {name}")
    method = Method(
        full_name=full_name,
        rule=rule,
        input_type=descriptor.input_type,
        output_type=descriptor.output_type,
        function=function,
        prepare=getattr(implementation, f"prepare_{name}", None),
        streams=descriptor.server_streaming,
    )
    _check_fields(method)
    _check_operations(method, policy)
    return method


def _check_fields(method: Method) -> None:
    rule = method.rule
    paths = (
        rule.self,
        rule.parent,
        rule.subject,
        rule.securable_type,
        rule.update_mask,
        rule.privileges,
        *rule.as_of,
    )
    for path in filter(None, (*paths, *(binding.field for binding in rule.bind))):
        message: Descriptor | None = method.input_type
        for part in path.split("."):
            field = message.fields_by_name.get(part) if message else None
            if field is None:
                raise RuleError(f"its rule binds {path}, which {method.input_type.name} does not have")
            message = field.message_type
    for binding in rule.bind:
        if not binding.field or binding.kind not in (BOUND_KINDS.get(binding.name, frozenset()) | {""}):
            raise RuleError(f"it binds {binding.name!r} to a field or kind that operations cannot speak of")
    if rule.references and method.prepare is None:
        raise RuleError("its references come from a prepare_ method, which it does not have")
    if not method.noun and (rule.operation not in GENERIC_NOUNS or not rule.securable_type):
        raise RuleError(f"its operation {rule.operation!r} needs a noun or a securable_type")


def _check_operations(method: Method, policy: Policy) -> None:
    bound = (
        {"workspace"}
        | ({"self"} if method.rule.self else set())
        | ({"subject"} if method.rule.subject else set())
    )
    if method.rule.as_of and AS_OF not in policy.operations:
        raise RuleError(f"operations.csv does not define {AS_OF}")
    bound |= {binding.name for binding in method.rule.bind}
    bound |= {"parent"} if method.rule.operation.endswith((".create", ".list")) else set()
    for name in operations_of(method):
        try:
            operation = policy.operation(name)
        except UnknownOperation:
            raise RuleError(f"operations.csv does not define {name}") from None
        if operation.asks_references and not method.rule.references:
            raise RuleError(f"{name} asks for references, which the rule does not bind")
        needed = operation.object_names
        unbound: Iterable[str] = needed - bound
        if unbound:
            raise RuleError(f"{name} speaks of {', '.join(unbound)}, which the rule does not bind")
