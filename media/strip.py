"""Removes tags of place, time and device from a file in the sandbox, and checks that it is shown as before."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from chassis.adapters.sandbox.fork_server import ForkServer
from chassis.adapters.sandbox.limits import Limits
from media.faults import MediaFault, tags_unremovable
from media.info import MediaInfo
from media.probe import PROBE_LIMITS, Prober, call_in_sandbox

STRIP_CPU_SECONDS = 120
STRIP_WALL = timedelta(minutes=30)
_MARGIN_BYTES = 1024 * 1024
_SAME_SECONDS = 0.1
_CHANGED = "Without its tags the file would not be shown as it is now."


class TagRemover:
    """Removes the tags of files through a fork server."""

    def __init__(self, fork_server: ForkServer, prober: Prober, limits: Limits = PROBE_LIMITS) -> None:
        self._fork_server = fork_server
        self._prober = prober
        self._limits = limits

    async def strip(self, path: Path, info: MediaInfo) -> MediaInfo:
        """Removes the tags of the file at `path`, whose facts are `info`; returns its facts afterwards.

        The file lies alone in its folder, which the child may write to. Pixels, packets and what is needed to show them
        stay as they are. Raises MediaFault where the tags cannot be removed, SandboxError for a fault of ours.
        """
        new = path.with_name("stripped")
        limits = Limits(
            memory_bytes=self._limits.memory_bytes,
            cpu_seconds=STRIP_CPU_SECONDS,
            file_bytes=2 * info.filesize + _MARGIN_BYTES,
            wall=STRIP_WALL,
        ).may(read=(path,), write=(path.parent,))
        args = {"path": str(path), "dest": str(new), "format": info.format}
        if await call_in_sandbox(self._fork_server, "media.sandbox_strip.run:strip", args, limits):
            new.replace(path)
        try:
            after = await self._prober.probe(path)
        except MediaFault as fault:
            raise tags_unremovable(_CHANGED, detail=f"{fault.kind} after its tags were removed") from fault
        if changed := changes(info, after):
            raise tags_unremovable(_CHANGED, detail=f"other facts without tags: {changed}")
        return after


def changes(before: MediaInfo, after: MediaInfo) -> list[str]:
    """Which facts differ, of those that say how a file is shown (pure). The number of bytes and of streams may."""
    old, new = _shown(before), _shown(after)
    differing = [name for name in old if old[name] != new[name]]
    lengths = (before.duration or 0.0, after.duration or 0.0)
    if abs(lengths[0] - lengths[1]) > _SAME_SECONDS:
        differing.append("duration")
    return differing


def _shown(info: MediaInfo) -> dict[str, Any]:
    changing = {"index", "start", "end", "language", "frames", "uneven", "default"}
    facts = info.model_dump(exclude={"filesize", "duration", "fps", "video", "audio"})
    video = info.video.model_dump(exclude=changing) if info.video else None
    return {**facts, "video": video, "audio": [track.model_dump(exclude=changing) for track in info.audio]}
