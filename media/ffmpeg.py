"""The ffmpeg program: finding it, compiling a graph to a command line, running that as a sandboxed child."""

import os
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import ffmpeg as graph

from chassis.adapters.sandbox import child
from chassis.adapters.sandbox.child import Finished
from chassis.adapters.sandbox.limits import ChildDiskFull, ChildExceeded, Limits, says_disk_full
from chassis.core import logs
from chassis.core.caches import Memo
from media import ffmpeg_features
from media.allowlists import DECODERS, DEMUXERS, MAX_PIXELS
from media.faults import MediaFault, from_excess
from media.requirements import FfmpegFeatures

OnProgress = Callable[[float], None]
"""Called with the share of the work that is done, from 0 to 1; the values only grow."""

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
    # None of these alone keeps a disguised playlist from reading other files; the sandbox is the last defence.
    "protocol_whitelist": "file,pipe",
    "format_whitelist": ",".join(DEMUXERS),
    "codec_whitelist": ",".join(DECODERS),
    "max_pixels": MAX_PIXELS,
}
"""Options of every input that is a customer's file, as keywords of `ffmpeg.input`."""

_SIGXFSZ, _SIGSYS = 25, 31
# The exit status does not say whether the input is at fault; only the messages do, which are always English.
_INPUT_ERRORS = re.compile(
    r"Invalid data found|moov atom not found|Error while decoding|could not find codec parameters|"
    r"Decoder .* not found|Decoding requested, but no decoder|not in the whitelist|codec not on whitelist|"
    r"Cannot determine format|picture size|does not contain any stream|matches no streams",
    re.IGNORECASE,
)
_OUR_ERRORS = re.compile(
    r"Cannot allocate memory|Permission denied|Unknown encoder|Option .* not found|Unrecognized option|"
    r"No such filter|Error parsing|Input/output error|Read-only file system",
    re.IGNORECASE,
)
_STDERR_CHARS = 2000
log = logs.get_logger(__name__)
_inspected: Memo[Path, FfmpegFeatures] = Memo()


class FfmpegFailed(Exception):
    """ffmpeg failed for another reason than its input: a fault of ours; retried."""


def input_node(path: Path, **options: str | float | int | None) -> Any:
    """The graph node that reads a customer's file. `file:` keeps a name with a colon from being taken for a URL."""
    return graph.input(f"file:{path}", **INPUT_FLAGS, **options)


def command(stream: Any, program: str = "ffmpeg") -> list[str]:
    """The command line of an ffmpeg-python graph."""
    argv: list[str] = graph.compile(stream, cmd=[program, *GLOBAL_FLAGS])
    return argv


@cache
def binary() -> Path:
    """The ffmpeg program: `FFMPEG_BINARY` of the environment, otherwise the one that imageio-ffmpeg ships."""
    if named := os.environ.get("FFMPEG_BINARY"):
        return Path(named)
    import imageio_ffmpeg

    return Path(imageio_ffmpeg.get_ffmpeg_exe())


@dataclass(frozen=True)
class Ffmpeg:
    """One ffmpeg program. `filters` are the filters that it was built with, `env` is the environment of its runs."""

    path: Path
    filters: frozenset[str]
    env: dict[str, str]

    @property
    def tone_maps(self) -> bool:
        """Whether it can convert HDR to SDR."""
        return {"zscale", "tonemap"} <= self.filters

    async def run(
        self, argv: Sequence[str], limits: Limits, duration: float | None = None, on_progress: OnProgress | None = None
    ) -> Finished:
        """Runs a command line of `command` with this program. `duration` of the output in seconds scales the progress.

        Raises MediaFault for a fault of the input, FfmpegFailed for one of ours, and SandboxError.
        """
        progress = ProgressParser(duration, on_progress)
        command = [str(self.path), *argv[1:]]
        log.debug("ffmpeg_started", command=shlex.join(command))
        try:
            finished = await child.run(command, limits, on_stdout_line=progress.parse_line, env=self.env)
        except ChildExceeded as error:
            raise from_excess(error) from error
        log.debug("ffmpeg_ended", status=finished.returncode, stderr=finished.stderr_tail)
        if finished.returncode:
            raise failure_of(finished)
        return finished


async def find(env: dict[str, str] | None = None) -> Ffmpeg:
    """The ffmpeg to use, inspected once per process. Raises StartRefused if it lacks what we need."""
    path, environment = binary(), dict(env or {})
    features = await _inspected.get(path, lambda: ffmpeg_features.inspect(path, environment))
    return Ffmpeg(path, features.filters, environment)


def failure_of(finished: Finished) -> Exception:
    """The exception for a failed run, by its exit status and its last output (pure).

    A full disk is an outage of ours. Killed by a signal and an unknown argument are failures of ours; messages about
    the data are the input's. Messages that are not recognised count as ours: the job is retried, and fails as
    `internal_error` if they stay.
    """
    output = finished.stderr_tail
    if finished.returncode == -_SIGXFSZ or "File too large" in output:
        return MediaFault("output_too_large", detail=output)
    if finished.returncode == -_SIGSYS:
        # The sandbox's filter ended it: no version of ffmpeg makes such a system call, so that the input made it.
        return MediaFault("input_damaged", detail=f"killed for a forbidden system call: {output}")
    if finished.returncode > 0 and says_disk_full(output):
        return ChildDiskFull(output[-_STDERR_CHARS:])
    if finished.returncode > 0 and _INPUT_ERRORS.search(output) and not _OUR_ERRORS.search(output):
        truncated = "moov atom not found" in output
        return MediaFault("input_truncated" if truncated else "input_damaged", detail=output)
    return FfmpegFailed(f"ffmpeg exited with status {finished.returncode}: {output[-_STDERR_CHARS:]}")


class ProgressParser:
    """Parses the output of `-progress`. `duration` of the output in seconds; None where it is not known."""

    def __init__(self, duration: float | None, on_progress: OnProgress | None) -> None:
        self._duration = duration
        self._on_progress = on_progress
        self._counters: dict[str, int] = {}
        self._reported = 0.0

    def parse_line(self, line: str) -> bool:
        """Whether the line shows progress: the child is stopped as stalled when no such line comes for too long."""
        name, _, value = line.partition("=")
        # Both counters: audio may be written while no frame is, and the other way round.
        if name not in ("frame", "out_time_us"):
            return False
        try:
            counter = int(value)
        except ValueError:  # "N/A" before the first packet
            return False
        if counter <= self._counters.get(name, 0):
            return False
        self._counters[name] = counter
        if name == "out_time_us":
            self._report(counter / 1e6)
        return True

    def _report(self, seconds: float) -> None:
        if not self._duration or self._on_progress is None:
            return
        share = min(seconds / self._duration, 1.0)
        if share > self._reported:
            self._reported = share
            self._on_progress(share)
