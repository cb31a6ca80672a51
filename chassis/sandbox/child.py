"""Runs one program as a confined child: bounded in time and memory, cut off, killed with everything it started."""

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chassis.sandbox import launch
from chassis.sandbox.confine import Order, Report
from chassis.sandbox.errors import ChildDied, ChildStalled, ChildTimedOut
from chassis.sandbox.limits import Limits

MARK = "BITMILL_CHILD"
"""The environment variable by which orphans of a killed process are recognised; its value is the caller's affair."""
STDOUT_BYTES = 1024 * 1024
STDERR_BYTES = 8 * 1024
_LAUNCHER = str(Path(launch.__file__))

OnLine = Callable[[str], bool | None]
"""Called with each line of stdout. False says that the line is no sign of life; everything else is one."""


@dataclass(frozen=True)
class Finished:
    """How a child ended. A negative `returncode` is the signal that ended it; `stdout` and `stderr_tail` are capped."""

    returncode: int
    stdout: bytes
    stderr_tail: str
    seconds: float


def _order(limits: Limits, runnable: Sequence[str]) -> Order:
    return Order(
        parent=os.getpid(),
        memory=limits.memory_bytes,
        cpu=limits.cpu_seconds,
        file=limits.file_bytes,
        files=limits.open_files,
        readable=[str(path.absolute()) for path in limits.readable],
        writable=[str(path.absolute()) for path in limits.writable],
        runnable=list(runnable),
        no_network=True,
        filtered=True,
    )


def launcher(order: Order) -> list[str]:
    """The command that confines itself and becomes what is appended to it."""
    return [sys.executable, "-I", "-S", _LAUNCHER, json.dumps(order)]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """A child's whole environment: nothing of ours but the search path and the language, so no secrets."""
    return {"PATH": os.defpath, "LANG": "C.UTF-8", MARK: "1", **(extra or {})}


def kill_group(pid: int) -> None:
    """SIGKILL for the process group of `pid`. Not SIGTERM, a request: nobody wants the output any more."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


class _Tail:
    """The last bytes of a stream."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._data = b""

    async def drain(self, stream: asyncio.StreamReader) -> None:
        while chunk := await stream.read(65536):
            self._data = (self._data + chunk)[-self._size :]

    def text(self) -> str:
        return self._data.decode("utf-8", "replace").strip()


class _Lines:
    """Hands on lines as they come, keeps the first bytes, remembers when the last sign of life was."""

    def __init__(self, on_line: OnLine | None) -> None:
        self._on_line = on_line
        self.kept = bytearray()
        self.last_sign = time.monotonic()

    async def drain(self, stream: asyncio.StreamReader) -> None:
        pending = b""
        while chunk := await stream.read(65536):
            self.kept += chunk[: max(STDOUT_BYTES - len(self.kept), 0)]
            *lines, pending = (pending + chunk).split(b"\n")
            pending = pending[-STDOUT_BYTES:]
            alive = [self._tell(line) for line in lines]
            if not lines or any(alive):
                self.last_sign = time.monotonic()

    def _tell(self, line: bytes) -> bool:
        return self._on_line is None or self._on_line(line.decode("utf-8", "replace")) is not False


async def _watch_silence(lines: _Lines, stall: float) -> None:
    while (silent := time.monotonic() - lines.last_sign) < stall:  # noqa: ASYNC110 - silence makes no event
        await asyncio.sleep(stall - silent)
    raise ChildStalled(f"no sign of life for {stall:g} s")


async def run(
    argv: Sequence[str],
    limits: Limits,
    *,
    on_stdout_line: OnLine | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Finished:
    """Runs `argv` to its end, whatever its exit status.

    Raises ChildTimedOut, ChildStalled, or ChildDied where the program cannot be found. However it ends, also by
    cancellation or by an exception of `on_stdout_line`, no process of its group is left.
    """
    program = shutil.which(argv[0])
    if program is None:
        raise ChildDied(f"{argv[0]} is not a program on this machine")
    real = os.path.realpath(program)
    order = _order(limits, (program, real, str(Path(real).parent)))
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *launcher(order),
        str(Path(program).absolute()),
        *argv[1:],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=cwd,
        env=environment(env),
        start_new_session=True,
    )
    lines, errors = _Lines(on_stdout_line), _Tail(STDERR_BYTES)
    try:
        returncode = await _until_end(process, limits, lines, errors)
    finally:
        kill_group(process.pid)
        await asyncio.shield(process.wait())
    return Finished(returncode, bytes(lines.kept), errors.text(), time.monotonic() - began)


async def _until_end(process: asyncio.subprocess.Process, limits: Limits, lines: _Lines, errors: _Tail) -> int:
    assert process.stdout is not None and process.stderr is not None  # noqa: S101 - both are pipes
    draining = asyncio.gather(lines.drain(process.stdout), errors.drain(process.stderr))
    ending = asyncio.ensure_future(process.wait())
    watches: list[asyncio.Future[Any]] = [ending, draining]
    if limits.stall is not None:
        watches.append(asyncio.ensure_future(_watch_silence(lines, limits.stall.total_seconds())))
    try:
        async with asyncio.timeout(limits.wall.total_seconds()):
            pending = set(watches)
            while not ending.done():
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            # What the child started may still hold the pipes: with the child gone, it goes too.
            kill_group(process.pid)
            await draining
    except TimeoutError:
        raise ChildTimedOut(f"it ran longer than {limits.wall.total_seconds():g} s") from None
    finally:
        for task in watches:
            task.cancel()
        await asyncio.gather(*watches, return_exceptions=True)
    return ending.result()


async def report(limits: Limits | None = None) -> Report:
    """What of the confinement holds on this machine, found out by a child that applies it to itself."""
    process = await asyncio.create_subprocess_exec(
        *launcher(_order(limits or Limits(), ())),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env=environment(),
        start_new_session=True,
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise ChildDied(f"the launcher ended with status {process.returncode}")
    answer: Report = json.loads(out)
    return answer
