"""What an ffmpeg with other features would answer, made from the answers of the one that is shipped.

The sandbox executes one native program and no script, so that a fake cannot be a script.
"""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from chassis.adapters.sandbox.child import Finished
from chassis.adapters.sandbox.limits import Limits
from media.ffmpeg import binary
from media.ffmpeg_features import RunProgram

Change = Callable[[str], str]


@cache
def real_output(argument: str) -> str:
    """What the shipped ffmpeg answers."""
    command = [str(binary()), "-hide_banner", argument]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def answering(change: Change) -> RunProgram:
    """Runs no program: answers with the changed outputs of the shipped ffmpeg."""

    async def run(argv: Sequence[str], limits: Limits, *, env: Mapping[str, str] | None = None) -> Finished:
        return Finished(0, change(real_output(argv[-1])).encode(), "", 0.0)

    return run


def ending(returncode: int, stdout: str = "", stderr: str = "") -> RunProgram:
    """Runs no program: ends as told."""

    async def run(argv: Sequence[str], limits: Limits, *, env: Mapping[str, str] | None = None) -> Finished:
        return Finished(returncode, stdout.encode(), stderr, 0.0)

    return run
