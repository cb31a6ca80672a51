"""How long a failing record waits."""

from chassis.adapters.kafka.backoff import Attempts, pause_seconds


def test_pauses_grow_from_half_a_second_to_ten() -> None:
    assert [pause_seconds(attempt) for attempt in (1, 2, 3, 4, 5, 6, 7, 1000)] == [0.5, 1, 2, 4, 8, 10, 10, 10]


def test_failures_are_counted_for_the_record_that_a_partition_is_at() -> None:
    attempts = Attempts()
    assert [attempts.failed("t", 0, 7) for _ in range(3)] == [1, 2, 3]
    assert attempts.failed("t", 1, 7) == 1
    assert attempts.failed("t", 0, 8) == 1
    attempts.passed("t", 0)
    assert attempts.failed("t", 0, 8) == 1
