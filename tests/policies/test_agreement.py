"""Every question about many objects or people answers exactly what one Check after the other would (promise G7)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from lakewarden_policy import (
    Access,
    Asked,
    Decider,
    Grant,
    accessible,
    effective_privileges,
    explain_access,
    filter_names,
    load_policy,
    principals_allowed,
    root_of,
    steps_below,
)
from policies.small import small_world
from policies.tangled import WORKSPACES, tangled_world

SEEDS = range(6)
PRIVILEGES = {
    "CATALOG": ("USE_CATALOG", "CREATE_SCHEMA", "MANAGE", None),
    "SCHEMA": ("USE_SCHEMA", "CREATE_TABLE", "MANAGE"),
    "TABLE": ("SELECT", "MODIFY", "MANAGE", "BROWSE", None),
    "VIEW": ("SELECT", "APPLY_TAG", None),
}


class Corner(NamedTuple):
    """One kind and privilege of one world from one workspace, and what Check says of everybody and everything."""

    decider: Decider
    workspace: str | None
    metastore: str
    kind: str
    privilege: str | None
    objects: list[str]
    people: list[str]
    allowed: set[tuple[str, str]]


def _corners(seed: int) -> Iterator[Corner]:
    decider = Decider(load_policy(), tangled_world(seed))
    snapshot = decider.snapshot
    people = [each.id for each in snapshot.principals.values() if each.kind != "GROUP"]
    for workspace in (*WORKSPACES, None):
        home = snapshot.securables[workspace].metastore_id if workspace else "m0"
        for kind, privileges in PRIVILEGES.items():
            objects = [o.id for o in snapshot.securables.values() if (o.kind, o.metastore_id) == (kind, home)]
            for privilege in privileges:
                allowed = {
                    (who, o)
                    for who in people
                    for o in objects
                    if Access(decider, Asked(who, workspace, kind, privilege)).allows(o)
                }
                yield Corner(decider, workspace, home or "m0", kind, privilege, objects, people, allowed)


@pytest.fixture(scope="module", params=SEEDS)
def corners(request: pytest.FixtureRequest) -> list[Corner]:
    return list(_corners(request.param))


def test_filter_is_check_on_each_name(corners: list[Corner]) -> None:
    for corner in corners:
        names = [corner.decider.snapshot.full_name(o) for o in corner.objects]
        # Absent, malformed, of another kind in the same namespace.
        other = "a.a.v0" if corner.kind == "TABLE" else "a.a.t0"
        noise = [name for name in ("z", "a.z", "a.a.z", "a..a", "", "a.a.t0.x", other) if name not in names]
        for who in corner.people:
            access = Access(corner.decider, Asked(who, corner.workspace, corner.kind, corner.privilege))
            found = filter_names(access, corner.metastore, [*(name.upper() for name in names), *noise])
            assert [corner.objects[at] for at in found] == [
                o for o in corner.objects if (who, o) in corner.allowed
            ]


def test_a_batch_is_check_on_each_object(corners: list[Corner]) -> None:
    for corner in corners:
        securables = corner.decider.snapshot.securables
        for number, who in enumerate(corner.people):
            access = Access(corner.decider, Asked(who, corner.workspace, corner.kind, corner.privilege))
            # In another order for each, and twice: the first of a container is the example for its siblings.
            order = [*corner.objects[number:], *corner.objects[:number], *reversed(corner.objects)]
            assert [o for o in order if access.also(securables[o])] == [
                o for o in order if (who, o) in corner.allowed
            ]


def test_an_isolated_sibling_of_a_kind_that_is_never_isolated_is_decided_as_check_does() -> None:
    """No service makes one; a row that says so must not be read in two ways."""
    grants = (
        Grant("s", "carol", "SELECT"),
        Grant("c", "carol", "USE_CATALOG"),
        Grant("s", "carol", "USE_SCHEMA"),
    )
    decider = Decider(load_policy(), small_world(*grants, isolated=("t2",)))
    access = Access(decider, Asked("carol", "w", "TABLE", "SELECT"))
    securables, names = decider.snapshot.securables, ["main.sales.orders", "main.sales.parts"]
    assert [decider.privilege("carol", "w", table, "SELECT").allowed for table in ("t1", "t2")] == [
        True,
        False,
    ]
    assert [access.also(securables[table]) for table in ("t1", "t2")] == [True, False]
    assert filter_names(access, "m", names) == [0]
    assert "t2" not in access.children("s")


def test_control_a_batch_that_takes_siblings_for_alike_is_caught(corners: list[Corner]) -> None:
    """Whoever answers for a whole container what holds for one object of it differs from Check."""
    wrong = 0
    for corner in corners:
        securables = corner.decider.snapshot.securables
        for who in corner.people:
            first: dict[str | None, bool] = {}
            for o in corner.objects:
                answer = first.setdefault(securables[o].parent_id, (who, o) in corner.allowed)
                wrong += answer is not ((who, o) in corner.allowed)
    assert wrong


def test_accessible_is_check_on_everything_below_any_container(corners: list[Corner]) -> None:
    for corner in corners:
        snapshot = corner.decider.snapshot
        for who in corner.people:
            access = Access(corner.decider, Asked(who, corner.workspace, corner.kind, corner.privilege))
            root = root_of(corner.kind, corner.metastore) or ""
            found = list(accessible(access, root, steps_below(corner.kind, None)))
            assert {o for _, o in found} == {o for whom, o in corner.allowed if whom == who}
            assert [path for path, _ in found] == sorted({path for path, _ in found})
            for at, (path, _) in enumerate(found):
                rest = accessible(access, root, steps_below(corner.kind, None), after=path)
                assert list(rest) == found[at + 1 :]
            if corner.kind == "TABLE":
                inside = accessible(access, "m0.a", steps_below("TABLE", "CATALOG"))
                assert {o for _, o in inside} == {o for _, o in found if "m0.a" in snapshot.ancestors(o)}


def test_lists_show_what_may_be_seen(corners: list[Corner]) -> None:
    for corner in (corner for corner in corners if corner.privilege is None):
        snapshot = corner.decider.snapshot
        for who in corner.people:
            listed = {
                child
                for parent in {snapshot.securables[o].parent_id for o in corner.objects}
                for child in corner.decider.visible_children(who, corner.workspace, parent or "", corner.kind)
            }
            assert listed == {o for whom, o in corner.allowed if whom == who}


def test_effective_principals_and_explanation_are_check(corners: list[Corner]) -> None:
    for corner in (corner for corner in corners if corner.privilege is not None):
        decider, workspace, privilege = corner.decider, corner.workspace, corner.privilege or ""
        for o in corner.objects:
            expected = {who for who, other in corner.allowed if other == o}
            usable = {
                who
                for who in corner.people
                for held in effective_privileges(decider, who, workspace, o)
                if held.privilege == privilege and held.usable
            }
            assert usable == expected
            assert [p.id for p, _ in principals_allowed(decider, workspace, o, privilege)] == sorted(
                expected, key=lambda who: decider.snapshot.principals[who].name_key
            )
            who = corner.people[len(o) % len(corner.people)]
            assert explain_access(decider, who, workspace, o, privilege).allowed is (who in expected)


class TakesCatalogsForAlike(Access):
    """A broken variant: one catalog's answer stands for all, although each has bindings of its own."""

    def __init__(self, decider: Decider, asked: Asked) -> None:
        super().__init__(decider, asked)
        self._differ = False
        self._apart = set()


def test_answer_of_one_isolated_catalog_for_all_is_caught() -> None:
    """The control."""
    wrong = 0
    for seed in SEEDS:
        for corner in (corner for corner in _corners(seed) if corner.kind == "CATALOG"):
            for who in corner.people:
                access = TakesCatalogsForAlike(
                    corner.decider, Asked(who, corner.workspace, corner.kind, corner.privilege)
                )
                right = {o for whom, o in corner.allowed if whom == who}
                wrong += {*access.children(corner.metastore)} != right
    assert wrong


def test_both_answers_are_common_for_every_kind() -> None:
    """The control: an empty world would agree with everything."""
    answers: Counter[tuple[str, bool]] = Counter()
    for seed in SEEDS:
        for corner in _corners(seed):
            answers[corner.kind, True] += len(corner.allowed)
            answers[corner.kind, False] += len(corner.objects) * len(corner.people) - len(corner.allowed)
    assert set(answers) == {(kind, answer) for kind in PRIVILEGES for answer in (True, False)}
    assert min(answers.values()) > 100
