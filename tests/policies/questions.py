"""Random questions to the judges about a random world: built from a stored right more often than from nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from policies.calls import CHANGES, CONTAINED, MANAGED, TOLD, Question, about, call_in, call_on, use
from policies.reference_matrix import CREATE, IN_SCHEMA, MATRIX, NOT_IN_ALL, RUN_BY, WRITES_FILES
from policies.worlds import TIMES, WORKSPACES, World

ASKED = ("check", "plan", "filter", "list_accessible", "watch")
TOKEN_VERBS = ("create", "rotate", "list", "delete", "miss", "exchange")
LISTED = tuple(
    kind.lower()
    for kind in ("USER", "GROUP", "SERVICE_PRINCIPAL", "METASTORE", "WORKSPACE", *MANAGED, "DELETED_TABLE")
)


def make_question(rng: random.Random, world: World) -> Question:
    """A question somebody might just be allowed."""
    makers, weights = zip(*MAKERS.items(), strict=True)
    question = None
    while question is None:
        question = rng.choices(makers, weights)[0](rng, world)
    return question


def elsewhere(rng: random.Random, question: Question) -> Question:
    """The same question from another workspace, or from none."""
    return question._replace(workspace=rng.choice((None, None, *WORKSPACES)))


def _about_a_right(rng: random.Random, world: World) -> Question:
    """A holder of something, about that or what is below it."""
    place, holder, _ = _right(rng, world)
    if place == "account":
        place = rng.choice(list(world["objects"]))
    who = _member_of(rng, world, holder) if rng.random() < 0.8 else _anybody(rng, world)
    return _question_about_object(rng, world, who, _below(rng, world, place))


def _right(
    rng: random.Random, world: World, wanted: Callable[[Any], bool] | None = None
) -> tuple[str, str, str]:
    """An object, a holder and a privilege: a grant or an ownership; of a deleted object, what stands there now."""
    rights = [
        *(
            (o, holder, privilege)
            for o, holder, privilege, _ in world["grants"]
            if o not in world["principals"]
        ),
        *((o, thing["owner"], "OWNER") for o, thing in world["objects"].items() if thing["owner"]),
    ]
    fitting = [right for right in rights if wanted(right)] if wanted else rights
    place, holder, privilege = rng.choice(fitting or rights)
    return world["deleted"].get(place, {}).get("recreated_as", place), holder, privilege


def _question_about_object(rng: random.Random, world: World, who: str, place: str) -> Question:
    kind = world["objects"][place]["kind"]
    chance = rng.random()
    if chance < 0.15 and kind in CONTAINED:
        return call_in(rng, world, who, place)
    if chance < 0.5 and kind not in ("RECIPIENT", "PROVIDER", "SHARE", "WORKSPACE", "DELETED_TABLE"):
        privileges = sorted(MATRIX[kind] - {"ALL_PRIVILEGES"})
        often = [p for p in ("BROWSE", "MANAGE", "SELECT", "MODIFY", "WRITE_FILES") if p in MATRIX[kind]] * 2
        browsed = ["BROWSE"] * 2 if kind == "SCHEMA" or kind in IN_SCHEMA else []
        return use(rng, world, who, place, rng.choice([*privileges, *often, *browsed]))
    return call_on(rng, world, who, place)


def _about_running(rng: random.Random, world: World) -> Question | None:
    """Somebody with a right to what runs with its owner's rights runs it; the kind is drawn first, as some are rare."""
    (kind,) = rng.choices(("VIEW", "MATERIALIZED_VIEW", "FUNCTION"), (3, 4, 3))
    running = {o for o, thing in world["objects"].items() if thing["kind"] == kind and thing["references"]}
    rights = (RUN_BY[kind], "ALL_PRIVILEGES", "OWNER")
    right = _right(rng, world, lambda right: right[0] in running and right[2] in rights)
    if right[0] not in running:
        return None
    asked = RUN_BY[kind] if rng.random() < 0.9 else "ALL_PRIVILEGES"
    question = _use(rng, world, right[1], right[0], asked)
    by_call = asked == "REFRESH" and rng.random() < 0.5
    return question._replace(operation=f"{kind.lower()}.refresh", selector="") if by_call else question


def _about_an_ending(rng: random.Random, world: World) -> Question | None:
    """A privilege that was granted until some time."""
    ending = [grant for grant in world["grants"] if grant[3] is not None and grant[0] in world["objects"]]
    place, holder, privilege, _ = rng.choice(ending)
    if world["objects"][place]["kind"] == "WORKSPACE" or privilege == "ALL_PRIVILEGES":
        return None
    return _use(rng, world, holder, place, privilege)


def _about_all_privileges(rng: random.Random, world: World) -> Question | None:
    """What a holder of ALL PRIVILEGES may do with it: anything but what it does not cover."""
    place, holder, _ = _right(rng, world, lambda right: right[2] == "ALL_PRIVILEGES")
    place = _below(rng, world, place)
    names = MATRIX[world["objects"][place]["kind"]]
    covered, outside = sorted(names - {"ALL_PRIVILEGES"}), sorted(NOT_IN_ALL & names)
    return _use(rng, world, holder, place, rng.choice([*outside * 3, *covered])) if covered else None


def _about_browsing(rng: random.Random, world: World) -> Question | None:
    """Somebody with BROWSE looks at something inside."""
    place, holder, _ = _right(rng, world, lambda right: right[2] == "BROWSE")
    place = _below(rng, world, place)
    kind = world["objects"][place]["kind"]
    if kind == "DELETED_TABLE" or rng.random() < 0.5:
        return _use(rng, world, holder, place, "BROWSE") if kind != "DELETED_TABLE" else None
    return _use(rng, world, holder, place, "")._replace(operation=f"{kind.lower()}.get")


def _about_management(rng: random.Random, world: World) -> Question | None:
    """A metastore admin or a holder of MANAGE changes something."""
    metastores = {o for o, thing in world["objects"].items() if thing["kind"] == "METASTORE"}
    place, holder, _ = _right(
        rng, world, lambda right: right[2] == "MANAGE" or (right[0] in metastores and right[2] == "OWNER")
    )
    return _change(rng, world, holder, _below(rng, world, place))


def _about_ownership(rng: random.Random, world: World) -> Question | None:
    """The owner of something changes it; the kind is drawn first, so that rare kinds are asked about too."""
    kind = rng.choice((*MANAGED, "METASTORE"))
    owned = {o for o, thing in world["objects"].items() if thing["kind"] == kind and thing["owner"]}
    if not owned:
        return None
    place = rng.choice(sorted(owned))
    return call_on(rng, world, _member_of(rng, world, world["objects"][place]["owner"]), place, verbs=CHANGES)


def _change(rng: random.Random, world: World, holder: str, place: str) -> Question | None:
    if world["objects"][place]["kind"] not in MANAGED:
        return None
    return call_on(rng, world, _member_of(rng, world, holder), place, verbs=CHANGES)


def _about_creation(rng: random.Random, world: World) -> Question | None:
    """Somebody with the right to create something in a container does, or looks for what is not there."""
    kind = rng.choice(MANAGED)
    containers = [above for above, below in CONTAINED.items() if kind in below]
    able = (*CREATE[kind], "ALL_PRIVILEGES", "OWNER")
    place, holder, _ = _right(
        rng,
        world,
        lambda right: right[2] in able and world["objects"].get(right[0], {}).get("kind") in containers,
    )
    if world["objects"].get(place, {}).get("kind") not in containers:
        return None
    return call_in(rng, world, _member_of(rng, world, holder), place, kind=kind)


def _about_bindings(rng: random.Random, world: World) -> Question | None:
    """The owner or a manager of something isolated looks at it or binds it, from anywhere."""
    shut = {o for o, thing in world["objects"].items() if thing.get("isolation") == "ISOLATED"}
    place, holder, _ = _right(rng, world, lambda right: right[0] in shut and right[2] in ("OWNER", "MANAGE"))
    if place not in shut:
        return None
    thing = world["objects"][place]
    operation = f"{thing['kind'].lower()}.{rng.choice(('bind', 'bind', 'get', 'delete'))}"
    unbound = [workspace for workspace in WORKSPACES if workspace not in thing["bindings"]]
    workspace = rng.choice([*WORKSPACES, *unbound * 3])
    return _use(rng, world, holder, place, "")._replace(operation=operation, workspace=workspace)


def _about_read_only_places(rng: random.Random, world: World) -> Question | None:
    """Somebody who could write files does, where the place or its credential may be read-only."""
    places = {o for o, thing in world["objects"].items() if thing["kind"] in WRITES_FILES}
    able = (*WRITES_FILES["EXTERNAL_LOCATION"], "ALL_PRIVILEGES", "OWNER")
    place, holder, held = _right(rng, world, lambda right: right[0] in places and right[2] in able)
    if place not in places:
        return None
    suitable = sorted(WRITES_FILES[world["objects"][place]["kind"]])
    return _use(rng, world, holder, place, held if held in suitable else rng.choice(suitable))


def _about_tables_by_credential(rng: random.Random, world: World) -> Question | None:
    """Somebody with a right to a credential puts a deleted table back to where that reaches."""
    objects, able = world["objects"], ("CREATE_EXTERNAL_TABLE", "ALL_PRIVILEGES", "OWNER")
    credentials = {o for o, thing in objects.items() if thing["kind"] == "STORAGE_CREDENTIAL"}
    place, holder, _ = _right(rng, world, lambda right: right[0] in credentials and right[2] in able)
    reached = [o for o, thing in objects.items() if thing.get("credential") == place]
    dropped = [o for o, thing in objects.items() if thing["kind"] == "DELETED_TABLE"]
    near = [o for o in dropped if objects[o]["metastore"] == objects.get(place, {}).get("metastore")]
    if not (reached and near):
        return None
    bound = {"self": rng.choice(near), "location": rng.choice(reached)}
    question = _use(rng, world, holder, place, "location")
    return question._replace(operation="deleted_table.restore", objects=bound)


def _about_a_former(rng: random.Random, world: World) -> Question | None:
    """A right to something deleted, asked of what has its name now."""
    former = [grant for grant in world["grants"] if grant[0] in world["deleted"]]
    place, holder, privilege, _ = rng.choice(former)
    place = world["deleted"][place]["recreated_as"]
    return None if privilege == "ALL_PRIVILEGES" else _use(rng, world, holder, place, privilege)


def _use(rng: random.Random, world: World, holder: str, place: str, privilege: str) -> Question:
    """May somebody with the holder's rights use the privilege?"""
    return use(rng, world, _member_of(rng, world, holder), place, privilege)


def _about_identities(rng: random.Random, world: World) -> Question:
    """Account admins and others, about principals and tokens."""
    who, other = _perhaps_admin(rng, world), rng.choice(list(world["principals"]))
    subject = who if rng.random() < 0.4 else other
    noun, now = world["principals"][subject]["kind"].lower(), rng.choice(TIMES)
    special = {"group": "members", "service_principal": "secrets"}.get(noun, "get")
    verb = rng.choice(("get", "update", "delete", "create", "miss", special))
    return rng.choice(
        (
            Question(who, None, f"token.{rng.choice(TOKEN_VERBS)}", "", {"subject": subject}, now),
            Question(who, None, f"authorization.{rng.choice(ASKED)}", "", about(rng, world, who), now),
            Question(who, None, "authorization.as_of", "", about(rng, world, who), now),
            Question(who, None, f"{noun}.{verb}", "", {"self": subject}, now),
        )
    )


def _about_roles(rng: random.Random, world: World) -> Question:
    """Somebody with a role on a group or a program, or one who runs a workspace, does what that may be good for."""
    roles = [grant for grant in world["grants"] if grant[0] in world["principals"]]
    place, holder, *_ = rng.choice(roles)
    who = _member_of(rng, world, holder) if rng.random() < 0.75 else _perhaps_admin(rng, world)
    noun, now = world["principals"][place]["kind"].lower(), rng.choice(TIMES)
    names = sorted(MATRIX[noun.upper()])
    workspace = rng.choice(WORKSPACES)
    verbs = ["get", "delete", "grants_all", "members" if noun == "group" else "get"]
    of_token = f"token.{rng.choice(TOKEN_VERBS)}"
    asked = [
        (f"{noun}.{rng.choice(verbs)}", "", {"self": place}),
        (
            f"{noun}.update",
            rng.choice(("", "members") if noun == "group" else ("", "display_name")),
            {"self": place},
        ),
        (f"{noun}.grant", rng.choice(names), {"self": place}),
        (f"{noun}.use", rng.choice(names), {"self": place}),
        (f"{noun}.{rng.choice(TOLD)}", "", {"self": place, **about(rng, world, who)}),
        (f"{noun}.create", "", {"workspace": workspace}),
        (of_token, "", {"subject": place}),
    ]
    if noun == "service_principal":
        asked.append((f"{noun}.run_as", "", {"self": place, "workspace": workspace}))
    return Question(who, None, *rng.choice(asked), now)


FOR_ITS_USERS = (
    *(
        f"lineage.{verb}"
        for verb in ("traverse", "paths", "history", "impact", "leaks", "declare", "declared")
    ),
    *(f"system_table.{verb}" for verb in ("read", "list_tables")),
)
"""What whoever works in a workspace may ask there; what is told is decided piece by piece."""


def _about_entitlements(rng: random.Random, world: World) -> Question:
    """Somebody who may do something in a workspace does it."""
    held = [grant for grant in world["grants"] if grant[0] in WORKSPACES]
    place, holder, privilege, _ = rng.choice(held)
    asked = privilege if rng.random() < 0.7 else rng.choice(sorted(MATRIX["WORKSPACE"]))
    who = _member_of(rng, world, holder) if rng.random() < 0.8 else _anybody(rng, world)
    if asked == "USE_TOKENS" and rng.random() < 0.5:
        return Question(who, None, "token.present", "", {"workspace": place}, rng.choice(TIMES))
    if asked in ("LINEAGE_PRODUCER", "QUERY_ENGINE") and rng.random() < 0.5:
        return Question(who, None, "lineage.record", "", {"workspace": place}, rng.choice(TIMES))
    if asked == "USER" and rng.random() < 0.5:
        return Question(who, None, rng.choice(FOR_ITS_USERS), "", {"workspace": place}, rng.choice(TIMES))
    return Question(who, None, "workspace.use", asked, {"self": place}, rng.choice(TIMES))


def _about_the_account(rng: random.Random, world: World) -> Question:
    """What concerns no object of a metastore: mostly the account admin's, some of it everybody's."""
    who = _perhaps_admin(rng, world)
    operation, selector, objects = rng.choice(
        (
            (f"account.{rng.choice(TOLD)}", "", about(rng, world, who)),
            (f"account.{rng.choice(('get', 'grants_all'))}", "", {}),
            ("account.grant", rng.choice(("ADMIN", "ADMIN", "OTHER")), {}),
            (f"audit.{rng.choice(('list_all', 'verify', 'replay'))}", "", {}),
            (f"{rng.choice(('metastore', 'workspace'))}.{rng.choice(('create', 'miss'))}", "", {}),
            ("session.get", "", {}),
            ("ip_access_list.manage", "", {"workspace": rng.choice(WORKSPACES)}),
            ("ip_access_list.manage", "workspace", {"workspace": rng.choice(WORKSPACES)}),
            (f"federation_policy.{rng.choice(('create', 'list', 'delete'))}", "", {}),
            (
                f"metastore.{rng.choice(('delete', 'update'))}",
                rng.choice(("", "name", "owner")),
                {"self": "m0"},
            ),
            (f"{rng.choice(LISTED)}.list", "", {}),
        )
    )
    return Question(who, None, operation, selector, objects, rng.choice(TIMES))


def _about_the_audit(rng: random.Random, world: World) -> Question:
    """Admins of account or metastore and others list the audit, from anywhere."""
    owners = [world["objects"][metastore]["owner"] for metastore in ("m0", "m1")]
    owner = rng.choice(owners)
    who = _member_of(rng, world, owner) if owner and rng.random() < 0.7 else _perhaps_admin(rng, world)
    workspace = rng.choice([*WORKSPACES, {"m0": "w0", "m1": "w1"}[rng.choice(("m0", "m1"))], None])
    objects = {"workspace": workspace} if workspace else {}
    return Question(who, workspace, "audit.list", "", objects, rng.choice(TIMES))


def _perhaps_admin(rng: random.Random, world: World) -> str:
    admins = [holder for obj, holder, *_ in world["grants"] if obj == "account"]
    return _member_of(rng, world, rng.choice(admins)) if rng.random() < 0.4 else _anybody(rng, world)


def _anybody(rng: random.Random, world: World) -> str:
    return rng.choice(
        [name for name, principal in world["principals"].items() if principal["kind"] != "GROUP"]
    )


def _member_of(rng: random.Random, world: World, holder: str) -> str:
    """Somebody who has the holder's rights, directly or through nested groups."""
    if holder == "account-users":
        return _anybody(rng, world)
    members = [member for group, member in world["members"] if group == holder]
    workspace, _, role = holder.partition(":")
    if role:
        roles = ("USER", "ADMIN") if role == "users" else ("ADMIN",)
        members = [
            who
            for obj, who, name, _ in world["grants"]
            if obj == workspace and name in roles and who != holder
        ]
        members = [who for who in members if ":" not in who]
    if members:
        return _member_of(rng, world, rng.choice(members))
    return _anybody(rng, world) if world["principals"][holder]["kind"] == "GROUP" else holder


def _below(rng: random.Random, world: World, place: str) -> str:
    """The place or, more often than not, something inside it."""
    while world["objects"][place]["kind"] in ("METASTORE", "CATALOG", "SCHEMA") and rng.random() < 0.65:
        children = [o for o, thing in world["objects"].items() if thing["parent"] == place]
        if not children:
            break
        place = rng.choice(children)
    return place


# How often each kind of question is asked, so that every kind of rule decides often enough.
MAKERS: dict[Callable[[random.Random, World], Question | None], float] = {
    _about_a_right: 0.35,
    _about_running: 0.6,
    _about_an_ending: 0.05,
    _about_all_privileges: 0.18,
    _about_browsing: 0.06,
    _about_management: 0.07,
    _about_ownership: 0.08,
    _about_creation: 0.13,
    _about_bindings: 0.21,
    _about_read_only_places: 0.12,
    _about_tables_by_credential: 0.04,
    _about_a_former: 0.05,
    _about_identities: 0.07,
    _about_roles: 0.09,
    _about_entitlements: 0.04,
    _about_the_account: 0.06,
    _about_the_audit: 0.02,
}
