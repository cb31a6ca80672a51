"""Runs in the sandbox only: opens one untrusted file and returns its facts as plain JSON. Does not check limits.

`probe` raises MediaFault for a file that cannot be read; the fork server sends it to the caller as kind and message.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import av.error
import av.subtitles.stream  # loaded here once, because `av.open` would load it in each call
from av.stream import Disposition

from media import sandbox_image
from media.allowlists import DECODERS, DEMUXERS, MAX_PIXELS
from media.colour import MATRICES, PRIMARIES, RANGES, TRANSFERS
from media.faults import MediaFault
from media.formats import container_format
from media.libvips import pyvips
from media.truncation import is_truncated

_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": ",".join(DEMUXERS),
    "codec_whitelist": ",".join(DECODERS),
    "probesize": "5000000",
    "analyzeduration": "5000000",
    "max_streams": "1000",
}
_FIRST_FRAME_PACKETS = 400
# Decoders whose name differs from the codec's.
_CODEC_NAMES = {
    "libdav1d": "av1",
    "libaom-av1": "av1",
    "libvpx": "vp8",
    "libvpx-vp9": "vp9",
    "mp3float": "mp3",
    "mp2float": "mp2",
}


def probe(path: str) -> dict[str, Any]:
    """The facts of the file at `path`: the fields of `MediaInfo` except those that are computed from others."""
    file = Path(path)
    size = file.stat().st_size
    if not size:
        raise MediaFault("input_empty")
    with file.open("rb") as opened:
        head = opened.read(64)
        truncated = is_truncated(opened, size)
    try:
        facts = sandbox_image.facts(path, head) if sandbox_image.is_image(head) else _probe_streams(path, head)
    except (av.error.FFmpegError, pyvips.Error) as error:
        raise MediaFault("input_truncated" if truncated else "input_unreadable") from error
    if truncated:
        raise MediaFault("input_truncated")
    return {"filesize": size, **facts}


def _probe_streams(path: str, head: bytes) -> dict[str, Any]:
    with av.open(f"file:{path}", options=_OPTIONS) as container:
        videos = [stream for stream in container.streams.video if _allowed(stream) and not _is_cover(stream)]
        tracks = [stream for stream in container.streams.audio if _allowed(stream)]
        if not videos and not tracks:
            raise MediaFault("input_unreadable")
        brand = "webm" if b"webm" in head else str(container.metadata.get("major_brand", ""))
        facts: dict[str, Any] = {
            "kind": "video" if videos else "audio",
            "format": container_format(container.format.name, brand, has_video=bool(videos)),
            "streams": len(container.streams),
            "duration": container.duration / av.time_base if container.duration else None,
            "audio": [_audio(stream) for stream in tracks],
        }
        if videos:
            main = _main_video(videos)
            facts |= _video(container, main)
            facts["duration"] = facts["duration"] or _duration_by_last_packet(container, main)
        elif facts["duration"] is None:
            facts["duration"] = _duration_by_last_packet(container, tracks[0])
    return facts


def _allowed(stream: Any) -> bool:
    return stream.codec_context is not None and stream.codec_context.name in DECODERS


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _main_video(videos: list[Any]) -> Any:
    """The stream with the default disposition, otherwise the first; the same rule as for audio."""
    default = [stream for stream in videos if stream.disposition & Disposition.default]
    return (default or videos)[0]


def _first_known(names: Mapping[int, str], *codes: Any) -> str | None:
    for code in codes:
        if code is not None and int(code) in names:
            return names[int(code)]
    return None


def _video(container: Any, stream: Any) -> dict[str, Any]:
    """Facts of the video stream. The first frame is decoded, because only frames know some of them (rotation)."""
    codec = stream.codec_context
    if codec.width * codec.height > MAX_PIXELS:
        # Reported before anything is decoded: a decompression bomb is a few bytes that declare a huge size.
        return _sizes(stream, codec.width, codec.height, None)
    frame = _first_frame(container, stream)
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
        "alpha": any(part.is_alpha for part in shape.components) or stream.metadata.get("alpha_mode") == "1",
        "interlaced": bool(frame.interlaced_frame),
        "frames": stream.frames or None,
    }
    return {
        **_sizes(stream, frame.width, frame.height, frame),
        "fps": float(rate) if rate else None,
        "video": video,
    }


def _sizes(stream: Any, width: int, height: int, frame: Any) -> dict[str, Any]:
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    return {
        "coded": [width, height],
        "sar": float(aspect) if aspect else 1.0,
        "rotation": int(frame.rotation) if frame is not None else 0,
    }


def _first_frame(container: Any, stream: Any) -> Any:
    """The first frame that can be decoded. A file without one is not a video, whatever its header says."""
    stream.codec_context.thread_count = (
        1  # with threads the decoder needs more packets before the first frame comes out
    )
    for number, packet in enumerate(container.demux(stream)):
        for frame in packet.decode():
            return frame
        if number > _FIRST_FRAME_PACKETS:
            break
    raise MediaFault("input_unreadable")


def _audio(stream: Any) -> dict[str, Any]:
    codec = stream.codec_context
    return {
        "index": stream.index,
        "codec": _CODEC_NAMES.get(codec.name, codec.name),
        "channels": codec.layout.nb_channels,
        "sample_rate": codec.sample_rate,
        "default": bool(stream.disposition & Disposition.default),
        "language": stream.metadata.get("language"),
    }


def _duration_by_last_packet(container: Any, stream: Any) -> float | None:
    """In seconds, for files that do not declare it (live recordings). Reads every packet, decodes none."""
    last = None
    for packet in container.demux(stream):
        if packet.pts is not None:
            end = packet.pts + (packet.duration or 0)
            last = end if last is None else max(last, end)
    if last is None:
        return None
    return float((last - (stream.start_time or 0)) * stream.time_base)
