"""How long one decision takes in this process, on the state the demo's server answers from."""

from __future__ import annotations

from statistics import median
from time import perf_counter_ns

from lakewarden_policy import Decider

ROUNDS = 300


def decision_microseconds(
    decider: Decider, *, people: tuple[str, ...], tables: tuple[str, ...], workspace: str, metastore: str
) -> float:
    """Median over rounds of the mean time to decide SELECT, from name to verdict with every gate; nothing is cached.

    `workspace` is a name, `metastore` too; `tables` are full names.
    """
    snapshot = decider.snapshot
    workspace_id = _id(decider, "WORKSPACE", workspace)
    metastore_id = _id(decider, "METASTORE", metastore)
    questions = [(person, table) for table in tables for person in people]
    rounds = []
    for _ in range(ROUNDS):
        started = perf_counter_ns()
        for person, table in questions:
            subject = snapshot.principal_named(person)
            found = snapshot.resolve("TABLE", table, metastore_id)
            if subject is not None and found is not None:
                decider.privilege(subject.id, workspace_id, found.id, "SELECT")
        rounds.append((perf_counter_ns() - started) / len(questions) / 1_000)
    return median(rounds)


def _id(decider: Decider, kind: str, name: str) -> str:
    found = decider.snapshot.resolve(kind, name, None)
    if found is None:
        raise LookupError(f"the demo made no {kind.lower()} {name}")
    return found.id
