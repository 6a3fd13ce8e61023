"""A bucket grants its burst, then its rate; urgent calls have their own; memory stays as it is."""

from __future__ import annotations

import pytest

from lakewarden_server.core.errors import Reason, RetryLater
from lakewarden_server.core.peers import peer_at
from lakewarden_server.pipeline import rates as module
from lakewarden_server.pipeline.rates import BUCKETS_MAX, Buckets, Charge, Rates

EVE, BOB = peer_at("203.0.113.7"), peer_at("203.0.113.8")


class Clock:
    """Seconds a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def granted(rates: Rates, *, peer: bool, urgent: bool = False, tries: int = 100) -> int:
    """How many of so many calls of Eve's go through."""
    done, refused = 0, set[tuple[Reason, bool]]()
    for _ in range(tries):
        try:
            if peer:
                rates.charge_peer(Charge(urgent=urgent), EVE)
            else:
                rates.charge_principal(Charge(urgent=urgent), "eve", "eve@example.com")
        except RetryLater as error:
            refused.add((error.reason, error.retry_seconds == module.RETRY_SECONDS_MIN))
        else:
            done += 1
    assert refused <= {(Reason.RATE_LIMITED, True)}
    return done


@pytest.mark.parametrize("peer", [True, False], ids=["peer", "principal"])
def test_burst_then_rate_and_urgent_calls_go_on(clock: Clock, peer: bool) -> None:
    rates = Rates(per_peer=10, per_principal=10, clock=clock)
    assert granted(rates, peer=peer) == 20
    assert granted(rates, peer=peer, urgent=True) == 20, "a bucket of its own"
    rates.charge_peer(Charge(urgent=False), BOB)
    rates.charge_principal(Charge(urgent=False), "bob", "bob@example.com")
    clock.now += 1
    assert granted(rates, peer=peer) == 10
    clock.now += 1_000
    assert granted(rates, peer=peer) == 20


def test_one_request_is_charged_once_whatever_it_becomes(clock: Clock) -> None:
    rates, charge = Rates(per_peer=10, per_principal=10, clock=clock), Charge(urgent=False)
    for _ in range(100):
        rates.charge_peer(charge, EVE)
        rates.charge_principal(charge, "eve", "eve@example.com")
    assert granted(rates, peer=True) == granted(rates, peer=False) == 19


def test_request_that_was_refused_is_not_charged(clock: Clock) -> None:
    rates, charge = Rates(per_principal=1, clock=clock), Charge(urgent=False)
    for _ in range(2):
        rates.charge_principal(Charge(urgent=False), "eve", "eve@example.com")
    with pytest.raises(RetryLater) as refused:
        rates.charge_principal(charge, "eve", "eve@example.com")
    assert (refused.value.retry_seconds, rates.asks_who(charge)) == (1, True)
    clock.now += 1
    rates.charge_principal(charge, "eve", "eve@example.com")


def test_looking_takes_nothing_and_says_what_taking_would(clock: Clock) -> None:
    rates, charge = Rates(per_peer=10, clock=clock), Charge(urgent=False)
    for _ in range(100):
        rates.check_peer(charge, EVE)
    for _ in range(20):
        rates.count_peer(charge, EVE)
    with pytest.raises(RetryLater):
        rates.check_peer(charge, EVE)
    rates.check_peer(Charge(urgent=True), EVE)
    clock.now += 0.1
    rates.check_peer(charge, EVE)


def test_memory_is_bounded_and_full_buckets_go(clock: Clock) -> None:
    buckets = Buckets(10, clock)
    for number in range(BUCKETS_MAX + 1_000):
        assert buckets.take((str(number), False)) == 0
    assert len(buckets) == BUCKETS_MAX
    clock.now += module.BURST_SECONDS
    for _ in range(BUCKETS_MAX):
        clock.now += 1
        buckets.take(("eve", False))
    assert len(buckets) <= 1


def test_nobody_drives_out_his_own_bucket(clock: Clock) -> None:
    buckets = Buckets(1, clock)
    assert [buckets.take(("eve", False)) for _ in range(3)] == [0, 0, 1]
    for number in range(BUCKETS_MAX - 1):
        buckets.take((str(number), False))
    assert buckets.take(("eve", False)) > 0


def test_control_where_it_is_off_all_go_through(clock: Clock) -> None:
    assert granted(Rates(clock=clock), peer=True) == granted(Rates(clock=clock), peer=False) == 100
