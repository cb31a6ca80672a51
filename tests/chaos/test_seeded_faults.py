"""The checker is checked: a chaos run finds each of the faults that `seeded_faults` puts into the product."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.chaos import report
from tests.chaos.run import Options, run
from tests.chaos.schedule import Fault
from tests.chaos.seeded_faults import FAULTS

ROOT = Path(__file__).parents[2]
SECONDS = 16.0
DRAIN_SECONDS = 50.0
"""Longer than what heals by itself takes: announcing again, a lease, a retry."""
_WORKERS = ("transcoder-0", "transcoder-1", "thumbnailer-0", "thumbnailer-1")


def _kills(kind: str, replicas: Sequence[str], times: Sequence[float], seconds: float = 0.0) -> list[Fault]:
    return [Fault(at, kind, replica, seconds) for at in times for replica in replicas]


REVEALING: Mapping[str, Sequence[Fault]] = {
    # Catalog and notifier: what they lose of job.results is not announced again.
    "ack_before_insert": _kills(
        "kill_at_kafka_commit", ("catalog-0", "catalog-1", "notifier-0", "notifier-1"), (3, 10), 5
    ),
    # The replica that is frozen finishes after another one has finished its items.
    "no_fence": _kills("freeze_at_fetch", ("transcoder-0", "thumbnailer-0"), (4,), 26),
    "event_outside_transaction": _kills("kill_at_end_commit", _WORKERS, (3, 12), 8),
    "attempt_counted_at_end": _kills("kill_at_fetch", _WORKERS, (3, 9), 5),
    "no_flush": [Fault(9, "power_cut", "notifier", 5)],
    "swallowed_cancellation": [Fault(4, "silent", "postgres"), Fault(10, "silent", "postgres")],
}
"""The faults of the environment by which each fault of the product shows."""
SHOWS_AS: Mapping[str, set[str]] = {
    "ack_before_insert": {"stuck", "webhooks missing"},
    "no_fence": {"doubled", "wrong end"},
    "event_outside_transaction": {"lost"},
    "attempt_counted_at_end": {"uncounted attempts"},
    "no_flush": {"lost"},
    "swallowed_cancellation": {"stuck", "not ready"},
}
"""The violations by which the auditor finds it: a run on a busy machine may complain of something else."""


def test_there_is_a_schedule_for_each_fault() -> None:
    assert REVEALING.keys() == SHOWS_AS.keys() == FAULTS.keys()


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_fits_the_code_that_it_replaces(fault: str) -> None:
    """The product changes: a fault whose place has gone must not pass for one that is not found."""
    code = (
        "from chassis.runtime.job_queue import JobQueue; from tests.chaos.seeded_faults import FAULTS; "
        f"FAULTS[{fault!r}](); JobQueue(None, None)"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, cwd=ROOT)
    assert await process.wait() == 0


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_chaos_run_finds_each_seeded_fault(fault: str) -> None:
    schedule = sorted(REVEALING[fault], key=lambda each: each.at)
    options = Options(1, SECONDS, seeded_fault=fault, drain_seconds=DRAIN_SECONDS, schedule=schedule)
    result = await run(options)
    print(f"{fault}:\n{report.violations(result)}")
    found = {violation.kind for violation in result.audit.violations}
    assert found & SHOWS_AS[fault], f"{fault} was not found:\n{report.table(result)}"
