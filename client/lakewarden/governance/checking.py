"""What can be wrong in a document whose form is right: names, privileges, references and cycles. Asks no server."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache

from lakewarden.governance.documents import (
    SERVICE_PRINCIPAL_PREFIX,
    Document,
    Identity,
    Place,
    Row,
    Scope,
    identity,
    in_catalog,
    of_account,
    principal_identities,
)
from lakewarden.governance.fields import ISOLATION
from lakewarden.governance.nouns import NOUNS
from lakewarden.governance.reading import Problem, same_name
from lakewarden_policy import (
    InvalidName,
    name_key,
    policy_texts,
    split_full_name,
    validate_application_id,
    validate_email,
    validate_group_name,
    validate_name,
)
from lakewarden_policy.kinds import BINDABLE, name_steps
from lakewarden_policy.privileges import parse_privileges

DISPLAY_NAME_BYTES_MAX = 255
GROUP_DEPTH_MAX = 10
"""The server's own limit; here it only means that a mistake is found before the first call."""


def check(document: Document) -> list[Problem]:
    """Every problem, in the order of the places."""
    found = [*_names(document), *_grants(document), *_bindings(document), *_assertions(document)]
    found += _cycles(document)
    if document.scope is not None:
        found += [*_outside(document, document.scope), *_dangling(document, document.scope)]
    return sorted(set(found), key=lambda problem: (problem.place, problem.message))


@cache
def grantable_privileges() -> Mapping[str, tuple[str, ...]]:
    """The privileges that can be granted on each kind (lower case), as `privileges.csv` has them."""
    found: dict[str, tuple[str, ...]] = {}
    for privilege in parse_privileges(policy_texts()[1]).values():
        if privilege.is_grantable:
            found[privilege.kind.lower()] = (*found.get(privilege.kind.lower(), ()), privilege.name)
    return found


def _names(document: Document) -> Iterator[Problem]:
    for row in document.rows.values():
        problem = _invalid(_check_name, row.noun, row.name)
        if problem:
            yield Problem(row.place, problem)


def _invalid(check_name: Callable[..., object], *names: str) -> str:
    """What a rule of names says against a name; empty when it accepts it."""
    try:
        check_name(*names)
    except InvalidName as error:
        return str(error)
    return ""


def _check_name(noun: str, name: str) -> None:
    if noun == "user":
        validate_email(name)
        if name.startswith(SERVICE_PRINCIPAL_PREFIX):
            raise InvalidName(f"{name!r} would be taken for a service principal. It cannot be kept in files.")
    elif noun == "group":
        validate_group_name(name)
    elif noun == "service_principal":
        if len(name.encode()) > DISPLAY_NAME_BYTES_MAX:
            raise InvalidName(f"A display name of more than {DISPLAY_NAME_BYTES_MAX} bytes. Shorten it.")
    else:
        _check_full_name(noun, name)


def _check_full_name(kind: str, name: str) -> None:
    parts = split_full_name(kind.upper(), name)
    for step, part in zip(name_steps(kind.upper()), parts, strict=True):
        validate_name(part, step)


def _grants(document: Document) -> Iterator[Problem]:
    for grant in document.grants.values():
        yield from _access(grant.place, kind=grant.kind, name=grant.object, privilege=grant.privilege)
        yield from _principal_form(grant.place, grant.principal)
        if grant.kind == "account" and grant.terms.expire_time is not None:
            yield Problem(grant.place, "an appointment of account admins does not end by itself")


def _bindings(document: Document) -> Iterator[Problem]:
    bindable = [kind.lower() for kind in sorted(BINDABLE) if kind.lower() in NOUNS]
    for binding in document.bindings.values():
        if binding.kind not in bindable:
            yield Problem(
                binding.place, f"{binding.kind!r} cannot be bound: {_nearest(binding.kind, bindable)}"
            )
        else:
            problem = _invalid(_check_full_name, binding.kind, binding.object)
            if problem:
                yield Problem(binding.place, problem)
    for row in document.rows.values():
        mode = row.values.get(ISOLATION.name, ISOLATION.default)
        if ISOLATION in NOUNS[row.noun].fields and mode not in ("OPEN", "ISOLATED"):
            yield Problem(row.place, f"isolation_mode of {row.name} must be OPEN or ISOLATED")


def _assertions(document: Document) -> Iterator[Problem]:
    for assertion in document.assertions:
        asked = {"kind": assertion.kind, "name": assertion.object, "privilege": assertion.privilege}
        yield from _access(assertion.place, **asked)
        yield from _principal_form(assertion.place, assertion.principal)


def _access(place: Place, *, kind: str, name: str, privilege: str) -> Iterator[Problem]:
    """What is wrong with a privilege on something, whoever has it."""
    suitable = grantable_privileges().get(kind)
    known = [each for each in grantable_privileges() if each == "account" or each in NOUNS]
    if suitable is None or kind not in known:
        yield Problem(
            place,
            f"{kind!r} is no kind of securable in files: {_nearest(kind, known)}",
        )
        return
    if privilege not in suitable:
        yield Problem(
            place,
            f"{privilege} is no privilege on a {NOUNS[kind].label if kind in NOUNS else kind}: "
            f"{_nearest(privilege, suitable)}",
        )
    if kind == "account" and name != "account":
        yield Problem(place, 'the object of the kind account is "account"')
    problem = "" if kind == "account" else _invalid(_check_full_name, kind, name)
    if problem:
        yield Problem(place, problem)


def _nearest(name: str, known: list[str] | tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"


def _principal_form(place: Place, name: str) -> Iterator[Problem]:
    """An application id belongs to one server only, so files name service principals by their display names."""
    if not _invalid(validate_application_id, name):
        yield Problem(
            place, f"{name} is an application id of one server: write {SERVICE_PRINCIPAL_PREFIX}DISPLAY_NAME"
        )


def _cycles(document: Document) -> Iterator[Problem]:
    """Groups that contain themselves, each told once, and chains of groups that are too long."""
    groups = {row.identity: row for row in document.of("group")}
    height: dict[Identity, int] = {}

    def climb(row: Row, above: tuple[Identity, ...]) -> Iterator[Problem]:
        if row.identity in above:
            chain = [groups[each].name for each in (*above[above.index(row.identity) :], row.identity)]
            yield Problem(groups[min(above)].place, f"groups contain each other: {' > '.join(chain)}")
            return
        if row.identity in height:
            return
        inner = [groups[each] for name in row.values.get("members", ()) for each in principal_identities(name)
                 if each in groups]  # fmt: skip
        for member in inner:
            yield from climb(member, (*above, row.identity))
        height[row.identity] = 1 + max((height.get(member.identity, 0) for member in inner), default=0)
        if height[row.identity] == GROUP_DEPTH_MAX + 1:
            yield Problem(row.place, f"group {row.name} nests more than {GROUP_DEPTH_MAX} deep")

    for row in groups.values():
        yield from climb(row, ())


def _outside(document: Document, scope: Scope) -> Iterator[Problem]:
    """Rows and grants of what [scope] says the files are not about."""
    told = "lies outside of what [scope] says these files describe"
    for row in document.rows.values():
        if not inside(scope, row.noun, row.name):
            yield Problem(row.place, f"{NOUNS[row.noun].label} {row.name} {told}")
    for grant in document.grants.values():
        if not inside(scope, grant.kind, grant.object):
            yield Problem(grant.place, f"{grant.kind} {grant.object} {told}")
    for binding in document.bindings.values():
        if not inside(scope, binding.kind, binding.object):
            yield Problem(binding.place, f"{binding.kind} {binding.object} {told}")


def inside(scope: Scope, noun: str, name: str) -> bool:
    """Whether files of this scope describe such an object."""
    if of_account(noun):
        return scope.account
    if scope.catalogs is None:
        return bool(scope.metastore)
    if not in_catalog(noun):
        return scope.places
    return any(same_name(name.partition(".")[0], each) for each in scope.catalogs)


def _dangling(document: Document, scope: Scope) -> Iterator[Problem]:
    """References to what should be in the files and is not."""
    for place, identities, what in _references(document):
        declared = any(each in document.rows for each in identities)
        within = [each for each in identities if inside(scope, each.noun, each.key)]
        if within and not declared:
            yield Problem(place, f"{what}, which the files do not describe")


Reference = tuple[Place, tuple[Identity, ...], str]


def _references(document: Document) -> Iterator[Reference]:
    """Each place that names another object, the objects it may stand for, and how to say so."""
    for row in document.rows.values():
        label = f"{NOUNS[row.noun].label} {row.name}"
        parent = NOUNS[row.noun].inside
        if parent:
            above = row.name.rpartition(".")[0]
            yield row.place, (identity(parent, above),), f"{label} lies in {parent} {above}"
        for field in NOUNS[row.noun].fields:
            other = row.values.get(field.name)
            if field.refers_to and other:
                told = f"{label} has {field.name} {other}"
                yield row.place, (identity(field.refers_to, other),), told
        named = [*row.values.get("members", ()), *filter(None, [row.values.get("owner")])]
        yield from (_to_principal(row.place, name, label) for name in named if not _is_known(document, name))
    for grant in document.grants.values():
        told = f"{grant.privilege} is granted"
        if grant.kind != "account":
            yield grant.place, (identity(grant.kind, grant.object),), f"{told} on {grant.kind} {grant.object}"
        if not _is_known(document, grant.principal):
            yield _to_principal(grant.place, grant.principal, told)
    for binding in document.bindings.values():
        what = f"{binding.kind} {binding.object} is bound"
        yield binding.place, (identity(binding.kind, binding.object),), what
        yield binding.place, (identity("workspace", binding.workspace),), f"{what} to {binding.workspace}"
    for assertion in document.assertions:
        if assertion.kind != "account":
            what = f"the question is about {assertion.kind} {assertion.object}"
            yield assertion.place, (identity(assertion.kind, assertion.object),), what
        if not _is_known(document, assertion.principal):
            yield _to_principal(assertion.place, assertion.principal, "the question")


def _is_known(document: Document, name: str) -> bool:
    return document.keeps_itself(name) or bool(_UUID.fullmatch(name_key(name)))


_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _to_principal(place: Place, name: str, what: str) -> Reference:
    return place, principal_identities(name), f"{what} names {name}"
