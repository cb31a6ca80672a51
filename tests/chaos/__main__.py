"""`python -m tests.chaos`: one run; status 0 if every promise was kept, 1 otherwise."""

import argparse
import asyncio
import contextlib
import random
import signal
import sys
from pathlib import Path

from tests.chaos import report
from tests.chaos.run import Options, run
from tests.chaos.schedule import make_schedule


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="of load and faults; start and audit come on top")
    parser.add_argument("--seed", type=int, default=None, help="makes the schedule of a run again")
    parser.add_argument("--seeded-fault", default=None, metavar="NAME", help="run the product with this fault")
    parser.add_argument("--folder", type=Path, default=None, help="where the run's disk lies, instead of /tmp")
    parser.add_argument("--schedule", action="store_true", help="print the schedule and end")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.randrange(10**6)
    if arguments.schedule:
        for fault in make_schedule(seed, arguments.minutes * 60):
            print(f"{fault.at:7.1f} s  {fault.kind:24} {fault.target:24} {fault.seconds:5.1f} s")
        return 0
    print(f"seed {seed}, {arguments.minutes:g} minutes", flush=True)
    options = Options(seed, arguments.minutes * 60, arguments.seeded_fault, folder=arguments.folder)
    result = asyncio.run(_until_stopped(options))
    if result is None:
        print("stopped; everything that the run had started has ended")
        return 130
    print(report.table(result))
    if not result.kept:
        print(f"\nnot kept:\n{report.violations(result)}")
    return 0 if result.kept else 1


async def _until_stopped(options: Options) -> report.Result | None:
    """None after Ctrl-C or SIGTERM."""
    running = asyncio.create_task(run(options))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        return await running
    return None


if __name__ == "__main__":
    sys.exit(main())
