"""Encodes one video from a local file to a checked local file. Called by the worker and by the shell's local mode."""

from pathlib import Path
from tempfile import TemporaryDirectory

from chassis.adapters.sandbox.limits import ChildCpuExceeded
from media.faults import MediaFault, OutputMismatch
from media.ffmpeg import OnProgress
from media.info import MediaInfo
from media.tools import Tools
from schemas.options import VideoOptions
from services.transcoder import errors
from services.transcoder.argv import argv
from services.transcoder.plan import Plan, plan

# How far the output's duration may be from the plan's: encoders pad audio, and the last frame has a duration.
_TOLERANCE_SECONDS = 0.5
_TOLERANCE_SHARE = 0.02


async def encode(
    source: Path,
    info: MediaInfo,
    options: VideoOptions,
    dest: Path,
    tools: Tools,
    on_progress: OnProgress | None = None,
) -> MediaInfo:
    """Encodes `source` to `dest` and returns the output's facts. `dest` appears complete and checked, or not at all.

    Raises MediaFault for a fault of the input; FfmpegFailed, OutputMismatch or SandboxError for one of ours.
    """
    todo = plan(options, info, tone_maps=tools.ffmpeg.tone_maps)
    # A folder beside `dest`, so on the same disk. It is the only one that the child may write to.
    with TemporaryDirectory(prefix=".bitmill-", dir=dest.parent) as scratch:
        unchecked = Path(scratch) / "output"
        limits = tools.limits.may(read=(source,), write=(Path(scratch),))
        try:
            await tools.ffmpeg.run(argv(todo, source, unchecked), limits, todo.length, on_progress)
        except ChildCpuExceeded as error:
            raise errors.too_much_work(limits.cpu_seconds) from error
        made = await _probe_output(unchecked, tools)
        check_output(made, todo)
        unchecked.replace(dest)
    return made


async def _probe_output(path: Path, tools: Tools) -> MediaInfo:
    # Links are refused: without Landlock in the kernel, a compromised child could have left one.
    if path.is_symlink() or not path.is_file() or not path.stat().st_size:
        raise errors.nothing_decoded()
    try:
        return await tools.prober.probe(path)
    except MediaFault as error:
        raise OutputMismatch(f"the output cannot be read: {error}") from error


def check_output(made: MediaInfo, planned: Plan) -> None:
    """Compares an output with its plan (pure): size, streams and format exactly, the duration with a tolerance.

    Raises MediaFault for an output that is too short, because the input was, and OutputMismatch for the rest. One that
    is longer than the input said it would be is right, up to the end that was asked for.
    """
    if made.display != planned.size:
        raise OutputMismatch(f"planned {planned.size}, got {made.display}")
    if bool(made.audio) != (planned.audio is not None):
        raise OutputMismatch(f"planned {'one' if planned.audio else 'no'} audio track, got {len(made.audio)}")
    if made.format != planned.format:
        raise OutputMismatch(f"planned {planned.format}, got {made.format}")
    seconds = made.duration or 0.0
    if planned.length is not None and seconds < planned.length - _tolerance(planned.length):
        raise errors.ended_early(seconds, planned.length)
    if planned.end is not None:
        longest = planned.end - (planned.start or 0)
        if seconds > longest + _tolerance(longest):
            raise OutputMismatch(f"planned {longest:.2f} s at most, got {seconds:.2f} s")


def _tolerance(seconds: float) -> float:
    return max(_TOLERANCE_SECONDS, seconds * _TOLERANCE_SHARE)
