"""A worker is killed at any await between the claim and the end of a job: a second one ends the job exactly once."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from chassis.adapters.postgres import migrate

ROOT = Path(__file__).parents[2]
MIGRATIONS = ["chassis.runtime.outbox.migrations", "chassis.runtime.job_queue.migrations"]


@pytest.mark.parametrize("points", [12, pytest.param(10**6, marks=pytest.mark.slow)])
async def test_a_job_whose_worker_is_killed_at_any_await_ends_exactly_once(
    fresh_dsn: str, tmp_path: Path, points: int
) -> None:
    await migrate(fresh_dsn, "thumbnailer", MIGRATIONS)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.worker.killed_worker", fresh_dsn, "thumbnailer", str(tmp_path), str(points)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    whole, *killed = [json.loads(line) for line in output.splitlines()]
    assert (whole["attempt"], whole["crashed"], len(whole["objects"])) == (1, 0, 1)
    assert len(killed) == min(points, whole["count"])
    for run in killed:
        assert run["state"] == "done", run
        (named,) = run["keys"]
        assert named in run["objects"], run
        # An attempt that was killed after it had stored its object leaves it: no row and no event names it.
        others = [key for key in run["objects"] if key != named]
        assert [key.rpartition("-")[2] for key in others] in ([], ["1.jpg"]), run
    print(f"{len(killed)} of {whole['count']} awaits; {sum(run['attempt'] == 2 for run in killed)} second attempts")
