"""Runs in the sandbox only: what a file holds at some second. Reads packets, decodes none."""

from collections.abc import Iterator
from typing import Any

import av
import av.error

from media.sandbox_packets import is_uneven, start_of
from media.sandbox_streams import opened

_MAX_PACKETS = 100_000
_PREROLL_SECONDS = 10.0
"""How far before that second reading begins in formats without an index of key frames: a seek may land anywhere."""
_WITHOUT_INDEX = frozenset({"mpegts", "mpeg"})
_REORDER_PACKETS = 32
"""How many packets after the second may still be of frames before it: more than any codec reorders."""


def look_at_cut(path: str, video: int, sound: int | None, start: float, end: float | None) -> dict[str, Any]:
    """The fields of `CutContent` for the part of a file between two seconds; `video` and `sound` are its streams."""
    with opened(path) as container:
        content: dict[str, Any] = {"sound": sound is not None and _has_packets(container, sound, start, end)}
        if start > 0:
            content["shown"], _, content["seek"] = _frame_at(container, video, start)
        if end is not None:
            last, previous, _ = _frame_at(container, video, end)
            content["uneven"] = last is not None and is_uneven(previous, last, end)
        return content


def _frame_at(container: Any, stream: int, second: float) -> tuple[float | None, float | None, float | None]:
    """When the frame that is shown at a second begins, the one before it, and a key frame before them."""
    preroll = _PREROLL_SECONDS if container.format.name in _WITHOUT_INDEX else 0.0
    times: list[float] = []
    key: float | None = None
    late = 0
    for time, packet in _from(container, stream, second - preroll):
        if time > second:
            late += 1
        else:
            times = sorted((*times, time))[-2:]
            if packet.is_keyframe:
                key = time
        if late > _REORDER_PACKETS:
            break
    if not times or key is None:
        return None, None, None
    return times[-1], times[-2] if len(times) > 1 else None, min(key, times[-1])


def _has_packets(container: Any, stream: int, start: float, end: float | None) -> bool:
    for time, packet in _from(container, stream, start):
        lasts = (packet.duration or 0) * float(packet.time_base)
        if time + lasts > start and (end is None or time < end):
            return True
        if end is not None and time > end + _PREROLL_SECONDS:
            break
    return False


def _from(container: Any, index: int, start: float) -> Iterator[tuple[float, Any]]:
    """The packets from the last key frame before `start` on, and their times in seconds of the file."""
    stream, base = container.streams[index], start_of(container)
    try:
        container.seek(round((max(start, 0.0) + base) * av.time_base))
        for number, packet in enumerate(container.demux(stream)):
            if number > _MAX_PACKETS:
                return
            if packet.size and packet.pts is not None:
                yield packet.pts * float(packet.time_base) - base, packet
    except av.error.FFmpegError:
        return
