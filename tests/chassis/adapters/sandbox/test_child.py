"""One confined child: output, limits, and no process left behind."""

import asyncio
import subprocess
import sys
import textwrap
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from chassis.adapters.sandbox import child
from chassis.adapters.sandbox.limits import ChildCpuExceeded, ChildDied, ChildStalled, ChildTimedOut, Limits
from tests.chassis.adapters.sandbox.support import LIMITS, PYTHON, alive, python, run
from tests.support.waiting import until

# Prints its pid, ignores SIGTERM and never ends.
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(os.getpid(), flush=True)
while True:
    time.sleep(60)
"""


class Pids:
    """Collects the process ids that a child prints."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.printed = asyncio.Event()

    def line(self, line: str) -> None:
        self.seen += [int(word) for word in line.split()]
        self.printed.set()


async def test_exit_status_and_output_are_returned() -> None:
    finished = await run("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (finished.returncode, finished.stdout, finished.stderr_tail) == (3, b"out\n", "err")


async def test_a_missing_program_is_named() -> None:
    with pytest.raises(ChildDied, match="no-such-program is not a program"):
        await child.run(["no-such-program"], Limits())


async def test_a_child_has_no_environment_variables_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://someone:secret@host/db")
    finished = await run("import os; print(sorted(os.environ))")
    assert set(eval(finished.stdout)) <= {"PATH", "LANG", "LC_CTYPE", child.CHILD_ENV_VAR}


async def test_output_is_truncated() -> None:
    finished = await run("print('x' * 3_000_000); import sys; print('y' * 100_000 + 'end', file=sys.stderr)")
    assert len(finished.stdout) == child.STDOUT_BYTES
    assert len(finished.stderr_tail) <= child.STDERR_BYTES and finished.stderr_tail.endswith("end")


async def test_a_child_that_ignores_sigterm_dies_when_cancelled() -> None:
    pids = Pids()
    task = asyncio.create_task(child.run(python(STUBBORN), LIMITS, on_stdout_line=pids.line))
    await asyncio.wait_for(pids.printed.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not any(alive(pid) for pid in pids.seen))


async def test_a_child_that_takes_too_long_dies() -> None:
    pids = Pids()
    limits = Limits(wall=timedelta(seconds=0.5), readable=PYTHON)
    with pytest.raises(ChildTimedOut):
        await child.run(python(STUBBORN), limits, on_stdout_line=pids.line)
    await until(lambda: len(pids.seen) == 1 and not any(alive(pid) for pid in pids.seen))


async def test_output_without_progress_is_a_stall() -> None:
    limits = Limits(wall=timedelta(seconds=120), stall=timedelta(seconds=0.5), readable=PYTHON)
    code = "import time\nwhile True: print('same', flush=True); time.sleep(0.05)"
    with pytest.raises(ChildStalled):
        await run(code, limits=limits, on_stdout_line=lambda line: line != "same")


async def test_an_exception_of_the_line_callback_ends_the_child() -> None:
    def fail(line: str) -> None:
        raise RuntimeError(line)

    with pytest.raises(RuntimeError, match="hello"):
        await run("import time; print('hello', flush=True); time.sleep(60)", on_stdout_line=fail)


@pytest.mark.parametrize(
    "prepare", ["", "import signal; signal.signal(24, signal.SIG_IGN)"], ids=["plain", "ignores SIGXCPU"]
)
async def test_processor_time_is_limited(prepare: str) -> None:
    limits = Limits(cpu_seconds=1, wall=timedelta(seconds=120), readable=PYTHON)
    with pytest.raises(ChildCpuExceeded):
        await run(f"{prepare}\nwhile True: pass", limits=limits)


async def test_a_child_that_is_stopped_for_long_has_not_exceeded_its_processor_time() -> None:
    """What a machine without a free processor does, to the extreme."""
    pids = Pids()
    limits = Limits(cpu_seconds=1, wall=timedelta(seconds=120), stall=timedelta(seconds=60), readable=PYTHON)
    code = "import os, time\nprint(os.getpid(), flush=True)\nwhile time.process_time() < 0.5: pass"
    task = asyncio.create_task(run(code, limits=limits, on_stdout_line=pids.line))
    await until(lambda: bool(pids.seen), within=60)
    child_process = psutil.Process(pids.seen[0])
    child_process.suspend()
    await asyncio.sleep(2 * limits.cpu_seconds)  # the starvation itself
    assert not task.done()
    child_process.resume()
    assert (await task).returncode == 0


async def test_a_silent_child_that_works_is_no_stall() -> None:
    limits = Limits(cpu_seconds=60, wall=timedelta(seconds=120), stall=timedelta(seconds=0.3), readable=PYTHON)
    finished = await run("import time\nwhile time.process_time() < 1: pass", limits=limits)
    assert finished.returncode == 0


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not limit the address space")
async def test_memory_is_limited() -> None:
    limits = Limits(memory_bytes=512 * 1024**2, readable=PYTHON)
    finished = await run("x = bytearray(1024 ** 3)", limits=limits)
    assert "MemoryError" in finished.stderr_tail


async def test_the_size_of_written_files_is_limited(tmp_path: Path) -> None:
    limits = Limits(file_bytes=1000, readable=PYTHON, writable=(tmp_path,))
    code = "import sys\nwith open(sys.argv[1], 'wb') as file: file.write(b'x' * 5000)"
    finished = await run(code, str(tmp_path / "x"), limits=limits)
    assert finished.returncode != 0
    assert (tmp_path / "x").stat().st_size <= 1000


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a child when its parent ends")
async def test_a_child_dies_when_its_parent_is_killed() -> None:
    parent = textwrap.dedent("""
        import asyncio
        from chassis.adapters.sandbox import child
        from tests.chassis.adapters.sandbox.support import LIMITS, python
        from tests.chassis.adapters.sandbox.test_child import STUBBORN
        asyncio.run(child.run(python(STUBBORN), LIMITS, on_stdout_line=lambda line: print(line, flush=True)))
    """)
    with subprocess.Popen(  # noqa: ASYNC220 - it starts quickly
        [sys.executable, "-c", parent], stdout=subprocess.PIPE, cwd=Path(__file__).parents[4], text=True
    ) as process:
        assert process.stdout is not None
        pid = int(await asyncio.to_thread(process.stdout.readline))
        process.kill()
        await until(lambda: not alive(pid))
