"""What `bitmill up` asks of the machine before it starts anything: the sandbox, the libraries for media and ffmpeg."""

import asyncio
import tempfile
from pathlib import Path

from chassis.adapters.sandbox import self_test
from chassis.adapters.sandbox.self_test import SandboxState
from chassis.core.settings import load
from media.tools import open_tools
from worker.settings import SandboxSettings


async def require_usable_machine() -> SandboxState:
    """The state of the sandbox. Raises StartRefused with what the machine lacks, and what to do.

    Each answer is kept for the process, so that the services do not ask again.
    """
    sandbox, tools = (
        asyncio.create_task(self_test.require(load(SandboxSettings).sandbox)),
        asyncio.create_task(_tools()),
    )
    # Both at once, and both to their end: no child process of one is left when the other has failed.
    await asyncio.wait([sandbox, tools])
    state = sandbox.result()
    tools.result()
    return state


async def _tools() -> None:
    with tempfile.TemporaryDirectory(prefix="bitmill-check-") as folder:
        async with open_tools(Path(folder)):
            pass
