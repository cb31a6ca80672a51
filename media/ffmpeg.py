"""The ffmpeg program: where it is, how a compiled graph becomes a command, how that runs as a confined child."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import ffmpeg as graph

from chassis.adapters.sandbox import child
from chassis.adapters.sandbox.child import Finished
from chassis.adapters.sandbox.limits import Limits
from media.allowlists import DECODERS, DEMUXERS, MAX_PIXELS
from media.faults import MediaFault

OnProgress = Callable[[float], None]
"""Called with how much of the work is done, from 0 to 1, never less than before."""

GLOBAL_FLAGS: tuple[str, ...] = (
    "-nostdin",
    "-hide_banner",
    "-nostats",
    *("-loglevel", "error"),
    *("-progress", "pipe:1"),
    *("-stats_period", "0.5"),
    "-y",
)
INPUT_FLAGS: dict[str, str | int] = {
    # None of these alone keeps a playlist in disguise from reading other files; the sandbox is the last line.
    "protocol_whitelist": "file,pipe",
    "format_whitelist": ",".join(DEMUXERS),
    "codec_whitelist": ",".join(DECODERS),
    "max_pixels": MAX_PIXELS,
}
"""Options of every input of a customer's file, as keywords of `ffmpeg.input`."""

_SIGXFSZ = 25
_CUSTOMERS = re.compile(
    r"Invalid data found|moov atom not found|Error while decoding|could not find codec parameters|"
    r"Decoder .* not found|Decoding requested, but no decoder|not in the whitelist|codec not on whitelist|"
    r"Cannot determine format|picture size|does not contain any stream|matches no streams",
    re.IGNORECASE,
)
_OURS = re.compile(
    r"No space left|Cannot allocate memory|Permission denied|Unknown encoder|Option .* not found|Unrecognized option|"
    r"No such filter|Error parsing|Input/output error|Read-only file system|Disk quota",
    re.IGNORECASE,
)


class FfmpegFailed(Exception):
    """ffmpeg failed for a reason that is not the file's: ours, and worth another attempt."""


def source(path: Path, **options: str | float | int) -> Any:
    """The input node for a customer's file. `file:` keeps a name with a colon from being taken for an address."""
    return graph.input(f"file:{path}", **INPUT_FLAGS, **options)


def command(stream: Any, program: str = "ffmpeg") -> list[str]:
    """The whole command line of a graph of ffmpeg-python."""
    argv: list[str] = graph.compile(stream, cmd=[program, *GLOBAL_FLAGS])
    return argv


@cache
def binary() -> Path:
    """The ffmpeg to run: `FFMPEG_BINARY`, otherwise the one that imageio-ffmpeg carries."""
    if named := os.environ.get("FFMPEG_BINARY"):
        return Path(named)
    import imageio_ffmpeg

    return Path(imageio_ffmpeg.get_ffmpeg_exe())


@dataclass(frozen=True)
class Ffmpeg:
    """One ffmpeg on this machine. `filters` are the names of the filters that it was built with."""

    path: Path
    filters: frozenset[str]
    env: dict[str, str]

    @property
    def tone_maps(self) -> bool:
        """Whether it can bring HDR to an ordinary screen."""
        return {"zscale", "tonemap"} <= self.filters

    async def run(
        self, argv: Sequence[str], limits: Limits, duration: float | None = None, on_progress: OnProgress | None = None
    ) -> Finished:
        """As the function `run`, with this ffmpeg."""
        return await run([str(self.path), *argv[1:]], limits, duration, on_progress, env=self.env)


async def find(env: dict[str, str] | None = None) -> Ffmpeg:
    """The ffmpeg to use, asked what it can do."""
    path = binary()
    listed = await child.run([str(path), "-hide_banner", "-filters"], Limits(), env=env)
    names = (line.split() for line in listed.stdout.decode().splitlines())
    return Ffmpeg(path, frozenset(name[1] for name in names if len(name) > 3 and "->" in name[2]), dict(env or {}))


async def run(
    argv: Sequence[str],
    limits: Limits,
    duration: float | None = None,
    on_progress: OnProgress | None = None,
    *,
    env: dict[str, str] | None = None,
) -> Finished:
    """Runs a whole command line to success. `duration` is the output's, in seconds: what progress is measured by.

    Raises MediaFault where the input is to blame, FfmpegFailed where we are, and SandboxError.
    """
    progress = _Progress(duration, on_progress)
    finished = await child.run(argv, limits, on_stdout_line=progress.line, env=env)
    if finished.returncode:
        raise blame(finished)
    return finished


def blame(finished: Finished) -> Exception:
    """Whose fault a failed run is, from how it ended and what it said last (pure).

    A killed ffmpeg, a full disk, an argument that it does not know are ours; what it says of the data is the
    file's. What is not recognised is ours: it is tried again, and told as `internal_error` if it stays.
    """
    said = finished.stderr_tail
    if finished.returncode == -_SIGXFSZ or "File too large" in said:
        return MediaFault("output_too_large", detail=said)
    if finished.returncode > 0 and _CUSTOMERS.search(said) and not _OURS.search(said):
        kind = _kind_of(said)
        return MediaFault(kind, detail=said)
    return FfmpegFailed(f"ffmpeg ended with status {finished.returncode}: {said[-2000:]}")


def _kind_of(said: str) -> Any:
    return "input_truncated" if "moov atom not found" in said else "input_unreadable"


class _Progress:
    """Reads `-progress` output. Only a line that gets further is a sign of life."""

    def __init__(self, duration: float | None, on_progress: OnProgress | None) -> None:
        self._duration = duration
        self._on_progress = on_progress
        self._reached: dict[str, int] = {}
        self._told = 0.0

    def line(self, line: str) -> bool:
        name, _, value = line.partition("=")
        # Both, since sound may be written while no picture is, and the other way round.
        if name not in ("frame", "out_time_us"):
            return False
        try:
            reached = int(value)
        except ValueError:  # "N/A" before the first packet
            return False
        if reached <= self._reached.get(name, 0):
            return False
        self._reached[name] = reached
        if name == "out_time_us":
            self._tell(reached / 1e6)
        return True

    def _tell(self, seconds: float) -> None:
        if not self._duration or self._on_progress is None:
            return
        done = min(seconds / self._duration, 1.0)
        if done > self._told:
            self._told = done
            self._on_progress(done)


def with_paths(limits: Limits, *, read: Path, write: Path) -> Limits:
    """The limits of a run that reads one file and writes into one folder."""
    return replace(limits, readable=(*limits.readable, read), writable=(*limits.writable, write))
