"""Runs in the sandbox only: the facts of a file of streams, sound or film, as plain JSON. Does not check limits."""

import ctypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import av
import av.subtitles.stream  # loaded here once, because `av.open` would load it in each call
from av.stream import Disposition

from media.allowlists import DECODERS, DEMUXERS, MAX_PIXELS
from media.colour import MATRICES, PRIMARIES, RANGES, TRANSFERS
from media.faults import MediaFault
from media.formats import container_format
from media.sandbox_packets import Reading, is_uneven, read_last_packets, read_packets, start_of

_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": ",".join(DEMUXERS),
    "codec_whitelist": ",".join(DECODERS),
    "probesize": "5000000",
    "analyzeduration": "5000000",
    "max_streams": "1000",
}
# Decoders whose name differs from the codec's.
_CODEC_NAMES = {
    "libdav1d": "av1",
    "libaom-av1": "av1",
    "libvpx": "vp8",
    "libvpx-vp9": "vp9",
    "mp3float": "mp3",
    "mp2float": "mp2",
}
# Recordings of these formats are joined with `cat`, and have no header that tells a duration.
_JOINED = frozenset({"mpegts", "mpeg"})
_PACKED_ALPHA = {"argb": 0, "abgr": 0, "rgba": 3, "bgra": 3}
"""The place of the transparency among the four bytes of a pixel."""


@contextmanager
def opened(path: str) -> Iterator[Any]:
    """The file, through the allowlists. Tags that are not UTF-8 are no reason to refuse it."""
    with av.open(f"file:{path}", options=_OPTIONS, metadata_errors="replace") as container:
        yield container


def probe_streams(path: str, head: bytes, *, fragmented: bool) -> dict[str, Any]:
    """The fields of `MediaInfo` of a file that is no image. Raises MediaFault where nothing of it can be decoded."""
    with opened(path) as container:
        videos = [stream for stream in container.streams.video if not _is_cover(stream)]
        tracks = [stream for stream in container.streams.audio if _allowed(stream)]
        refused = [_title(stream) for stream in container.streams.audio if not _allowed(stream)]
        main = _main_video(videos)
        if main is not None and not _allowed(main):
            raise _unsupported("picture", _title(main))
        if main is None and not tracks:
            raise _unsupported("sound", refused[0]) if refused else MediaFault("input_unreadable")
        brand = "webm" if b"webm" in head else str(container.metadata.get("major_brand", ""))
        facts: dict[str, Any] = {
            "kind": "audio" if main is None else "video",
            "format": container_format(container.format.name, brand, has_video=main is not None),
            "streams": len(container.streams),
            "duration": container.duration / av.time_base if container.duration else None,
            "unsupported_audio": refused[0] if refused and not tracks else None,
        }
        if main is None:
            return facts | _sound(container, tracks)
        if main.codec_context.width * main.codec_context.height > MAX_PIXELS:
            # Reported before anything is decoded: a decompression bomb is a few bytes that declare a huge size.
            return facts | _sizes(main, main.codec_context.width, main.codec_context.height, None)
        return facts | _film(container, main, tracks, fragmented=fragmented)


def _unsupported(what: str, codec: str) -> MediaFault:
    """The fault of a codec off the allowlist; `what` is `picture` or `sound`."""
    return MediaFault("input_codec_unsupported", f"The {what} is in {codec}, a codec that is not supported.")


def _sound(container: Any, tracks: list[Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {"audio": [_audio(track, None) for track in tracks]}
    if not container.duration:
        reading = read_packets(container, None, tracks[:1], to_end=True, joined=False)
        facts["duration"] = reading.timelines[tracks[0].index].end
    return facts


def _film(container: Any, main: Any, tracks: list[Any], *, fragmented: bool) -> dict[str, Any]:
    joined = container.format.name in _JOINED
    to_end = joined or fragmented or not container.duration
    # With threads the decoder needs more packets before the first frame comes out.
    main.codec_context.thread_count = 1
    reading = read_packets(container, main, tracks, to_end=to_end, joined=joined)
    heard = [track for track in tracks if reading.has_packets(track.index)]
    ends, last = _ends(container, main, heard, reading)
    return {
        **_sizes(main, reading.frame.width, reading.frame.height, reading.frame),
        "audio": [{**_audio(track, ends.get(track.index)), "start": _start(container, track)} for track in heard],
        "empty_tracks": len(tracks) - len(heard),
        "joined": reading.restarts > 0,
        "damaged": reading.damaged > 0,
        **_video(container, main, reading.frame, ends.get(main.index), last),
    }


def _ends(container: Any, main: Any, tracks: list[Any], reading: Reading) -> tuple[dict[int, float], Reading]:
    """Where each stream ends, in seconds of the file, and the reading that knows the last frames."""
    streams = [main, *tracks]
    declared = {}
    if container.format.name.startswith("mov"):
        # Its index has every sample, so that these numbers hold; also the time for which the last frame stands.
        base = start_of(container)
        for stream in streams:
            if stream.duration and stream.duration > 0:
                end = float(((stream.start_time or 0) + stream.duration) * stream.time_base) - base
                declared[stream.index] = end
    if not reading.complete:
        near = declared.get(main.index, container.duration / av.time_base if container.duration else None)
        found = read_last_packets(container, streams, near)
        if found is None:
            return declared, reading
        reading = found
    read_ends = {index: line.end for index, line in reading.timelines.items() if line.end is not None}
    return {**read_ends, **({} if reading.complete else declared)}, reading


def _allowed(stream: Any) -> bool:
    return stream.codec_context is not None and stream.codec_context.name in DECODERS


def _title(stream: Any) -> str:
    """The codec's name for people."""
    if stream.codec_context is None:
        return "an unknown format"
    return str(stream.codec_context.codec.long_name or stream.codec_context.name)


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _main_video(videos: list[Any]) -> Any:
    """The stream with the default disposition, otherwise the first; the same rule as for audio. None without any."""
    default = [stream for stream in videos if stream.disposition & Disposition.default]
    return next(iter(default or videos), None)


def _first_known(names: Mapping[int, str], *codes: Any) -> str | None:
    for code in codes:
        if code is not None and int(code) in names:
            return names[int(code)]
    return None


def _video(container: Any, stream: Any, frame: Any, end: float | None, last: Reading) -> dict[str, Any]:
    """Facts of the video stream; some are known only by its first frame (rotation)."""
    codec = stream.codec_context
    shape = codec.format
    rate = stream.average_rate or stream.guessed_rate
    video = {
        "index": stream.index,
        "codec": _CODEC_NAMES.get(codec.name, codec.name),
        "coded_width": frame.width,
        "coded_height": frame.height,
        "pix_fmt": shape.name,
        "matrix": _first_known(MATRICES, frame.colorspace, codec.colorspace),
        "range": _first_known(RANGES, frame.color_range, codec.color_range),
        "primaries": _first_known(PRIMARIES, codec.color_primaries, frame.color_primaries),
        "transfer": _first_known(TRANSFERS, codec.color_trc, frame.color_trc),
        "bits": max(part.bits for part in shape.components),
        "rgb": bool(shape.is_rgb or shape.has_palette),
        "alpha": _has_alpha(container, stream, frame),
        "interlaced": bool(frame.interlaced_frame),
        "frames": stream.frames or None,
        "start": _start(container, stream),
        "end": end,
        "uneven": _is_uneven(stream, end, last),
    }
    return {"fps": float(rate) if rate else None, "video": video}


def _start(container: Any, stream: Any) -> float:
    return max(float((stream.start_time or 0) * stream.time_base) - start_of(container), 0.0)


def _has_alpha(container: Any, stream: Any, frame: Any) -> bool:
    if stream.metadata.get("alpha_mode") == "1":
        return True
    if not any(part.is_alpha for part in stream.codec_context.format.components):
        return False
    # Of 32 bits a pixel AVI does not say whether the last 8 are used; screen recorders leave them at 0.
    place = _PACKED_ALPHA.get(frame.format.name)
    return container.format.name != "avi" or place is None or any(bytes(frame.planes[0])[place::4])


def _is_uneven(stream: Any, end: float | None, reading: Reading) -> bool:
    line = reading.timelines[stream.index]
    return end is not None and line.last is not None and is_uneven(line.previous, line.last, end)


def _sizes(stream: Any, width: int, height: int, frame: Any) -> dict[str, Any]:
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    return {
        "coded": [width, height],
        "sar": float(aspect) if aspect else 1.0,
        "rotation": int(frame.rotation) if frame is not None else 0,
    }


def _audio(stream: Any, end: float | None) -> dict[str, Any]:
    codec = stream.codec_context
    layout = codec.layout
    # PyAV's object frees a layout in custom order, which still belongs to the codec context: it is never released.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(layout))
    return {
        "index": stream.index,
        "codec": _CODEC_NAMES.get(codec.name, codec.name),
        "channels": layout.nb_channels,
        "layout": layout.name.rstrip("\0"),
        "sample_rate": codec.sample_rate,
        "default": bool(stream.disposition & Disposition.default),
        "language": stream.metadata.get("language"),
        "end": end,
    }
