"""Animated images as films: their facts, as `MediaInfo` has those of a video stream. Nothing is decoded."""

from collections.abc import Sequence
from typing import Any

from media import png

_CODECS = {"gif": "gif", "webp": "webp", "png": "apng"}
# Browsers, and ffmpeg's GIF demuxer, show frames with a shorter delay than 20 ms for 100 ms.
_LEAST_DELAY, _USUAL_DELAY = 0.02, 0.1


def animation_of(
    path: str, format: str, coded: tuple[int, int], delays_ms: Sequence[int], *, alpha: bool
) -> dict[str, Any]:
    """`video`, `duration` and `fps` of an animated image; nothing for a still one.

    `delays_ms` are the frames' delays where libvips knows them; those of a PNG are read from the file. `coded` is the
    size of a frame in pixels.
    """
    delays = list(png.delays(path)) if format == "png" else [delay / 1000 for delay in delays_ms]
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
