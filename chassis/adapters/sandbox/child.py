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

from chassis.adapters.sandbox import exec_wrapper as launch
from chassis.adapters.sandbox.confine import SandboxReport, SandboxSpec
from chassis.adapters.sandbox.errors import ChildDied, ChildStalled, ChildTimedOut
from chassis.adapters.sandbox.limits import Limits

CHILD_ENV_VAR = "BITMILL_CHILD"
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


def _order(limits: Limits, runnable: Sequence[str]) -> SandboxSpec:
    return SandboxSpec(
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


def launcher(order: SandboxSpec) -> list[str]:
    """The command that confines itself and becomes what is appended to it."""
    return [sys.executable, "-I", "-S", _LAUNCHER, json.dumps(order)]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """A child's whole environment: nothing of ours but the search path and the language, so no secrets."""
    return {"PATH": os.defpath, "LANG": "C.UTF-8", CHILD_ENV_VAR: "1", **(extra or {})}


def kill_group(pid: int) -> None:
    """SIGKILL for the process group of `pid`. Not SIGTERM, a request: nobody wants the output any more."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


class _Child(asyncio.SubprocessProtocol):
    """Hears the child: hands on its lines, keeps the first bytes of stdout and the last of stderr."""

    def __init__(self, on_line: OnLine | None) -> None:
        loop = asyncio.get_running_loop()
        self._on_line = on_line
        self._line = b""
        self.stdout = bytearray()
        self.stderr = b""
        self.last_sign = time.monotonic()
        self.exited: asyncio.Future[None] = loop.create_future()
        """Done when the child itself has ended, although what it started may still hold its pipes; or with the
        exception of the listener."""
        self.closed: asyncio.Future[None] = loop.create_future()
        """Done when nobody holds its pipes any more."""

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self.stderr = (self.stderr + data)[-STDERR_BYTES:]
            return
        self.stdout += data[: max(STDOUT_BYTES - len(self.stdout), 0)]
        *lines, self._line = (self._line + data).split(b"\n")
        self._line = self._line[-STDOUT_BYTES:]
        signs = [self._tell(line) for line in lines]
        if not lines or any(signs):
            self.last_sign = time.monotonic()

    def process_exited(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if not self.closed.done():
            self.closed.set_result(None)

    def _tell(self, line: bytes) -> bool:
        if self._on_line is None or self.exited.done():
            return True
        try:
            return self._on_line(line.decode("utf-8", "replace")) is not False
        except Exception as error:  # noqa: BLE001 - it is raised again by `run`
            self.exited.set_exception(error)
            return True


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
    transport, child = await asyncio.get_running_loop().subprocess_exec(
        lambda: _Child(on_stdout_line),
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
    pid = transport.get_pid()
    try:
        await _until_exit(child, limits)
    finally:
        kill_group(pid)
        # Short: everything is dead. Not to be cut off by a second cancellation, or the child's end goes unheard.
        await asyncio.shield(child.closed)
        transport.close()
    returncode = transport.get_returncode()
    assert returncode is not None  # noqa: S101 - it has ended
    return Finished(
        returncode, bytes(child.stdout), child.stderr.decode("utf-8", "replace").strip(), time.monotonic() - began
    )


async def _until_exit(child: _Child, limits: Limits) -> None:
    wall = limits.wall.total_seconds()
    stall = limits.stall.total_seconds() if limits.stall is not None else wall
    began = time.monotonic()
    while not child.exited.done():
        now = time.monotonic()
        left, patience = began + wall - now, child.last_sign + stall - now
        if left <= 0:
            raise ChildTimedOut(f"it ran longer than {wall:g} s")
        if patience <= 0:
            raise ChildStalled(f"no sign of life for {stall:g} s")
        await asyncio.wait([child.exited], timeout=min(left, patience))
    child.exited.result()


async def report(limits: Limits | None = None) -> SandboxReport:
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
    answer: SandboxReport = json.loads(out)
    return answer
