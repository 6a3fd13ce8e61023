"""Whoever takes much of the time in which events are recorded comes after those who take little."""

from __future__ import annotations

import time

import pytest

from lakewarden_server.lineage import recorder as recorders
from lakewarden_server.lineage.shares import STEP_SECONDS, Shares
from lineage.stored import Lineage
from lineage.test_recorder import recorded_together, told


def order_recorded(lineage: Lineage, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whose events are recorded, one in each transaction, where eve sends two that take long before bob sends one."""
    order: list[str] = []
    record = recorders.record

    def noted(store, origin, received, *more):
        fresh = record(store, origin, received, *more)
        if fresh:
            order.append(origin.principal_id)
            time.sleep(1.1 * STEP_SECONDS if origin.principal_id == "eve" else 0)
        return fresh

    monkeypatch.setattr(recorders, "record", noted)
    monkeypatch.setattr(recorders, "COMMIT_WEIGHT_MAX", 1)
    calls = [("eve", told(1)), ("eve", told(2)), ("bob", told(3))]
    assert recorded_together(lineage, monkeypatch, *calls) == [[True]] * 3
    return order


def test_events_of_who_took_much_are_recorded_after_those_of_who_took_little(database, monkeypatch):
    assert order_recorded(Lineage(database), monkeypatch) == ["ada", "eve", "bob", "eve"]


def test_control_first_come_first_served_lets_one_keep_the_others_waiting(sqlite_database, monkeypatch):
    monkeypatch.setattr(Shares, "rank", lambda *_: 0)
    assert order_recorded(Lineage(sqlite_database), monkeypatch) == ["ada", "eve", "eve", "bob"]


def test_who_comes_new_is_a_step_before_who_took_least_and_who_took_more_is_later():
    shares = Shares()
    shares.join("ada")
    shares.join("eve")
    shares.took("ada", 5.5 * STEP_SECONDS)
    shares.took("eve", 9.5 * STEP_SECONDS)
    shares.join("bob")
    shares.join("ada")
    assert [shares.rank(name) for name in ("bob", "ada", "eve", "nobody")] == [4, 5, 9, 0]
    shares.clear()
    assert {shares.rank(name) for name in ("bob", "ada", "eve")} == {0}
