"""One run: start, load and faults, drain, audit, report."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path

from tests.chaos import report
from tests.chaos.auditor.api import check_api
from tests.chaos.auditor.events import check_ends, read_ends
from tests.chaos.auditor.leftovers import check_folders, check_objects, check_processes
from tests.chaos.auditor.records import Audit, Customers, Target
from tests.chaos.auditor.tables import check_tables
from tests.chaos.auditor.waits import check_waits
from tests.chaos.auditor.webhooks import check_webhooks
from tests.chaos.cluster import RUN_VARIABLE, Cluster
from tests.chaos.drain import Drain
from tests.chaos.faults import Faults
from tests.chaos.load import PILE, PROJECTS, Load, make_inputs
from tests.chaos.schedule import Fault, make_schedule

ANSWER_SECONDS = 60.0
"""For requests that were sent before the load ended, once everything runs again."""
DRAIN_SECONDS = 180.0
"""After the last fault. Accepted work of which nothing ends for so long is stuck."""


@dataclass(frozen=True)
class Options:
    """`seconds` of load and faults; `seeded_fault`: run the product with this fault of `tests.chaos.seeded_faults`.

    `schedule` replaces that of the seed.
    """

    seed: int
    seconds: float
    seeded_fault: str | None = None
    drain_seconds: float = DRAIN_SECONDS
    folder: Path | None = None
    schedule: Sequence[Fault] | None = None


async def run(options: Options) -> report.Result:
    """Everything that it starts has ended when it returns or raises; the services' logs are kept where it failed."""
    async with _folder(options.folder) as base:
        result = await _run(options, base)
        if not result.kept:
            _keep_logs(base, result)
        return result


async def _run(options: Options, base: Path) -> report.Result:
    audit = Audit()
    cluster = Cluster(base, options.seeded_fault)
    async with cluster.running():
        keys = {name: await cluster.create_key(name) for name in (*PROJECTS, PILE)}
        schedule = options.schedule or make_schedule(options.seed, options.seconds, with_disk=cluster.disk.mounted)
        texts = {name: key for name, (key, _) in keys.items()}
        load = Load(options.seed, cluster.addresses("ingest"), texts, make_inputs(base))
        faults = Faults(cluster, load)
        async with load.open(), Drain(cluster.servers.admin_dsn, load.customers) as drain:
            sending = asyncio.create_task(load.run())
            try:
                await faults.run(schedule, options.seconds)
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
            await _until_drained(cluster, load, drain, options.drain_seconds, audit)
        target = Target(
            dsn=cluster.servers.admin_dsn,
            bootstrap=cluster.servers.bootstrap,
            catalogs=tuple(cluster.addresses("catalog")),
            keys=texts,
            projects={name: id for name, (_, id) in keys.items()},
            storage=cluster.storage,
            work=cluster.work,
            run_variable=RUN_VARIABLE,
            run_id=cluster.run_id,
        )
        collected = await cluster.collect_garbage()
        audit.report("bad ends of processes", ["bitmill gc"] if collected else [], collected)
        longest = await _audit(target, load.customers, audit, faults)
        await cluster.shut_down()
        check_folders(target, audit)
        check_processes(target, audit)
        audit.counts["stops cut short"] = sum(replica.stops_cut_short for replica in cluster.replicas.values())
        audit.counts["starts given up"] = sum(replica.starts_given_up for replica in cluster.replicas.values())
        complaints = [each for replica in cluster.replicas.values() for each in replica.complaints]
        audit.report("bad ends of processes", [each.split()[0] for each in complaints], "\n    ".join(complaints))
    moments = {f"{kind} at its moment": count for kind, count in faults.at_their_moment.items()}
    injected = {**faults.injected, **moments}
    return report.Result(
        options.seed,
        options.seconds,
        load.customers,
        audit,
        injected,
        faults.skipped,
        longest,
        options.seeded_fault,
    )


async def _until_drained(cluster: Cluster, load: Load, drain: Drain, seconds: float, audit: Audit) -> None:
    try:
        await cluster.until_ready(within=seconds)
    except AssertionError as error:
        audit.report("not ready", list(await cluster.not_ready()), str(error)[:3000])
    await load.until_answered(ANSWER_SECONDS)
    # A slow machine takes its time with what a long run has piled up: only standing still counts.
    least, since = inf, time.monotonic()
    while time.monotonic() - since < seconds:
        left = await drain.unfinished()
        if left == 0:
            return
        if left is not None and left < least:
            least, since = left, time.monotonic()
        await asyncio.sleep(0.5)


async def _audit(target: Target, customers: Customers, audit: Audit, faults: Faults) -> float:
    disk_full = [(begin, end) for begin, end, fault in faults.times if fault.kind == "disk_full"]
    jobs = await check_tables(target, customers, audit, disk_full)
    check_ends(await read_ends(target, audit), jobs, audit)
    await check_api(target, customers, audit)
    check_webhooks(customers, audit)
    await check_objects(target, audit)
    refused = sorted(set(customers.unexpected))
    audit.report("unexpected responses", [str(len(customers.unexpected))] if refused else [], str(refused[:5]))
    times = [(begin, end) for begin, end, _ in faults.times]
    return check_waits(customers, times, PROJECTS, audit)


def _keep_logs(base: Path, result: report.Result) -> None:
    kept = Path(tempfile.gettempdir()) / f"chaos-{result.seed}-{int(time.time())}"
    shutil.copytree(base / "logs", kept)
    (kept / "violations.txt").write_text(report.table(result) + "\n\n" + report.violations(result))
    print(f"The services' logs: {kept}")


@asynccontextmanager
async def _folder(given: Path | None) -> AsyncIterator[Path]:
    base = Path(tempfile.mkdtemp(prefix="chaos-", dir=given))
    base.chmod(0o755)  # Postgres runs as another user where we are root
    try:
        yield base
    finally:
        shutil.rmtree(base, ignore_errors=True)
