"""Runs in the sandbox only: reads packets for what headers do not tell, or tell wrongly. Decodes one frame at most.

Headers are wrong where a recorder was broken off, where files were joined, and where a stream that is not used (a
second sound track, subtitles) is longer than the others.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import av
import av.error

from media.faults import MediaFault

_MAX_PACKETS = 300_000
"""About an hour of film with sound, or a second of processor time. Of what is longer the headers are believed."""
_FIRST_FRAME_PACKETS = 1000
_TAIL_SECONDS = 5.0
_STEP_SECONDS = 0.05
# The steps backwards and forwards that ffmpeg takes for a restart of the clock: see `ts_discontinuity_process`.
_STEP_BACK, _STEP_FORWARD = 0.1, 10.0


@dataclass
class Timeline:
    """Of one stream, in seconds of the file: the last two frames' times, the end of what was read; `restarts` counts
    how often its clock started again, as in files that were joined."""

    packets: int = 0
    last: float | None = None
    previous: float | None = None
    end: float | None = None
    restarts: int = 0
    _decoded_at: float | None = None
    _shift: float = 0.0

    def add(self, packet: Any, base: float, *, joined: bool) -> None:
        """`base` is the time of the file's start; with `joined` the clock may start again."""
        self.packets += 1
        tick = float(packet.time_base)
        duration = (packet.duration or 0) * tick
        shown = packet.pts if packet.pts is not None else packet.dts
        if shown is None:
            return
        time = shown * tick - base
        if joined:
            decoded = (packet.dts if packet.dts is not None else shown) * tick - base
            before = self._decoded_at
            if before is not None and not before - _STEP_BACK <= decoded <= before + _STEP_FORWARD:
                self.restarts += 1
                self._shift += before + duration - decoded
            self._decoded_at = decoded
            time += self._shift
        if self.last is None or time > self.last:
            self.previous, self.last = self.last, time
        elif time < self.last and (self.previous is None or time > self.previous):
            self.previous = time
        self.end = max(time + duration, self.end if self.end is not None else time)


@dataclass
class Reading:
    """What one pass over a file found: a timeline for each stream by its index; whether the end was reached; the first
    frame that could be decoded, and how many packets before it could not."""

    timelines: dict[int, Timeline] = field(default_factory=dict)
    complete: bool = False
    frame: Any = None
    damaged: int = 0

    @property
    def restarts(self) -> int:
        return max((line.restarts for line in self.timelines.values()), default=0)

    def has_packets(self, index: int) -> bool:
        """False if the stream holds no packet; True also where it is not known."""
        return not self.complete or self.timelines[index].packets > 0


def read_packets(container: Any, video: Any, tracks: list[Any], *, to_end: bool, joined: bool) -> Reading:
    """Reads from the start: up to the first frame of `video` and one packet of each track, or `to_end` of the file.

    Raises MediaFault for a video of which no frame can be decoded.
    """
    streams = [stream for stream in (video, *tracks) if stream is not None]
    reading = Reading({stream.index: Timeline() for stream in streams})
    awaited = {track.index for track in tracks}
    base = start_of(container)
    for number, packet in enumerate(_packets(container, streams)):
        index = packet.stream.index
        if packet.size:
            reading.timelines[index].add(packet, base, joined=joined)
            awaited.discard(index)
        if video is not None and index == video.index and reading.frame is None:
            _decode(packet, reading)
        if not to_end and not awaited and (video is None or reading.frame is not None):
            break
        if number >= _MAX_PACKETS:
            break
    else:
        reading.complete = True
    if video is not None and reading.frame is None:
        raise MediaFault("input_damaged", "Not one frame of the input could be decoded.")
    return reading


def read_last_packets(container: Any, streams: list[Any], near: float | None) -> Reading | None:
    """What lies after the last key frame before `near` seconds (the declared end); None if that is too much."""
    reading = Reading({stream.index: Timeline() for stream in streams})
    base = start_of(container)
    try:
        container.seek(round((max((near or 0) - _TAIL_SECONDS, 0) + base) * av.time_base))
    except av.error.FFmpegError:
        return None
    for number, packet in enumerate(_packets(container, streams)):
        if packet.size:
            reading.timelines[packet.stream.index].add(packet, base, joined=False)
        if number >= _MAX_PACKETS:
            return None
    return reading


def start_of(container: Any) -> float:
    """The time of the file's start, by which ffmpeg counts seconds of the input."""
    return float(container.start_time or 0) / av.time_base


def is_uneven(previous: float | None, last: float, end: float) -> bool:
    """Whether a last frame, shown from `last` to `end`, stands for a clearly different time than the one before it."""
    return previous is None or abs((end - last) - (last - previous)) > _STEP_SECONDS


def _packets(container: Any, streams: list[Any]) -> Iterable[Any]:
    """The packets up to the end, or up to where the file cannot be read further."""
    try:
        yield from container.demux(*streams)
    except av.error.FFmpegError:
        return


def _decode(packet: Any, reading: Reading) -> None:
    try:
        frames = packet.decode()
    except av.error.FFmpegError:
        reading.damaged += 1
        frames = []
    if frames:
        reading.frame = frames[0]
    elif reading.timelines[packet.stream.index].packets > _FIRST_FRAME_PACKETS:
        raise MediaFault("input_damaged", "The picture's first thousand packets hold no frame that can be decoded.")
