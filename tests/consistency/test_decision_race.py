"""Decisions while the state changes under them: every one is that of one whole state, never of a mixture (promise G6)."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle

import pytest

from lakewarden_policy import Decider, Grant, load_policy
from policies.small import small_world

THREADS = 4
DECISIONS = 50_000
DECISIONS_LONG = 1_000_000
CONTROL_DECISIONS_MAX = 3_000_000
SWITCH_SECONDS = 0.0005
WORKSPACE, CATALOG, SCHEMA, TABLE = "w", "c", "s", "t2"
ALWAYS, NEVER = "carol", "robot"
"""One may read the table in every state, by other rows in each; the other in none, though each state has half of what it takes."""
EVEN = [
    Grant(SCHEMA, ALWAYS, "USE_SCHEMA"),
    Grant(TABLE, ALWAYS, "SELECT"),
    Grant(SCHEMA, NEVER, "USE_SCHEMA"),
]
ODD = [Grant(CATALOG, ALWAYS, "USE_SCHEMA"), Grant(SCHEMA, ALWAYS, "SELECT"), Grant(TABLE, NEVER, "SELECT")]


class Replica:
    """What every thread asks: the one decider of a process, replaced while they ask."""

    def __init__(self) -> None:
        gates = tuple(Grant(CATALOG, who, "USE_CATALOG") for who in (ALWAYS, NEVER))
        self.decider = Decider(load_policy(), small_world(*gates, *EVEN))

    def change(self, removed: list[Grant], added: list[Grant]) -> None:
        """Brings the state forward and swaps it, as the follower does."""
        held = self.decider.snapshot
        later = held.changed(held.head, {"grants": removed}, {"grants": added}, now=0)
        self.decider = Decider(self.decider.policy, later, before=self.decider)


class SharedAndChanged(Replica):
    """Broken: one state that everybody reads and the writer alters, as an enforcer that is reloaded in place."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: dict[str, dict[str, tuple[str, ...]]] = {
            place: dict(holders) for place, holders in self.decider.snapshot.held.items()
        }
        self.decider._held = self._rows

    def change(self, removed: list[Grant], added: list[Grant]) -> None:
        """The same, in place."""
        kinds = self.decider.snapshot.securables
        for grants, is_there in ((removed, False), (added, True)):
            for place, who, privilege, _ in grants:
                holders = self._rows.setdefault(place, {})
                if is_there:
                    holders[who] = (f"{kinds[place].kind}:{privilege}",)
                else:
                    holders.pop(who, None)


class Race:
    """Threads that decide, and what they saw that no state allows."""

    def __init__(self, replica: Replica, decisions: int, *, stop_at_first: bool = False) -> None:
        self._replica = replica
        self._left = decisions // THREADS
        self._stop_at_first = stop_at_first
        self.wrong: list[str] = []
        self.decided = 0
        self._counting = threading.Lock()

    def run(self) -> int:
        """Decides while the state changes; how often it did."""
        threads = [threading.Thread(target=self._decide) for _ in range(THREADS)]
        changes = 0
        with _switching():
            for thread in threads:
                thread.start()
            for removed, added in cycle(((EVEN, ODD), (ODD, EVEN))):
                self._replica.change(removed, added)
                changes += 1
                if not any(thread.is_alive() for thread in threads):
                    break
        return changes

    def _decide(self) -> None:
        done = 0
        while done < self._left and not (self._stop_at_first and self.wrong):
            done += 1
            decider = self._replica.decider
            try:
                for who, expected in ((ALWAYS, True), (NEVER, False)):
                    if decider.privilege(who, WORKSPACE, TABLE, "SELECT").allowed is not expected:
                        self.wrong.append(f"{who}: {not expected}")
            except Exception as error:
                self.wrong.append(repr(error))
        with self._counting:
            self.decided += 2 * done


@contextmanager
def _switching() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def test_no_decision_mixes_two_states() -> None:
    race = Race(Replica(), DECISIONS)
    changes = race.run()
    assert race.wrong == []
    assert race.decided >= DECISIONS
    assert changes >= 100


@pytest.mark.slow
def test_no_decision_mixes_two_states_for_long() -> None:
    race = Race(Replica(), DECISIONS_LONG)
    race.run()
    assert race.wrong == []


def test_control_a_state_that_is_altered_in_place_is_caught() -> None:
    race = Race(SharedAndChanged(), CONTROL_DECISIONS_MAX, stop_at_first=True)
    race.run()
    assert race.wrong
