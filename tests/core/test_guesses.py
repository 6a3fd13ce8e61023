"""Who guesses waits longer each time; nobody else waits, nothing is learned of names, and memory stays as it is."""

from __future__ import annotations

import math

import pytest

from lakewarden_server.authn import guesses as module
from lakewarden_server.authn.guesses import COUNTS_MAX, PAUSE_SECONDS_MAX, Guesses
from lakewarden_server.core.errors import Reason, RetryLater, Unauthenticated
from lakewarden_server.core.peers import Peer, peer_at

EVE, BOB = peer_at("203.0.113.7"), peer_at("203.0.113.8")
WRONG = Unauthenticated(Reason.TOKEN_INVALID, "")


class Clock:
    """Seconds a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guesses(clock: Clock) -> Guesses:
    return Guesses(10, clock=clock)


def tried(guesses: Guesses, peer: Peer, name: str, error: Unauthenticated = WRONG) -> bool:
    """Whether a wrong credential was looked at, and not turned away unseen."""
    try:
        guesses.check_peer(peer)
        guesses.check_name(peer, name)
    except RetryLater:
        return False
    guesses.failed(peer, name, error)
    return True


def pause(guesses: Guesses, peer: Peer, name: str) -> float:
    try:
        guesses.check_peer(peer)
        guesses.check_name(peer, name)
    except RetryLater as error:
        return error.retry_seconds or math.nan
    return 0.0


def test_eleventh_failure_in_a_minute_is_not_looked_at(guesses: Guesses, clock: Clock) -> None:
    for _ in range(10):
        assert tried(guesses, EVE, "spark")
        clock.now += 5
    assert not tried(guesses, EVE, "spark")
    assert tried(guesses, EVE, "other"), "another name of the same peer"
    assert pause(guesses, BOB, "spark") == 0, "the same name of another peer"


def test_failures_for_days_keep_the_longest_pause(guesses: Guesses, clock: Clock) -> None:
    for _ in range(2_000):
        clock.now += pause(guesses, EVE, "spark")
        assert tried(guesses, EVE, "spark")
    assert pause(guesses, EVE, "spark") == PAUSE_SECONDS_MAX


def test_ten_failures_in_more_than_a_minute_are_none_too_many(guesses: Guesses, clock: Clock) -> None:
    for _ in range(100):
        assert tried(guesses, EVE, "spark")
        clock.now += 6.8


def test_pauses_double_and_end(guesses: Guesses, clock: Clock) -> None:
    for _ in range(10):
        tried(guesses, EVE, "spark")
    pauses = []
    for _ in range(6):
        pauses.append(pause(guesses, EVE, "spark"))
        clock.now += pauses[-1]
        assert tried(guesses, EVE, "spark"), "a pause ends: nobody is shut out for ever"
    assert pauses == [60, 120, 240, 300, 300, 300]
    clock.now += PAUSE_SECONDS_MAX + module.FORGET_SECONDS + 1
    assert tried(guesses, EVE, "spark")
    assert pause(guesses, EVE, "spark") == 0, "long ago is forgotten"


def test_being_turned_away_makes_no_pause_longer(guesses: Guesses, clock: Clock) -> None:
    for _ in range(10):
        tried(guesses, EVE, "spark")
    for _ in range(59):
        clock.now += 1
        assert not tried(guesses, EVE, "spark")
    clock.now += 1
    assert pause(guesses, EVE, "spark") == 0


def test_names_that_change_are_counted_for_the_peer(guesses: Guesses) -> None:
    looked_at = sum(tried(guesses, EVE, f"name {number}") for number in range(1_000))
    assert looked_at == 30
    assert pause(guesses, EVE, "one never named") > 0
    assert pause(guesses, BOB, "name 1") == 0


def test_success_clears_the_name_and_not_the_peer(guesses: Guesses) -> None:
    for number in range(29):
        assert tried(guesses, EVE, f"name {number % 4}")
    guesses.succeeded(EVE, "mine")
    assert tried(guesses, EVE, "another")
    assert pause(guesses, EVE, "mine") > 0, "one good credential buys no guesses at others"


def test_right_secret_that_came_too_late_is_no_guess(guesses: Guesses) -> None:
    for reason in (Reason.TOKEN_EXPIRED, Reason.PRINCIPAL_DISABLED, Reason.TOKEN_MISSING):
        for _ in range(50):
            assert tried(guesses, EVE, "spark", Unauthenticated(reason, ""))


def test_memory_is_bounded_and_nobody_drives_out_his_own_count(guesses: Guesses) -> None:
    for number in range(COUNTS_MAX - 1):
        tried(guesses, peer_at(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"), "")
    for number in range(10_000):
        tried(guesses, EVE, f"name {number}")
    assert pause(guesses, EVE, "x") > 0
    assert max(len(guesses._of_peers), len(guesses._of_names)) <= COUNTS_MAX


def test_nobody_is_held_up_where_it_is_off(clock: Clock) -> None:
    off = Guesses(0, clock=clock)
    assert all(tried(off, EVE, "spark") for _ in range(1_000))


def test_control_without_pauses_guessing_goes_on(monkeypatch: pytest.MonkeyPatch, guesses: Guesses) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", -math.inf)
    assert all(tried(guesses, EVE, "spark") for _ in range(100))
