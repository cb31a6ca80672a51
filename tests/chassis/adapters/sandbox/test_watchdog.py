"""When a child is killed: decided from processor time, output and age alone."""

from datetime import timedelta

import pytest

from chassis.adapters.sandbox.limits import ChildCpuExceeded, ChildStalled, ChildTimedOut, Limits
from chassis.adapters.sandbox.watchdog import LONGEST_STEP_S, Watchdog

LIMITS = Limits(cpu_seconds=30, wall=timedelta(seconds=1000), stall=timedelta(seconds=100))


def last_verdict(seconds: int, *, cpu_share: float, output_every: int | None = None) -> object:
    """The type of the verdict on a child that uses this share of a processor, or None if it was never killed."""
    watchdog = Watchdog(LIMITS)
    for second in range(seconds):
        output = 0 if output_every is None else second // output_every
        if (error := watchdog.verdict(second, second * cpu_share, output)) is not None:
            return type(error)
    return None


@pytest.mark.parametrize(
    ("cpu_share", "output_every", "verdict"),
    [
        (1.0, 1, ChildCpuExceeded),
        (1.0, None, ChildCpuExceeded),
        (0.0, None, ChildStalled),
        (0.001, None, ChildStalled),
        (0.0, 50, ChildTimedOut),
        (0.02, None, ChildTimedOut),
    ],
    ids=["works", "works silently", "stands still", "hangs", "writes without working", "works slowly and silently"],
)
def test_what_a_child_is_killed_for(cpu_share: float, output_every: int | None, verdict: type) -> None:
    assert last_verdict(2000, cpu_share=cpu_share, output_every=output_every) is verdict


def test_a_child_that_starved_or_worked_slowly_goes_on() -> None:
    assert last_verdict(990, cpu_share=0.02) is None


def test_time_in_which_this_process_did_not_run_is_not_counted() -> None:
    watchdog = Watchdog(LIMITS)
    assert watchdog.verdict(0, 0.0, 0.0) is None
    for pause in range(1, 19):
        assert watchdog.verdict(pause * 86_400, 0.0, 0.0) is None, "a pause is at most LONGEST_STEP_S long"
    assert 18 * LONGEST_STEP_S < 100
