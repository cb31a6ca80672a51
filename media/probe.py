"""Asks the sandbox what a file is, and gives the verdict: facts, or the customer's fault."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from chassis.adapters.sandbox.errors import ChildDied, ChildTimedOut
from chassis.adapters.sandbox.fork_server import ForkServer
from chassis.adapters.sandbox.limits import GIB, Limits
from media import geometry
from media.allowlists import MAX_PAGES, MAX_PIXELS, MAX_SECONDS, MAX_STREAMS
from media.faults import MediaFault
from media.formats import FORMATS
from media.info import MediaInfo

PROBE_LIMITS = Limits(memory_bytes=4 * GIB, cpu_seconds=30, file_bytes=0, wall=timedelta(seconds=60))

# Signals by which a decoder dies of its input: bad instruction, abort, bus error, arithmetic, bad memory, CPU time.
_CRASHES = frozenset({4, 6, 7, 8, 11, 24})


class Prober:
    """Probes files through a warm server."""

    def __init__(self, warm: ForkServer, limits: Limits) -> None:
        self._warm = warm
        self._limits = limits

    async def probe(self, path: Path) -> MediaInfo:
        """The facts of a file. Raises MediaFault, or SandboxError where the failure is ours."""
        limits = self._limits.may(read=(path,))
        try:
            facts = await self._warm.call("media.sandbox_probe:look", {"path": str(path)}, limits)
        except ChildTimedOut as error:
            raise MediaFault("input_limits_exceeded", "The input takes too long to read.", detail=str(error)) from error
        except ChildDied as error:
            if error.signal in _CRASHES:
                raise MediaFault("input_unreadable", detail=str(error)) from error
            raise
        return judge(facts)


def judge(facts: dict[str, Any]) -> MediaInfo:
    """The verdict on what the sandbox told (pure). What it told is untrusted too: it is validated."""
    try:
        coded = tuple(int(side) for side in facts.pop("coded", ()))
        _bounded("streams", facts.pop("streams", 1), MAX_STREAMS)
        _bounded("seconds", facts.get("duration") or 0, MAX_SECONDS)
        _bounded("pixels", coded[0] * coded[1] if coded else 0, MAX_PIXELS)
        info = MediaInfo.model_validate({**facts, "content_type": FORMATS[facts["format"]].content_type})
    except (ValidationError, LookupError, TypeError, ValueError) as error:
        raise MediaFault("input_unreadable", detail=str(error)) from error
    if info.image is not None:
        _bounded("frames", info.image.pages, MAX_PAGES)
    return _sized(info, (coded[0], coded[1])) if coded else info


def _sized(info: MediaInfo, coded: tuple[int, int]) -> MediaInfo:
    if info.image is not None:
        size = geometry.oriented(coded, info.image.orientation)
    else:
        size = geometry.display_size(coded, info.sar, info.rotation)
    return info.model_copy(update={"width": size.width, "height": size.height})


def _bounded(what: str, seen: float, allowed: int) -> None:
    if seen > allowed:
        raise MediaFault("input_limits_exceeded", f"The input has {seen:.0f} {what}; at most {allowed} are allowed.")
