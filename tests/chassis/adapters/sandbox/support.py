"""Running Python code in the sandbox, and looking at processes from outside."""

import sys
from datetime import timedelta
from pathlib import Path

import psutil

from chassis.adapters.sandbox import child
from chassis.adapters.sandbox.child import Finished, OnLine
from chassis.adapters.sandbox.limits import Limits

PYTHON = (Path(sys.base_prefix), Path(sys.prefix))
LIMITS = Limits(wall=timedelta(seconds=120), readable=PYTHON)


def python(code: str, *arguments: str) -> list[str]:
    """The command that runs `code`."""
    return [sys.executable, "-I", "-c", code, *arguments]


async def run(code: str, *arguments: str, limits: Limits = LIMITS, on_stdout_line: OnLine | None = None) -> Finished:
    return await child.run(python(code, *arguments), limits, on_stdout_line=on_stdout_line)


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
