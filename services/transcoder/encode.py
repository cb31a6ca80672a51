"""Encodes one video from a local file to a checked local file. Called by the worker and by the shell's local mode."""

import re
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from chassis.adapters.sandbox.limits import ChildCpuExceeded
from media.faults import MediaFault, OutputMismatch
from media.ffmpeg import FfmpegFailed, OnProgress
from media.info import MediaInfo
from media.tools import Tools
from schemas.faults import OutputWarning, output_warning
from schemas.options import VideoOptions
from services.transcoder import errors
from services.transcoder.argv import argv
from services.transcoder.plan import Plan, plan

# How far the output's duration may be from the plan's: encoders pad audio, and the last frame has a duration.
_TOLERANCE_SECONDS = 0.5
_TOLERANCE_SHARE = 0.02
# What ffmpeg says, as an error, of packets and frames that it could not decode.
_DAMAGE = re.compile(
    r"Invalid data found|Error submitting packet to decoder|error while decoding|concealing \d+|partial file|"
    r"corrupt|truncat|end of file|incomplete frame",
    re.IGNORECASE,
)
# What ffmpeg says of a track of the output that got nothing from a filter, and how it names one of sound.
_NOTHING_TO_ENCODE, _SOUND_ENCODER = "Could not open encoder before EOF", "[aost#"


@dataclass(frozen=True)
class EncodedVideo:
    """The facts of the file that was made, and what of the input is not in it."""

    info: MediaInfo
    warnings: tuple[OutputWarning, ...] = ()


async def encode(
    source: Path,
    info: MediaInfo,
    options: VideoOptions,
    dest: Path,
    tools: Tools,
    on_progress: OnProgress | None = None,
) -> EncodedVideo:
    """Encodes `source`, whose facts are `info`, to `dest`. `dest` appears complete and checked, or not at all.

    Raises MediaFault for a fault of the input; FfmpegFailed, OutputMismatch or SandboxError for one of ours.
    """
    todo = plan(options, info, tone_maps=tools.ffmpeg.tone_maps)
    if (todo.cut is not None or todo.limit is not None) and info.kind == "video" and not info.joined:
        content = await tools.prober.look_at_cut(source, info, options.start or 0.0, options.end)
        todo = plan(options, info, tone_maps=tools.ffmpeg.tone_maps, content=content)
    # A folder beside `dest`, so on the same disk. It is the only one that the child may write to.
    with TemporaryDirectory(prefix=".bitmill-", dir=dest.parent) as scratch:
        unchecked = Path(scratch) / "output"
        limits = tools.limits.may(read=(source,), write=(Path(scratch),))
        try:
            finished = await tools.ffmpeg.run(argv(todo, source, unchecked), limits, todo.length, on_progress)
        except ChildCpuExceeded as error:
            raise errors.too_much_work(limits.cpu_seconds) from error
        except FfmpegFailed as error:
            if _NOTHING_TO_ENCODE not in str(error):
                raise
            raise _nothing_decoded(info, todo, sound=_SOUND_ENCODER in str(error)) from error
        damaged = bool(_DAMAGE.search(finished.stderr_tail))
        made = await _probe_output(unchecked, info, todo, tools)
        if todo.audio is not None and not made.audio:
            raise _nothing_decoded(info, todo, sound=True)
        check_output(made, todo, damaged=damaged)
        unchecked.replace(dest)
    return EncodedVideo(made, _warnings(info, damaged=damaged or info.damaged))


def _warnings(info: MediaInfo, *, damaged: bool) -> tuple[OutputWarning, ...]:
    empty = info.empty_tracks and not info.audio
    return (
        *((output_warning("damage_skipped"),) if damaged else ()),
        *((output_warning("empty_sound_track"),) if empty else ()),
    )


async def _probe_output(path: Path, info: MediaInfo, planned: Plan, tools: Tools) -> MediaInfo:
    # Links are refused: without Landlock in the kernel, a compromised child could have left one.
    if path.is_symlink() or not path.is_file() or not path.stat().st_size:
        raise _nothing_decoded(info, planned, sound=False)
    try:
        made = await tools.prober.probe(path)
    except MediaFault as error:
        if planned.cut is not None:
            raise _nothing_decoded(info, planned, sound=False) from error
        raise OutputMismatch(f"the output cannot be read: {error}") from error
    if made.video is None:
        raise _nothing_decoded(info, planned, sound=False)
    return made


def _nothing_decoded(info: MediaInfo, planned: Plan, *, sound: bool) -> MediaFault:
    """Why a track of the output is empty, though the input has packets of it: the sound, or the picture."""
    track = info.main_audio()
    if sound and track is not None:
        return errors.sound_undecodable(track.codec)
    if planned.cut is not None:
        return errors.start_after_picture(planned.cut.seek + planned.cut.start, info.video.end if info.video else None)
    return errors.nothing_decoded()


def check_output(made: MediaInfo, planned: Plan, *, damaged: bool) -> None:
    """Compares an output with its plan (pure): size and format exactly, the duration with a tolerance.

    Raises MediaFault for an output that is too short because the input is `damaged`, and OutputMismatch for the rest.
    One that is longer than the input said it would be is right, up to the end that was asked for; one that is shorter,
    though everything was decoded, is all that there is.
    """
    if made.display != planned.size:
        raise OutputMismatch(f"planned {planned.size}, got {made.display}")
    if made.audio and planned.audio is None:
        raise OutputMismatch(f"planned no audio track, got {len(made.audio)}")
    if made.format != planned.format:
        raise OutputMismatch(f"planned {planned.format}, got {made.format}")
    seconds = made.duration or 0.0
    if damaged and planned.length is not None and seconds < planned.length - _tolerance(planned.length):
        raise errors.ended_early(seconds, planned.length)
    if planned.limit is not None and seconds > planned.limit + _tolerance(planned.limit):
        raise OutputMismatch(f"planned {planned.limit:.2f} s at most, got {seconds:.2f} s")


def _tolerance(seconds: float) -> float:
    return max(_TOLERANCE_SECONDS, seconds * _TOLERANCE_SHARE)
