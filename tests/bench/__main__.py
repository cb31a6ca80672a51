"""`make bench`: measure, print the table, write it to README.md. Exit status 1 where a bound is missed."""

import asyncio
import os
import platform
import statistics
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import overhead, rate, startup
from tests.support.system import free_port

README = Path(__file__).with_name("README.md")
FOOTAGE = Path(".bitmill").absolute() / "footage"


@dataclass(frozen=True)
class Row:
    """One figure, its bound, and how it came about."""

    what: str
    figure: str
    bound: str
    good: bool
    how: str


async def measure() -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory(prefix="bitmill-bench-") as name:
        folder = Path(name)
        starts = await startup.measure(folder / "startup")
        rows.append(
            Row(
                "Warm start of `bitmill up` to /readyz 200",
                f"{starts.warm_median:.1f} s",
                "≤ 10 s",
                starts.warm_median <= 10,
                f"median of {len(starts.warm)}",
            )
        )
        rows.append(
            Row(
                "First start of `bitmill up`, nothing cached, to /readyz 200",
                f"{starts.first:.1f} s",
                "≤ 90 s",
                starts.first <= 90,
                "Kafka downloaded, Postgres and Kafka formatted, migrations applied; packages were installed before",
            )
        )
        rows.append(
            Row(
                "Resident memory of its idle Python process",
                f"{starts.resident_mb:.0f} MB",
                "≤ 250 MB",
                starts.resident_mb <= 250,
                f"{startup.IDLE_SECONDS} s after it was ready, all five services in it",
            )
        )
        (folder / "overhead").mkdir()
        found = await overhead.measure(folder / "overhead", FOOTAGE)
        rows.append(
            Row(
                "POST to webhook minus ffmpeg alone, small clip, idle system",
                f"{found.median:.2f} s",
                "≤ 0.4 s",
                found.median <= 0.4,
                f"median of {len(found.total)} pairs; POST to webhook {statistics.median(found.total):.2f} s, "
                f"ffmpeg alone {statistics.median(found.baseline):.2f} s",
            )
        )
        (folder / "rate").mkdir()
        rates = await rate.measure(folder / "rate", free_port())
        rows.append(
            Row(
                "POST /jobs a second over one bare insert each",
                f"{rates.ratio:.2f}",
                "≥ 0.5",
                rates.ratio >= 0.5,
                f"median of {rate.ROUNDS} rounds of {rate.REQUESTS}, {rate.CONNECTIONS} connections; ingest "
                f"{statistics.median(rates.ours):.0f}/s, bare {statistics.median(rates.bare):.0f}/s; "
                f"ratios {min(rates.ratios):.2f} to {max(rates.ratios):.2f}",
            )
        )
    return rows


def table(rows: list[Row]) -> str:
    lines = ["| what | figure | bound | how |", "|---|---|---|---|"]
    lines += [f"| {row.what} | **{row.figure}** | {row.bound} | {row.how} |" for row in rows]
    return "\n".join(lines)


def main() -> int:
    rows = asyncio.run(measure())
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    day = datetime.now(UTC).date()
    text = (
        "# Figures\n\n`make bench` measures them again and writes this file. Ratios and differences come from runs in"
        " turn within one call;\nseconds and megabytes are of the machine named.\n\n"
        f"{day}, {machine}.\n\n{table(rows)}\n"
    )
    README.write_text(text)
    print(text)
    return 0 if all(row.good for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
