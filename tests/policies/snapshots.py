"""The worlds of `worlds.py` as the engine sees them, and their questions as it is asked."""

from __future__ import annotations

from lakewarden_policy import (
    Decider,
    Decision,
    Grant,
    Head,
    Location,
    Membership,
    Principal,
    Securable,
    Snapshot,
    load_policy,
)
from lakewarden_policy.records import Binding, Reference
from policies.calls import Question
from policies.worlds import World

ALSO = ("location", "connection", "credential")
SORTS = {"RELATION": "SELECT", "FUNCTION": "EXECUTE"}


def snapshot_of(world: World, kind: type[Snapshot] = Snapshot, *, now: float = 0) -> Snapshot:
    """The world as the engine sees it at a time: deleted objects are gone, their grants are still in the list."""
    objects = world["objects"]
    snapshot = kind.build(
        Head("epoch", 1, "nonce"),
        principals=[
            Principal(identity, principal["kind"], name_of(identity), name_of(identity), principal["active"])
            for identity, principal in world["principals"].items()
            if identity != "account-users"
        ],
        memberships=[Membership(group, member) for group, member in world["members"]],
        securables=[
            Securable(
                identity,
                o["kind"],
                o["parent"],
                o["metastore"],
                o["name"],
                o["name"],
                o["owner"],
                1,
                o.get("workspace"),
            )
            for identity, o in objects.items()
        ],
        grants=[Grant(*grant) for grant in world["grants"]],
        tokens=[],
        isolated=[identity for identity, o in objects.items() if o.get("isolation") == "ISOLATED"],
        bindings=[
            Binding(identity, workspace, binding)
            for identity, o in objects.items()
            for workspace, binding in o.get("bindings", {}).items()
        ],
        locations=[
            Location(identity, f"gs://{identity}", o.get("credential"), o.get("read_only", False))
            for identity, o in objects.items()
            if o["kind"] == "EXTERNAL_LOCATION"
        ],
        read_only_credentials=[
            identity
            for identity, o in objects.items()
            if o["kind"] == "STORAGE_CREDENTIAL" and o.get("read_only")
        ],
        references=[
            Reference(identity, SORTS[sort], name)
            for identity, o in objects.items()
            for sort, name in o.get("references", ())
        ],
    )
    return snapshot.at(now)


def ask(decider: Decider, question: Question) -> Decision:
    """Put one question to the engine; the time is the decider's."""
    who, workspace, operation, selector, objects, _ = question
    if operation.endswith(".use"):
        return decider.privilege(who, workspace, objects["self"], selector)
    bound = {name: identity for name, identity in objects.items() if name != "references"}
    decisions = [
        decider.operation(
            who, workspace, operation, bound, selector=name or None, references=objects.get("references", ())
        )
        for name in _selectors(question)
    ]
    return next((decision for decision in decisions if not decision.allowed), decisions[0])


def operations_of(question: Question) -> set[str]:
    """The rows of operations.csv a question is about; none for a privilege."""
    if question.operation.endswith(".use"):
        return set()
    policy = load_policy()
    return {policy.operation(question.operation, name or None).name for name in _selectors(question)}


def _selectors(question: Question) -> list[str]:
    """What a new object rests on is decided beside the right to create it, as the server does."""
    creating = question.operation.endswith(".create")
    return [question.selector, *(name for name in question.objects if creating and name in ALSO)]


def name_of(identity: str) -> str:
    """What a principal is called: users by their email."""
    return f"{identity}@x.io" if identity.startswith("u") else identity
