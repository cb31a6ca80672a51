"""Tries at the start of a process what a confined child must not do, and refuses the start if any of it is possible.

What a kernel offers is not what it enforces: a container engine, an old kernel or a bug of ours can take a protection
away. So the `attempts` are made in children of both kinds, once per process; together they take about 0.2 s.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chassis.adapters.sandbox import attempts, child
from chassis.adapters.sandbox.attempts import ATTEMPTS
from chassis.adapters.sandbox.confine import SandboxReport
from chassis.adapters.sandbox.fork_server import ForkServer
from chassis.adapters.sandbox.limits import Limits, SandboxError, SandboxMode
from chassis.core import logs
from chassis.core.caches import Memo
from chassis.core.settings import StartRefused

_MODULE = attempts.__name__

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class SandboxState:
    """`possible` are the attempts that were not denied, `report` are the protections that children applied."""

    possible: tuple[str, ...]
    report: SandboxReport

    @property
    def enforced(self) -> bool:
        """Whether everything was denied."""
        return not self.possible

    def summary(self) -> str:
        """One line for people."""
        if self.enforced:
            return f"enforced: {len(ATTEMPTS)} attempts denied (Landlock {self.report['landlock']}, system call filter)"
        return f"WEAK: input that takes a decoder over could {_sentence(self.possible)}"

    async def check(self) -> Mapping[str, Any]:
        """The health check: it does not fail, because a process with a sandbox too weak for its settings never starts.

        Its details are in the body of `/readyz`.
        """
        return {"enforced": self.enforced, "possible": list(self.possible), **self.report}


_states: Memo[str, SandboxState] = Memo()


async def state() -> SandboxState:
    """What confined children can do on this machine; tried once per process.

    Raises StartRefused if confined children cannot be started at all.
    """
    try:
        return await _states.get("", _try)
    except SandboxError as error:
        raise StartRefused(f"Confined child processes cannot be started on this machine: {error}") from error


async def require(mode: SandboxMode) -> SandboxState:
    """The state, if everything is denied or `mode` is weak; it is logged. Raises StartRefused otherwise."""
    return judge(await state(), mode)


def judge(found: SandboxState, mode: SandboxMode) -> SandboxState:
    """See `require`."""
    if found.possible and mode == "required":
        raise StartRefused(refusal(found))
    details = {"possible": list(found.possible), **found.report}
    if found.enforced:
        log.info("sandbox_checked", **details)
    else:
        log.warning("sandbox_weak", **details)
    return found


def refusal(found: SandboxState) -> str:
    """Why a process does not start, and what to do (pure)."""
    landlock, filtered = found.report["landlock"], found.report["seccomp"]
    return (
        f"The sandbox is too weak here: input that takes a decoder over could {_sentence(found.possible)} "
        f"(Landlock: {landlock or 'none'}, system call filter: {'yes' if filtered else 'no'}). "
        "Use Linux 5.13 or newer on x86-64 or arm64 with Landlock enabled (lsm=landlock,… for the kernel), "
        "and a container engine that does not block it. Or set SANDBOX=weak to start without this protection."
    )


def _sentence(names: tuple[str, ...]) -> str:
    return ", ".join(name.replace("_", " ") for name in names)


async def _try() -> SandboxState:
    with tempfile.TemporaryDirectory(prefix="bitmill-outside-") as folder:
        file = Path(folder) / "file"
        file.write_text("not for the child")
        in_program, in_fork, report = await asyncio.gather(
            _denied_to_program(file, folder), _denied_to_fork(file, folder), child.report()
        )
    denied = set(in_program) & set(in_fork)
    return SandboxState(tuple(name for name in ATTEMPTS if name not in denied), report)


async def _denied_to_program(file: Path, folder: str) -> list[str]:
    script = Path(attempts.__file__)
    # Not the link in a virtual environment, whose configuration the child could not read.
    python = os.path.realpath(sys.executable)
    limits = Limits(readable=(Path(sys.base_prefix), script))
    finished = await child.run([python, "-I", "-S", str(script), str(file), folder], limits)
    if finished.returncode:
        raise SandboxError(f"the self-test ended with status {finished.returncode}: {finished.stderr_tail}")
    return finished.stdout.decode().split()


async def _denied_to_fork(file: Path, folder: str) -> list[str]:
    async with ForkServer(_MODULE) as server:
        denied: list[str] = await server.call(f"{_MODULE}:denied", {"file": str(file), "folder": folder}, Limits())
    return denied
