"""Animated images as films: their facts, as `MediaInfo` has those of a video stream. Nothing is decoded."""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_CODECS = {"gif": "gif", "webp": "webp", "png": "apng"}
_MAX_CHUNKS = 100_000
# Browsers, and ffmpeg's GIF demuxer, show frames with a shorter delay than 20 ms for 100 ms.
_LEAST_DELAY, _USUAL_DELAY = 0.02, 0.1


def animation_of(
    path: str, format: str, coded: tuple[int, int], delays_ms: Sequence[int], *, alpha: bool
) -> dict[str, Any]:
    """`video`, `duration` and `fps` of an animated image; nothing for a still one.

    `delays_ms` are the frames' delays where libvips knows them; those of a PNG are read from the file. `coded` is the
    size of a frame in pixels.
    """
    delays = list(png_delays(path)) if format == "png" else [delay / 1000 for delay in delays_ms]
    if format not in _CODECS or len(delays) < 2:
        return {}
    delays = [delay if delay >= _LEAST_DELAY else _USUAL_DELAY for delay in delays]
    video = {
        "index": 0,
        "codec": _CODECS[format],
        "coded_width": coded[0],
        "coded_height": coded[1],
        "pix_fmt": "rgba",
        "rgb": True,
        "alpha": alpha,
        "frames": len(delays),
        "end": sum(delays),
        "uneven": True,
    }
    return {"video": video, "duration": sum(delays), "fps": len(delays) / sum(delays)}


def png_delays(path: str) -> Iterator[float]:
    """The delays of an animated PNG's frames in seconds: its chunks `fcTL`, if there is an `acTL` before the picture.

    Source: the PNG specification, third edition, 11.3.6 (APNG chunks).
    """
    with Path(path).open("rb") as file:
        file.seek(8)
        animated = False
        for _ in range(_MAX_CHUNKS):
            head = file.read(8)
            if len(head) < 8:
                return
            length, name = struct.unpack(">I4s", head)
            if name == b"fcTL" and animated and length == 26:
                numerator, denominator = struct.unpack_from(">HH", file.read(26), 20)
                yield numerator / (denominator or 100)
                length = 0
            elif name == b"IDAT" and not animated:
                return
            animated = animated or name == b"acTL"
            file.seek(length + 4, 1)
