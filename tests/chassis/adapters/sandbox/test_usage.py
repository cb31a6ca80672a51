"""The sum of a child's files, its resident memory and its threads are limited: the kernel limits none of them."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from chassis.adapters.sandbox.fork_server import ForkServer
from chassis.adapters.sandbox.limits import ChildExceeded, Limits
from chassis.adapters.sandbox.usage import Usage, excess, machine_memory, measure
from tests.chassis.adapters.sandbox.support import LIMITS, run

FUNCTIONS = "tests.chassis.adapters.sandbox.sandboxed_functions"
MIB = 1024**2


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[ForkServer]:
    async with ForkServer(FUNCTIONS) as opened:
        yield opened


@pytest.mark.parametrize(
    ("usage", "resource"),
    [
        (Usage(1, 100, 10, 1000), None),
        (Usage(1, 101, 10, 1000), "memory"),
        (Usage(1, 100, 11, 1000), "threads"),
        (Usage(1, 100, 10, 1001), "files"),
    ],
)
def test_what_is_more_than_a_limit_is_an_excess(usage: Usage, resource: str | None) -> None:
    error = excess(usage, Limits(resident_bytes=100, threads=10, file_bytes=1000))
    assert (error.resource if error else None) == resource


WRITE_FILES = """
import sys, time
for number in range(20):
    with open(f"{sys.argv[1]}/{number}", "wb") as file: file.write(b"x" * 1_000_000)
time.sleep(float(sys.argv[2]))
"""


@pytest.mark.parametrize("seconds", ["0", "600"])
async def test_the_sum_of_the_files_is_limited(tmp_path: Path, seconds: str) -> None:
    """Each file is below the limit; the child ends before a sample is taken, or goes on."""
    limits = replace(LIMITS, file_bytes=5_000_000, writable=(tmp_path,))
    with pytest.raises(ChildExceeded) as exceeded:
        await run(WRITE_FILES, str(tmp_path), seconds, limits=limits)
    assert exceeded.value.resource == "files"


async def test_holes_in_files_do_not_count(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1024 * MIB)
    assert measure(0, [tmp_path]).written_bytes == 0


async def test_resident_memory_is_limited() -> None:
    limits = replace(LIMITS, resident_bytes=200 * MIB)
    with pytest.raises(ChildExceeded) as exceeded:
        await run("import time; x = bytearray(b'x') * (400 * 1024 ** 2); time.sleep(600)", limits=limits)
    assert exceeded.value.resource == "memory"


async def test_memory_that_is_only_reserved_does_not_count() -> None:
    limits = replace(LIMITS, resident_bytes=200 * MIB)
    finished = await run("import mmap, time; x = mmap.mmap(-1, 400 * 1024 ** 2); time.sleep(1)", limits=limits)
    assert finished.returncode == 0, finished.stderr_tail


async def test_threads_are_limited() -> None:
    code = """
import threading, time
for _ in range(30): threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
time.sleep(600)
"""
    with pytest.raises(ChildExceeded) as exceeded:
        await run(code, limits=replace(LIMITS, threads=20))
    assert exceeded.value.resource == "threads"


async def test_a_fork_is_limited_as_well(server: ForkServer, tmp_path: Path) -> None:
    limits = Limits(resident_bytes=300 * MIB, writable=(tmp_path,))
    with pytest.raises(ChildExceeded):
        await server.call(f"{FUNCTIONS}:use_memory", {"size": 600 * MIB, "seconds": 600}, limits)
    assert await server.call(f"{FUNCTIONS}:echo", {"x": 1}, limits) == {"x": 1}


def test_the_memory_of_the_machine_is_known() -> None:
    assert machine_memory() > 64 * MIB
