"""`make bench`: measure, print the table, write it to README.md. Exit status 1 where a bound is missed."""

import asyncio
import os
import platform
import statistics
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import (
    cancel,
    claims,
    durability,
    idle,
    job_lists,
    job_reads,
    listeners,
    overhead,
    projection,
    rate,
    relay,
    s3,
    startup,
    takeover,
    webhooks,
)
from tests.bench.figures import Row, table
from tests.support.system import free_port

README = Path(__file__).with_name("README.md")
FOOTAGE = Path(".bitmill").absolute() / "footage"


async def measure() -> list[Row]:
    """Every measurement, one after the other, each in a folder of its own that is removed with its data."""
    rows: list[Row] = []
    for rows_of in (
        *(startup_rows, idle_rows, overhead_rows, durability_rows, rate_rows, projection_rows),
        *(claims.rows, webhooks.rows, relay.rows, takeover.rows, job_lists.rows, job_reads.rows, cancel.rows),
        *(listeners.rows, s3.rows),
    ):
        with tempfile.TemporaryDirectory(prefix="bitmill-bench-") as name:
            rows += await rows_of(Path(name))
    return rows


async def startup_rows(folder: Path) -> list[Row]:
    starts = await startup.measure(folder / "data")
    return [
        Row(
            "Warm start of `bitmill up` to /readyz 200",
            f"{starts.warm_median:.1f} s",
            "≤ 10 s",
            starts.warm_median <= 10,
            f"median of {len(starts.warm)}",
        ),
        Row(
            "First start of `bitmill up`, nothing cached, to /readyz 200",
            f"{starts.first:.1f} s",
            "≤ 90 s",
            starts.first <= 90,
            "Kafka downloaded, Postgres and Kafka formatted, migrations applied; packages were installed before",
        ),
        Row(
            "Resident memory of its idle Python process",
            f"{starts.resident_mb:.0f} MB",
            "≤ 250 MB",
            starts.resident_mb <= 250,
            f"{startup.IDLE_SECONDS} s after it was ready, all five services in it",
        ),
    ]


async def idle_rows(folder: Path) -> list[Row]:
    cpu = await idle.measure(folder)
    how = f"percent of one core over {idle.SECONDS} s, {idle.SETTLE_SECONDS} s after it was ready"
    return [
        Row("CPU of idle `bitmill up`: Python", f"{cpu.python:.1f} %", "≤ 1.5 %", cpu.python <= 1.5, how),
        Row("CPU of idle `bitmill up`: Kafka's JVM", f"{cpu.kafka:.1f} %", "≤ 3 %", cpu.kafka <= 3, how),
        Row("CPU of idle `bitmill up`: Postgres", f"{cpu.postgres:.1f} %", "≤ 1 %", cpu.postgres <= 1, how),
    ]


async def overhead_rows(folder: Path) -> list[Row]:
    found = await overhead.measure(folder, FOOTAGE)
    return [
        Row(
            "POST to webhook minus ffmpeg alone, small clip, idle system",
            f"{found.median:.2f} s",
            "≤ 0.4 s",
            found.median <= 0.4,
            f"median of {len(found.total)} pairs; POST to webhook {statistics.median(found.total):.2f} s, "
            f"ffmpeg alone {statistics.median(found.baseline):.2f} s",
        )
    ]


async def durability_rows(folder: Path) -> list[Row]:
    found = await durability.measure(folder, FOOTAGE)
    return [
        Row(
            "POST to webhook of a plain job with servers that flush what they acknowledge, minus without",
            f"{found.median * 1000:.0f} ms",
            "≤ 20 ms",
            found.median <= 0.02,
            f"median of {len(found.durable)} pairs; Kafka and Postgres both; with "
            f"{statistics.median(found.durable):.3f} s, without {statistics.median(found.plain):.3f} s",
        )
    ]


async def rate_rows(folder: Path) -> list[Row]:
    rates = await rate.measure(folder, free_port())
    return [
        Row(
            "POST /jobs a second over one plain insert each",
            f"{rates.ratio:.2f}",
            "≥ 0.5",
            rates.ratio >= 0.5,
            f"median of {rate.ROUNDS} rounds of {rate.REQUESTS}, {rate.CONNECTIONS} connections; ingest "
            f"{statistics.median(rates.ours):.0f}/s, plain insert {statistics.median(rates.baseline):.0f}/s; "
            f"ratios {min(rates.ratios):.2f} to {max(rates.ratios):.2f}",
        )
    ]


async def projection_rows(folder: Path) -> list[Row]:
    return [
        Row(
            f"Projection of `{topic}`, records a second over COPY of the same rows",
            f"{rates.ratio:.2f}",
            "≥ 0.35",
            rates.ratio >= 0.35,
            f"median of {projection.ROUNDS} rounds of {projection.RECORDS}; projected "
            f"{statistics.median(rates.projected):.0f}/s, copied {statistics.median(rates.copied):.0f}/s; "
            f"ratios {min(rates.ratios):.2f} to {max(rates.ratios):.2f}; over COPY of its main table's rows alone "
            f"{rates.ratio_alone:.2f}",
        )
        for topic, rates in (await projection.measure(folder)).items()
    ]


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
