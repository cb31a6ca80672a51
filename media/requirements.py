"""What we need of ffmpeg, libvips and PyAV (data), and the sentences for a machine that lacks it (pure)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MIN_LIBVIPS = (8, 15)
"""The first with the option `keep` of the savers."""
MIN_LIBAVCODEC = (60, 31)
"""That of ffmpeg 6.1, the first with `-enc_time_base demux`. Builds from Git have no number of ffmpeg itself."""

ENCODERS = ("libx264", "libvpx-vp9", "prores_ks", "aac", "libopus", "rawvideo")
MUXERS = ("mp4", "mov", "webm", "rawvideo", "image2")
FILTERS = (
    *("scale", "format", "setparams", "setsar", "bwdif", "trim", "atrim", "setpts", "asetpts", "pad", "aeval"),
    # Transparency.
    *("split", "lutrgb", "overlay", "premultiply", "unpremultiply"),
    # Inserted by ffmpeg itself: rotation, and the conversion of audio.
    *("transpose", "hflip", "vflip", "aresample"),
)
"""Without `zscale` and `tonemap` HDR stays HDR, see `Ffmpeg.tone_maps`."""
DECODERS = (
    *("h264", "hevc", "vp8|libvpx", "vp9|libvpx-vp9", "av1|libdav1d|libaom-av1", "mpeg4", "mjpeg", "prores", "gif"),
    *("aac", "mp3|mp3float", "opus|libopus", "vorbis|libvorbis", "flac", "pcm_s16le"),
)
"""What most uploads are, of both ffmpeg and PyAV; the others of `media.allowlists` may be missing."""
DEMUXERS = ("mov", "matroska", "avi", "mpegts", "mp3", "wav", "flac", "ogg", "gif")

_REINSTALL = "pip install --force-reinstall --no-cache-dir"
_OTHER_FFMPEG = "Set FFMPEG_BINARY to a newer, complete ffmpeg, or unset it for the one of the package imageio-ffmpeg."
_OTHER_LIBVIPS = f"Install the packaged library again: {_REINSTALL} --no-deps pyvips-binary."
_OTHER_PI_HEIF = f"Install it from its wheel: {_REINSTALL} --only-binary pi-heif pi-heif."
_OTHER_PYAV = f"Install PyAV from its wheel: {_REINSTALL} --only-binary av av."


@dataclass(frozen=True)
class FfmpegFeatures:
    """What an ffmpeg program was built with. `libavcodec` is the version of that library, () if it is not said."""

    version: str
    libavcodec: tuple[int, ...]
    encoders: frozenset[str]
    decoders: frozenset[str]
    muxers: frozenset[str]
    demuxers: frozenset[str]
    filters: frozenset[str]


def ffmpeg_problem(path: Path, features: FfmpegFeatures) -> str | None:
    """What this ffmpeg lacks and what to do about it, as sentences; None if it can be used."""
    if not features.version or not features.libavcodec:
        return f"{path} does not answer as ffmpeg does. {_OTHER_FFMPEG}"
    if features.libavcodec[:2] < MIN_LIBAVCODEC:
        return f"ffmpeg {features.version} ({path}) is too old: 6.1 or newer is needed. {_OTHER_FFMPEG}"
    missing = [
        *_missing("encoder", ENCODERS, features.encoders),
        *_missing("decoder", DECODERS, features.decoders),
        *_missing("muxer", MUXERS, features.muxers),
        *_missing("demuxer", DEMUXERS, features.demuxers),
        *_missing("filter", FILTERS, features.filters),
    ]
    if not missing:
        return None
    return f"ffmpeg {features.version} ({path}) was built without {'; '.join(missing)}. {_OTHER_FFMPEG}"


def ffmpeg_unusable(path: Path, reason: str) -> str:
    """The sentence for a program that cannot be run."""
    return f"{path} cannot be run as ffmpeg: {reason}. {_OTHER_FFMPEG}"


def library_problem(facts: Mapping[str, Any]) -> str | None:
    """The same for the result of `media.library_check`, which is about libvips, pi-heif and PyAV."""
    libvips = ".".join(str(part) for part in facts["libvips"])
    if tuple(facts["libvips"][:2]) < MIN_LIBVIPS:
        needed = ".".join(str(part) for part in MIN_LIBVIPS)
        return f"libvips {libvips} is too old: {needed} or newer is needed. {_OTHER_LIBVIPS}"
    lacking = [*_named("image format", facts["image_formats"]), *_named("operation", facts["operations"])]
    if lacking:
        return f"libvips {libvips} works without {'; '.join(lacking)}. {_OTHER_LIBVIPS}"
    if not facts["heic"]:
        return f"The package pi-heif was built without a decoder for HEVC. {_OTHER_PI_HEIF}"
    lacking = [*_named("decoder", facts["decoders"]), *_named("demuxer", facts["demuxers"])]
    if lacking:
        return f"PyAV {facts['pyav']} was built without {'; '.join(lacking)}. {_OTHER_PYAV}"
    return None


def libraries_unusable(output: str) -> str:
    """The sentence for libraries that cannot even be loaded; `output` ends with a traceback of Python."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    reason = lines[-1] if lines else "no reason given"
    return (
        f"The libraries for media files cannot be loaded ({reason}). "
        f"Install their packages again: {_REINSTALL} av pi-heif pillow pyvips pyvips-binary."
    )


def _missing(what: str, needed: Sequence[str], found: frozenset[str]) -> list[str]:
    return _named(what, [names for names in needed if found.isdisjoint(names.split("|"))])


def _named(what: str, names: Iterable[str]) -> list[str]:
    listed = [name.replace("|", " or ") for name in names]
    return [f"the {what}{'s' if len(listed) > 1 else ''} {', '.join(listed)}"] if listed else []
