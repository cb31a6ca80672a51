"""The limit of concurrent exchanges per host."""

from chassis.core.host_limiter import MAX_DELAY_S, MIN_DELAY_S, HostLimiter


def test_a_host_gets_at_most_its_limit() -> None:
    limiter = HostLimiter(per_host=2)
    assert limiter.acquire("owner", "slow", 0) is None
    assert limiter.acquire("owner", "slow", 0) is None
    assert limiter.acquire("owner", "slow", 0) is not None


def test_another_host_is_not_delayed() -> None:
    limiter = HostLimiter(per_host=1)
    limiter.acquire("owner", "slow", 0)
    assert limiter.acquire("owner", "slow", 0) is not None
    assert limiter.acquire("owner", "quick", 0) is None


def test_a_released_slot_is_free() -> None:
    limiter = HostLimiter(per_host=1)
    limiter.acquire("owner", "host", 0)
    limiter.release("owner", "host", 1, 1)
    assert limiter.acquire("owner", "host", 1) is None


def test_delayed_deliveries_return_one_after_another_at_the_pace_of_the_host() -> None:
    limiter = HostLimiter(per_host=1)
    limiter.acquire("owner", "host", 0)
    assert [limiter.acquire("owner", "host", 0) for _ in range(5)] == [1, 2, 3, 4, 5]


def test_delays_are_bounded_however_long_the_backlog() -> None:
    limiter = HostLimiter(per_host=1)
    limiter.acquire("owner", "host", 0)
    delays = [limiter.acquire("owner", "host", 0) or 0 for _ in range(1000)]
    assert min(delays) >= MIN_DELAY_S
    assert max(delays) == MAX_DELAY_S


def test_hosts_without_deliveries_are_forgotten() -> None:
    limiter = HostLimiter(per_host=1)
    for number in range(100):
        limiter.acquire("owner", f"host-{number}", 0)
        limiter.release("owner", f"host-{number}", 1, 1)
    assert len(limiter) == 0


def test_a_host_that_one_owner_fills_is_not_full_for_another() -> None:
    limiter = HostLimiter(per_host=4)
    for _ in range(1000):
        limiter.acquire("busy", "shared", 0)
    assert [limiter.acquire("other", "shared", 0) for _ in range(2)] == [None, None]
    assert limiter.acquire("other", "shared", 0) == MIN_DELAY_S, "beyond its share, and not behind the other's backlog"


def test_owners_without_exchanges_leave_the_whole_host_to_the_others() -> None:
    limiter = HostLimiter(per_host=4)
    for owner in ("one", "two"):
        limiter.acquire(owner, "shared", 0)
        limiter.release(owner, "shared", 1, 1)
    assert [limiter.acquire("one", "shared", 1) for _ in range(4)] == [None] * 4
    assert limiter.acquire("one", "shared", 1) is not None


def test_a_slow_exchange_of_one_owner_does_not_lengthen_the_delays_of_another() -> None:
    limiter = HostLimiter(per_host=1)
    limiter.acquire("slow", "shared", 0)
    limiter.release("slow", "shared", 1000, 1000)
    limiter.acquire("quick", "shared", 1000)
    assert limiter.acquire("quick", "shared", 1000) == 1


def test_an_owner_that_never_comes_back_is_forgotten() -> None:
    limiter = HostLimiter(per_host=1)
    limiter.acquire("stays", "host", 0)
    limiter.acquire("gone", "host", 0)
    assert limiter.acquire("gone", "host", 0) is not None
    limiter.release("gone", "host", 0, 0)
    limiter.release("stays", "host", 10, 10)
    assert len(limiter) == 0
