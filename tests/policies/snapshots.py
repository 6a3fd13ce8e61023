"""The worlds of `worlds.py` as the engine sees them, and their questions as it is asked."""

from __future__ import annotations

from lakewarden_policy import Decider, Decision, Grant, Head, Membership, Principal, Securable, Snapshot
from lakewarden_policy.records import Binding, Reference
from policies.questions import Question
from policies.worlds import World

SORTS = {"RELATION": "SELECT", "FUNCTION": "EXECUTE"}


def snapshot_of(world: World, kind: type[Snapshot] = Snapshot, *, now: float = 0) -> Snapshot:
    """The world as the engine sees it at a time: deleted objects are gone, their grants are still in the list."""
    objects = world["objects"]
    snapshot = kind.build(
        Head("epoch", 1, "nonce"),
        principals=[
            Principal(identity, principal["kind"], _email(identity), _email(identity), principal["active"])
            for identity, principal in world["principals"].items()
            if identity != "account-users"
        ],
        memberships=[Membership(group, member) for group, member in world["members"]],
        securables=[
            Securable(identity, o["kind"], o["parent"], o["metastore"], o["name"], o["name"], o["owner"], 1)
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
    # What a new object rests on is decided beside the right to create it, as the server does.
    also = [name for name in bound if name != "parent"] if operation.endswith(".create") else []
    decisions = [
        decider.operation(
            who, workspace, operation, bound, selector=name or None, references=objects.get("references", ())
        )
        for name in (selector, *also)
    ]
    return next((decision for decision in decisions if not decision.allowed), decisions[0])


def _email(identity: str) -> str:
    return f"{identity}@x.io" if identity.startswith("u") else identity
