"""Nothing grows with the number of jobs that are over."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from tests.soak.harness import Sample, Soak, running, table
from tests.support.waiting import until

WARM_UP = 60
"""Jobs until all pools, caches and threads exist."""
MAX_FD_GROWTH = 30
"""Connections of pools and of clients come and go."""


async def soak(system: Soak, jobs: int, samples: int) -> list[Sample]:
    """Samples after the warm-up, then after each part of the jobs, and one once everything is purged."""
    await system.run(WARM_UP)
    found = [await system.sample(WARM_UP)]
    for part in range(samples):
        await system.run(jobs // samples)
        found.append(await system.sample(WARM_UP + jobs // samples * (part + 1)))
        print(table(found[-1:]), flush=True)

    async def purged() -> bool:
        return not await system.finished_rows() and not (await system.sample(0)).objects

    await until(purged, within=180, poll=0.5)
    return [*found, await system.sample(WARM_UP + jobs)]


def check(samples: list[Sample], *, max_rss_growth_mb: float, max_rows: int) -> None:
    """What does not depend on the number of jobs."""
    first, last = samples[0], samples[-1]
    for name in ("services", "PostgreSQL", "Kafka"):
        if name not in first.processes:
            continue
        before, after = first.processes[name], last.processes[name]
        assert after.fds - before.fds <= MAX_FD_GROWTH, name
        assert after.threads - before.threads <= MAX_FD_GROWTH, name
    grown = last.processes["services"].rss_mb - first.processes["services"].rss_mb
    assert grown <= max_rss_growth_mb, f"{grown:.1f} MB"
    for each in samples:
        assert max(each.rows.values()) <= max_rows, each.rows
        assert each.foreign == 0
    assert (last.objects, last.scratch_files) == (0, 0)


async def test_two_hundred_jobs_leave_nothing_behind(tmp_path: Path) -> None:
    async with running(tmp_path, timedelta(seconds=4), timedelta(seconds=1)) as system:
        samples = await soak(system, 140, 1)
    print(table(samples))
    check(samples, max_rss_growth_mb=25, max_rows=2 * (140 + WARM_UP))


@pytest.mark.slow
async def test_20000_jobs_end_with_flat_memory_and_descriptors_and_bounded_tables(tmp_path: Path) -> None:
    jobs = int(os.environ.get("SOAK_JOBS", "20000"))
    async with running(tmp_path, timedelta(seconds=20), timedelta(seconds=2)) as system:
        samples = await soak(system, jobs, 10)
    print(table(samples))
    # Within 20 s, two purges and a batch: at most 100 jobs/s, and two rows of a table for each.
    check(samples, max_rss_growth_mb=60, max_rows=2 * 30 * 100)
