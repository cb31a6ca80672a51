"""A fork server: it loads expensive modules once, and runs each call in a confined fork with its own limits."""

import asyncio
import json
import os
import socket
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from chassis.adapters.sandbox import child, fork_call, fork_server_main
from chassis.adapters.sandbox.confine import SandboxSpec
from chassis.adapters.sandbox.fork_call import FaultFactory, Request, ServerGone
from chassis.adapters.sandbox.limits import GIB, ChildDied, ChildTimedOut, Limits

_SERVER = str(Path(fork_server_main.__file__))
_ROOT = str(Path(__file__).parents[3])
_START_SECONDS = 60
_STDERR_BYTES = 4096
# A fork may import modules late. The project's own folder is not readable, because it may contain data.
_LIBRARIES = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib"))


class ForkServer:
    """Calls `module:function` with JSON arguments and results, each call in its own fork, any number concurrently.

    The server imports `preload` and `module` once, before the first call. An exception of the function with an
    attribute `kind` is a fault of its input, and is raised as `fault(kind, message)`. The server starts with the first
    call (or `start`), and again after it ended.
    """

    def __init__(
        self,
        module: str,
        preload: Sequence[str] = (),
        *,
        fault: FaultFactory | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._preload = [*preload, module]
        self._fault = fault
        self._env = dict(env or {})
        self._starting = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._control_socket: socket.socket | None = None
        self._stderr = b""
        self._draining: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "ForkServer":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def pid(self) -> int | None:
        """The process id of the server while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Starts the server unless it runs. Raises ChildDied, with the end of its stderr."""
        async with self._starting:
            if self.pid is None:
                await self.stop()
                await self._start()

    async def _start(self) -> None:
        setup = {"path": [_ROOT, *(path for path in sys.path if path)], "preload": self._preload}
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *child.wrapper_command(_server_spec()),
                sys.executable,
                "-I",
                _SERVER,
                json.dumps(setup),
                stdin=theirs.fileno(),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env=child.environment(self._env),
                start_new_session=True,
            )
        self._control_socket = ours
        self._stderr = b""
        self._draining = asyncio.create_task(self._drain(self._process))
        ready = b""
        with suppress(TimeoutError, ConnectionError):
            ready = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(ours, 1), _START_SECONDS)
        if ready != b"+":
            await self.stop()
            raise ChildDied(f"the fork server did not start: {self._stderr.decode('utf-8', 'replace')}")

    async def _drain(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None  # noqa: S101 - it is a pipe
        while chunk := await process.stderr.read(_STDERR_BYTES):
            self._stderr = (self._stderr + chunk)[-_STDERR_BYTES:]

    async def stop(self) -> None:
        """Ends the server and every running call."""
        process, self._process = self._process, None
        if self._control_socket is not None:
            self._control_socket.close()
            self._control_socket = None
        if process is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 2)
            child.kill_group(process.pid)
            await process.wait()
        if self._draining is not None:
            await asyncio.wait([self._draining])
            self._draining = None

    async def call(self, function: str, args: Mapping[str, Any], limits: Limits) -> Any:
        """Runs `function(**args)` in a confined fork and returns its result.

        Raises the fault that the function raised, ChildCpuExceeded, ChildTimedOut, or ChildDied (also for an unexpected
        exception of the function). Cancelling the call kills its fork.
        """
        request = Request(function, args, _spec(limits), limits)
        try:
            async with asyncio.timeout(limits.wall.total_seconds()):
                response = await self._respond(request)
        except TimeoutError:
            raise ChildTimedOut(f"{function} ran longer than {limits.wall.total_seconds():g} s") from None
        return fork_call.result(function, response, self._fault)

    async def _respond(self, request: Request) -> bytes:
        for last in (False, True):
            await self.start()
            assert self._control_socket is not None  # noqa: S101 - the server runs
            try:
                return await fork_call.run(self._control_socket, request)
            except ServerGone:
                if last:
                    raise
                # It is ending: once it has ended, `start` replaces it.
                if self._process is not None:
                    child.kill_group(self._process.pid)
                    await self._process.wait()
        raise AssertionError("unreachable")


def _server_spec() -> SandboxSpec:
    """The server reads the project and forks: it gets only the empty network, and SIGKILL when this process ends."""
    return SandboxSpec(
        parent_pid=os.getpid(),
        memory_bytes=64 * GIB,
        cpu_seconds=365 * 24 * 3600,
        file_bytes=64 * GIB,
        open_files=4096,
        readable=None,
        writable=[],
        executable=[],
        namespaces=True,
        system_calls="all",
    )


def _spec(limits: Limits) -> SandboxSpec:
    return SandboxSpec(
        parent_pid=0,
        memory_bytes=limits.memory_bytes,
        cpu_seconds=limits.cpu_seconds,
        file_bytes=limits.file_bytes,
        open_files=limits.open_files,
        readable=[str(path.absolute()) for path in (*_LIBRARIES, *limits.readable)],
        writable=[str(path.absolute()) for path in limits.writable],
        executable=[],
        namespaces=False,
        system_calls="no_program",
    )
