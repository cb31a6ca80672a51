"""One encode, from a local file to a checked local file. The worker and the shell's local mode call the same."""

from pathlib import Path
from tempfile import TemporaryDirectory

from chassis.adapters.sandbox.errors import ChildTimedOut
from media.faults import MediaFault
from media.ffmpeg import OnProgress, with_paths
from media.info import MediaInfo
from media.tools import Tools
from schemas.options import VideoOptions
from services.transcoder import errors
from services.transcoder.argv import argv
from services.transcoder.plan import Plan, plan

# How far the output's duration may be from the plan's: encoders pad sound, and the last frame has to end somewhere.
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
    """Writes `dest` as `options` say, and returns its facts. `dest` appears whole and checked, or not at all.

    Raises MediaFault (the input's fault) or FfmpegFailed, OutputWrong, SandboxError (ours).
    """
    planned = plan(options, info, tone_maps=tools.ffmpeg.tone_maps)
    # A folder of its own beside `dest`: all that the child may write to, and on the same disk.
    with TemporaryDirectory(prefix=".bitmill-", dir=dest.parent) as private:
        unchecked = Path(private) / "output"
        limits = with_paths(tools.limits, read=source, write=Path(private))
        try:
            await tools.ffmpeg.run(argv(planned, source, unchecked), limits, planned.length, on_progress)
        except ChildTimedOut as error:
            raise errors.too_long(limits.wall) from error
        made = await _checked(unchecked, planned, tools)
        unchecked.replace(dest)
    return made


async def _checked(path: Path, planned: Plan, tools: Tools) -> MediaInfo:
    # Never through a link: where the kernel has no Landlock, a child that was taken over could have left one.
    if path.is_symlink() or not path.is_file() or not path.stat().st_size:
        raise MediaFault("input_unreadable", "Not one frame of the input could be decoded.")
    try:
        made = await tools.prober.probe(path)
    except MediaFault as error:
        raise errors.OutputWrong(f"what was written cannot be read back: {error}") from error
    return judge(made, planned)


def judge(made: MediaInfo, planned: Plan) -> MediaInfo:
    """Whether an output is what was planned (pure): its size and streams exactly, its duration nearly."""
    if made.display != planned.size:
        raise errors.OutputWrong(f"asked for {planned.size}, got {made.display}")
    if bool(made.audio) != (planned.sound is not None):
        raise errors.OutputWrong(f"{len(made.audio)} audio tracks came out")
    if made.format != planned.format:
        raise errors.OutputWrong(f"asked for {planned.format}, got {made.format}")
    if planned.length is not None:
        seconds = made.duration or 0.0
        if abs(seconds - planned.length) > max(_TOLERANCE_SECONDS, planned.length * _TOLERANCE_SHARE):
            if seconds < planned.length:
                raise errors.ended_early(seconds, planned.length)
            raise errors.OutputWrong(f"asked for {planned.length:.2f} s, got {seconds:.2f} s")
    return made
