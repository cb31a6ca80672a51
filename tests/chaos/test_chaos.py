"""The short form of `make chaos`: a quarter of a minute of faults, always the same ones."""

from pathlib import Path

from tests.chaos import report
from tests.chaos.run import Options, run

SEED = 3
SECONDS = 15


async def test_nothing_is_lost_doubled_or_stuck_in_a_short_run(tmp_path: Path) -> None:
    result = await run(Options(SEED, SECONDS))
    print(report.table(result))
    assert result.kept, f"{report.table(result)}\n{report.violations(result)}"
    assert len(result.customers.accepted) > 20
    assert sum(result.injected.values()) >= 4
