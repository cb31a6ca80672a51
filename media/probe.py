"""Probes a file inside the sandbox and validates the result: `MediaInfo`, or the customer's fault.

Needs no ffmpeg program: probing is all that ingest does.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from chassis.adapters.sandbox import child
from chassis.adapters.sandbox.fork_server import ForkServer
from chassis.adapters.sandbox.limits import GIB, ChildCpuExceeded, ChildDied, ChildExceeded, Limits
from chassis.core.caches import Memo
from chassis.core.settings import StartRefused
from media import geometry, requirements
from media.allowlists import MAX_FPS, MAX_IMAGE_PIXELS, MAX_PAGES, MAX_PIXELS, MAX_SECONDS, MAX_STREAMS
from media.faults import MediaFault, from_child, from_excess
from media.formats import FORMATS
from media.image_signatures import HEAD_BYTES, is_image
from media.info import MAX_CHANNELS, MAX_SAMPLE_RATE, CutContent, MediaInfo

PROBE_LIMITS = Limits(memory_bytes=4 * GIB, cpu_seconds=30, file_bytes=0, wall=timedelta(minutes=10))
IMAGE_HEADER_CPU_SECONDS = 3
"""For the facts of an image. The headers of ordinary ones take less than 0.1 s; 60 KB of EXIF whose directories refer
to themselves take 20 s, and 30 MB of a colour profile in AVIF as long."""

# Signals of a decoder that its input crashes: SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV.
_CRASH_SIGNALS = frozenset({4, 6, 7, 8, 11})
_LIBRARY_ENV: Mapping[str, str] = {
    # Turns off the loaders that libvips itself marks as unfit for untrusted input (SVG, PDF, ImageMagick …).
    "VIPS_BLOCK_UNTRUSTED": "1",
    "OMP_NUM_THREADS": "1",
}

_library_facts: Memo[str, dict[str, Any]] = Memo()


class Prober:
    """Probes files through a fork server."""

    def __init__(
        self,
        fork_server: ForkServer,
        limits: Limits = PROBE_LIMITS,
        *,
        image_cpu_seconds: int = IMAGE_HEADER_CPU_SECONDS,
    ) -> None:
        self._fork_server = fork_server
        self._limits = limits
        self._image_limits = replace(limits, cpu_seconds=min(limits.cpu_seconds, image_cpu_seconds))

    async def probe(self, path: Path) -> MediaInfo:
        """The facts of a file. Raises MediaFault for a fault of the file, SandboxError for one of ours."""
        # What kind of file it is decides about time only: the sandbox looks for itself.
        limits = self._image_limits if is_image(await asyncio.to_thread(_head, path)) else self._limits
        return to_media_info(await self._call("media.sandbox_probe:probe", path, {}, limits))

    async def look_at_cut(self, path: Path, info: MediaInfo, start: float, end: float | None) -> CutContent:
        """What a film holds between two of its seconds. Raises as `probe` does."""
        track = info.main_audio()
        args = {
            "video": info.video.index if info.video else 0,
            "sound": track.index if track else None,
            "start": start,
            "end": end,
        }
        return CutContent.model_validate(await self._call("media.sandbox_cut:look_at_cut", path, args, self._limits))

    async def _call(self, function: str, path: Path, args: dict[str, Any], limits: Limits) -> Any:
        limits = limits.may(read=(path,))
        return await call_in_sandbox(self._fork_server, function, {"path": str(path), **args}, limits)


async def call_in_sandbox(fork_server: ForkServer, function: str, args: dict[str, Any], limits: Limits) -> Any:
    """What a function returns that reads an untrusted file. Raises MediaFault for a fault of the file, SandboxError for
    one of ours."""
    try:
        return await fork_server.call(function, args, limits)
    except ChildCpuExceeded as error:
        raise MediaFault(
            "input_limits_exceeded", "The input takes too much processor time to read.", detail=str(error)
        ) from error
    except ChildExceeded as error:
        raise from_excess(error) from error
    except ChildDied as error:
        if error.signal in _CRASH_SIGNALS:
            raise MediaFault("input_damaged", detail=str(error)) from error
        raise


def _head(path: Path) -> bytes:
    """The first bytes; none of a file that cannot be read, which the call finds out."""
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""


def child_environment(workdir: Path) -> dict[str, str]:
    """The environment of every child: the variable by which the orphans of a killed process are recognised."""
    return {child.CHILD_ENV_VAR: os.environ.get(child.CHILD_ENV_VAR) or str(workdir)}


@asynccontextmanager
async def open_fork_server(workdir: Path, *, preload: Sequence[str] = ()) -> AsyncIterator[ForkServer]:
    """A fork server that has loaded what probing needs, and the modules `preload`. Creates the folder `workdir`.

    Raises StartRefused if the libraries cannot be loaded or lack what we need; that is checked once per process.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    env = {**_LIBRARY_ENV, **child_environment(workdir)}
    modules = ("media.library_check", "media.sandbox_cut", "media.sandbox_strip.run", *preload)
    async with AsyncExitStack() as stack:
        try:
            fork_server = await stack.enter_async_context(
                ForkServer("media.sandbox_probe", modules, fault=from_child, env=env)
            )
            facts = await _library_facts.get("", lambda: _check_libraries(fork_server))
        except ChildDied as error:
            raise StartRefused(requirements.libraries_unusable(str(error))) from error
        if problem := requirements.library_problem(facts):
            raise StartRefused(problem)
        yield fork_server


async def _check_libraries(fork_server: ForkServer) -> dict[str, Any]:
    args = {"decoders": requirements.DECODERS, "demuxers": requirements.DEMUXERS}
    facts: dict[str, Any] = await fork_server.call("media.library_check:check", args, PROBE_LIMITS)
    return facts


def to_media_info(facts: dict[str, Any]) -> MediaInfo:
    """The facts that the sandbox reported, checked against the limits (pure). They are as untrusted as the file.

    What a header may declare and no player can show is ignored, as players do: an absurd sample aspect or frame rate,
    a duration below 0, an audio track without channels. What is beyond a limit of ours is a fault that says so.
    """
    try:
        facts = _without_absurd_values(facts)
        coded = tuple(int(side) for side in facts.pop("coded", ()))
        _check_limit("streams", facts.pop("streams", 1), MAX_STREAMS)
        _check_limit("seconds", facts.get("duration") or 0, MAX_SECONDS)
        most_pixels = MAX_IMAGE_PIXELS if facts.get("kind") == "image" else MAX_PIXELS
        _check_limit("pixels", coded[0] * coded[1] if coded else 0, most_pixels)
        info = MediaInfo.model_validate({**facts, "content_type": FORMATS[facts["format"]].content_type})
    except (ValidationError, LookupError, TypeError, ValueError) as error:
        raise MediaFault("input_unreadable", detail=str(error)) from error
    if info.image is not None:
        _check_limit("frames", info.image.pages, MAX_PAGES)
    info = _with_used_duration(info)
    return _with_display_size(info, (coded[0], coded[1])) if coded else info


def _with_used_duration(info: MediaInfo) -> MediaInfo:
    """The duration of a film is that of the tracks that are used; a second sound track may be longer."""
    track = info.main_audio()
    if info.kind != "video" or info.video is None or info.video.end is None:
        return info
    ends = [info.video.end, *([track.end] if track is not None and track.end is not None else [])]
    return MediaInfo.model_validate({**dict(info), "duration": max(ends) or None})


def _with_display_size(info: MediaInfo, coded: tuple[int, int]) -> MediaInfo:
    sar = info.sar if geometry.is_plausible_aspect(coded, info.sar) else 1.0
    if info.image is not None:
        size = geometry.oriented(coded, info.image.orientation)
    else:
        size = geometry.display_size(coded, sar, info.rotation)
    # Validated, unlike with `model_copy`: these numbers go into events.
    return MediaInfo.model_validate({**dict(info), "sar": sar, "width": size.width, "height": size.height})


def _without_absurd_values(facts: dict[str, Any]) -> dict[str, Any]:
    duration, fps = facts.get("duration"), facts.get("fps")
    cleaned = {
        **facts,
        "duration": duration if duration is not None and duration > 0 else None,
        "fps": fps if fps is not None and 0 < fps <= MAX_FPS else None,
    }
    if "audio" in facts:
        cleaned["audio"] = [track for track in facts["audio"] if _is_playable(track)]
        if facts["kind"] == "audio" and not cleaned["audio"]:
            raise ValueError("no audio track has channels and a sample rate")
    return cleaned


def _is_playable(track: dict[str, Any]) -> bool:
    return bool(1 <= track["channels"] <= MAX_CHANNELS and 1 <= track["sample_rate"] <= MAX_SAMPLE_RATE)


def _check_limit(what: str, value: float, limit: int) -> None:
    if value > limit:
        raise MediaFault("input_limits_exceeded", f"The input has {value:.0f} {what}; at most {limit} are allowed.")
