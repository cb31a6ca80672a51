"""The limit of concurrent exchanges per host."""

from chassis.core.host_limiter import MAX_DELAY_S, MIN_DELAY_S, HostLimiter


def test_a_host_gets_at_most_its_limit() -> None:
    limiter = HostLimiter(per_host=2)
    assert limiter.acquire("slow", 0) is None
    assert limiter.acquire("slow", 0) is None
    assert limiter.acquire("slow", 0) is not None


def test_another_host_is_not_delayed() -> None:
    limiter = HostLimiter(per_host=1)
    limiter.acquire("slow", 0)
    assert limiter.acquire("slow", 0) is not None
    assert limiter.acquire("quick", 0) is None


def test_a_released_slot_is_free() -> None:
    limiter = HostLimiter(per_host=1)
    limiter.acquire("host", 0)
    limiter.release("host", 1, 1)
    assert limiter.acquire("host", 1) is None


def test_delayed_deliveries_return_one_after_another_at_the_pace_of_the_host() -> None:
    limiter = HostLimiter(per_host=1)
    limiter.acquire("host", 0)
    assert [limiter.acquire("host", 0) for _ in range(5)] == [1, 2, 3, 4, 5]


def test_delays_are_bounded_however_long_the_backlog() -> None:
    limiter = HostLimiter(per_host=1)
    limiter.acquire("host", 0)
    delays = [limiter.acquire("host", 0) or 0 for _ in range(1000)]
    assert min(delays) >= MIN_DELAY_S
    assert max(delays) == MAX_DELAY_S


def test_hosts_without_deliveries_are_forgotten() -> None:
    limiter = HostLimiter(per_host=1)
    for number in range(100):
        limiter.acquire(f"host-{number}", 0)
        limiter.release(f"host-{number}", 1, 1)
    assert len(limiter) == 0
