"""Asks an ffmpeg program what it was built with: its version, codecs, formats and filters."""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from chassis.adapters.sandbox import child
from chassis.adapters.sandbox.limits import Limits, SandboxError
from chassis.core.settings import StartRefused
from media import requirements
from media.requirements import FfmpegFeatures

_LIMITS = replace(Limits(), wall=timedelta(seconds=60), cpu_seconds=20)
_VERSION = re.compile(r"^ffmpeg version (\S+)", re.MULTILINE)
_LIBAVCODEC = re.compile(r"^libavcodec +(\d+)\. *(\d+)\. *(\d+)", re.MULTILINE)
_CODEC = re.compile(r"^ ([D.])([E.])\S{4} ([\w.-]+)(.*)$", re.MULTILINE)
_FORMAT = re.compile(r"^ ([D ])([E ])[d ]? +(\S+) ", re.MULTILINE)
_FILTER = re.compile(r"^ [T.][S.][C.]? +(\S+) +\S*->\S* ", re.MULTILINE)


class RunProgram(Protocol):
    """Runs a program until it ends: `child.run`."""

    async def __call__(
        self, argv: Sequence[str], limits: Limits, *, env: Mapping[str, str] | None = None
    ) -> child.Finished: ...


async def inspect(path: Path, env: Mapping[str, str], run: RunProgram = child.run) -> FfmpegFeatures:
    """The features of the program, which is run four times, about 20 ms each. Raises StartRefused if it lacks any."""
    # All at once: each run mostly waits for its confined process to start.
    version, codecs, formats, filters = await asyncio.gather(
        *(_output(run, path, argument, env) for argument in ("-version", "-codecs", "-formats", "-filters"))
    )
    features = parse(version, codecs, formats, filters)
    problem = requirements.ffmpeg_problem(path, features)
    if problem is not None:
        raise StartRefused(problem)
    return features


def parse(version: str, codecs: str, formats: str, filters: str) -> FfmpegFeatures:
    """The features in the outputs of `-version`, `-codecs`, `-formats` and `-filters` (pure)."""
    named = _VERSION.search(version)
    libavcodec = _LIBAVCODEC.search(version)
    return FfmpegFeatures(
        version=named[1] if named else "",
        libavcodec=tuple(int(part) for part in libavcodec.groups()) if libavcodec else (),
        encoders=frozenset(_coders(codecs, "encoders")),
        decoders=frozenset(_coders(codecs, "decoders")),
        muxers=frozenset(
            name for _, muxes, names in _FORMAT.findall(formats) if muxes == "E" for name in names.split(",")
        ),
        demuxers=frozenset(
            name for reads, _, names in _FORMAT.findall(formats) if reads == "D" for name in names.split(",")
        ),
        filters=frozenset(_FILTER.findall(filters)),
    )


def _coders(codecs: str, kind: str) -> Iterator[str]:
    """The names of encoders or decoders: those in parentheses, or else one with the name of the codec."""
    for decodes, encodes, codec, rest in _CODEC.findall(codecs):
        listed = re.search(rf"\({kind}: ([^)]*)\)", rest)
        if listed:
            yield from listed[1].split()
        elif (decodes if kind == "decoders" else encodes) != ".":
            yield codec


async def _output(run: RunProgram, path: Path, argument: str, env: Mapping[str, str]) -> str:
    try:
        finished = await run([str(path), "-hide_banner", argument], _LIMITS, env=env)
    except (SandboxError, OSError) as error:
        raise StartRefused(requirements.ffmpeg_unusable(path, str(error))) from error
    if finished.returncode:
        reason = finished.stderr_tail.splitlines()[-1:] or [f"it exited with status {finished.returncode}"]
        raise StartRefused(requirements.ffmpeg_unusable(path, reason[0]))
    return finished.stdout.decode("utf-8", "replace")
