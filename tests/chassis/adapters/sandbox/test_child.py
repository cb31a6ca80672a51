import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from datetime import timedelta
from pathlib import Path

import pytest

from chassis.adapters.sandbox import child
from chassis.adapters.sandbox.errors import ChildDied, ChildStalled, ChildTimedOut
from chassis.adapters.sandbox.limits import Limits
from tests.chassis.adapters.sandbox.conftest import LIMITS, PYTHON, python, run
from tests.chassis.adapters.sandbox.processes import alive, until

# Prints its pid and that of a child of its own, which ignores SIGTERM as it does itself; then neither ever ends.
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
inner = os.fork()
if inner:
    print(os.getpid(), inner, flush=True)
while True:
    time.sleep(60)
"""


class Pids:
    """Collects the process ids that a child prints."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.told = asyncio.Event()

    def line(self, line: str) -> None:
        self.seen += [int(word) for word in line.split()]
        self.told.set()


async def test_a_child_s_status_and_words_come_back() -> None:
    finished = await run("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (finished.returncode, finished.stdout, finished.stderr_tail) == (3, b"out\n", "err")


async def test_a_program_that_is_not_there_is_a_sentence() -> None:
    with pytest.raises(ChildDied, match="no-such-program is not a program"):
        await child.run(["no-such-program"], Limits())


async def test_the_environment_holds_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://someone:secret@host/db")
    finished = await run("import os; print(sorted(os.environ))")
    assert set(eval(finished.stdout)) <= {"PATH", "LANG", "LC_CTYPE", child.CHILD_ENV_VAR}


async def test_output_is_capped() -> None:
    finished = await run("print('x' * 3_000_000); import sys; print('y' * 100_000 + 'end', file=sys.stderr)")
    assert len(finished.stdout) == child.STDOUT_BYTES
    assert len(finished.stderr_tail) <= child.STDERR_BYTES and finished.stderr_tail.endswith("end")


async def test_a_child_that_ignores_sigterm_dies_with_its_children_when_cancelled() -> None:
    pids = Pids()
    task = asyncio.create_task(child.run(python(STUBBORN), LIMITS, on_stdout_line=pids.line))
    await asyncio.wait_for(pids.told.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not any(alive(pid) for pid in pids.seen), "the child and its child are gone")


async def test_a_child_that_takes_too_long_dies_with_its_children() -> None:
    pids = Pids()
    limits = Limits(wall=timedelta(seconds=0.5), readable=PYTHON)
    with pytest.raises(ChildTimedOut):
        await child.run(python(STUBBORN), limits, on_stdout_line=pids.line)
    await until(lambda: len(pids.seen) == 2 and not any(alive(pid) for pid in pids.seen), "both are gone")


async def test_children_that_outlive_their_parent_are_killed() -> None:
    finished = await run("import os, time\nif os.fork() == 0: time.sleep(60)\nelse: print('done')")
    assert finished.stdout == b"done\n"
    assert finished.seconds < 5


async def test_silence_is_a_stall_and_repetition_is_silence() -> None:
    limits = Limits(wall=timedelta(seconds=20), stall=timedelta(seconds=0.5), readable=PYTHON)
    code = "import time\nwhile True: print('same', flush=True); time.sleep(0.05)"
    with pytest.raises(ChildStalled):
        await run(code, limits=limits, on_stdout_line=lambda line: line != "same")


async def test_an_exception_of_the_listener_ends_the_child() -> None:
    def refuse(line: str) -> None:
        raise RuntimeError(line)

    with pytest.raises(RuntimeError, match="hello"):
        await run("import time; print('hello', flush=True); time.sleep(60)", on_stdout_line=refuse)


async def test_processor_time_is_bounded() -> None:
    limits = Limits(cpu_seconds=1, wall=timedelta(seconds=20), readable=PYTHON)
    finished = await run("while True: pass", limits=limits)
    assert finished.returncode == -signal.SIGXCPU


async def test_a_child_that_ignores_the_first_signal_about_processor_time_gets_the_second() -> None:
    limits = Limits(cpu_seconds=1, wall=timedelta(seconds=20), readable=PYTHON)
    finished = await run("import signal; signal.signal(24, signal.SIG_IGN)\nwhile True: pass", limits=limits)
    assert finished.returncode == -signal.SIGKILL


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not bound the address space")
async def test_memory_is_bounded() -> None:
    limits = Limits(memory_bytes=512 * 1024**2, readable=PYTHON)
    finished = await run("x = bytearray(1024 ** 3)", limits=limits)
    assert "MemoryError" in finished.stderr_tail


async def test_written_files_are_bounded(tmp_path: Path) -> None:
    limits = Limits(file_bytes=1000, readable=PYTHON, writable=(tmp_path,))
    code = "import sys\nwith open(sys.argv[1], 'wb') as file: file.write(b'x' * 5000)"
    finished = await run(code, str(tmp_path / "x"), limits=limits)
    assert finished.returncode != 0
    assert (tmp_path / "x").stat().st_size <= 1000


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent's life")
async def test_a_child_dies_when_its_parent_is_killed() -> None:
    parent = textwrap.dedent("""
        import asyncio
        from chassis.adapters.sandbox import child
        from tests.chassis.adapters.sandbox.conftest import LIMITS, python
        from tests.chassis.adapters.sandbox.test_child import STUBBORN
        asyncio.run(child.run(python(STUBBORN), LIMITS, on_stdout_line=lambda line: print(line, flush=True)))
    """)
    with subprocess.Popen(  # noqa: ASYNC220 - starting it is quick
        [sys.executable, "-c", parent], stdout=subprocess.PIPE, cwd=Path(__file__).parents[4], text=True
    ) as process:
        assert process.stdout is not None
        pid, inner = map(int, (await asyncio.to_thread(process.stdout.readline)).split())
        process.kill()
        await until(lambda: not alive(pid), "the child is gone")
        # What the child itself started is for the reaper of orphans, which knows it by its mark.
        os.kill(inner, signal.SIGKILL)
