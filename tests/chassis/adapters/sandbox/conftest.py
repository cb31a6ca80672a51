import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from chassis.adapters.sandbox import child
from chassis.adapters.sandbox.child import Finished
from chassis.adapters.sandbox.confine import SandboxReport
from chassis.adapters.sandbox.limits import Limits

PYTHON = (Path(sys.base_prefix), Path(sys.prefix))
LIMITS = Limits(wall=timedelta(seconds=20), readable=PYTHON)


@pytest.fixture(scope="session")
async def protections() -> SandboxReport:
    """What this machine can hold a child to."""
    return await child.report()


def python(code: str, *arguments: str) -> list[str]:
    """The command that runs `code`."""
    return [sys.executable, "-I", "-c", code, *arguments]


async def run(code: str, *arguments: str, limits: Limits = LIMITS, **more: object) -> Finished:
    on_line: Callable[[str], bool | None] | None = more.get("on_stdout_line")  # type: ignore[assignment]
    return await child.run(python(code, *arguments), limits, on_stdout_line=on_line)
