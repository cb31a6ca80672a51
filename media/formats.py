"""The formats that are read and written (data): short name, content type, extension, kind."""

from dataclasses import dataclass

from schemas.files import MediaKind


@dataclass(frozen=True)
class Format:
    """One format. `extension` has no dot."""

    name: str
    content_type: str
    extension: str
    kind: MediaKind


_ALL = (
    Format("mp4", "video/mp4", "mp4", "video"),
    Format("mov", "video/quicktime", "mov", "video"),
    Format("webm", "video/webm", "webm", "video"),
    Format("mkv", "video/x-matroska", "mkv", "video"),
    Format("avi", "video/x-msvideo", "avi", "video"),
    Format("flv", "video/x-flv", "flv", "video"),
    Format("ts", "video/mp2t", "ts", "video"),
    Format("mpeg", "video/mpeg", "mpg", "video"),
    Format("wmv", "video/x-ms-wmv", "wmv", "video"),
    Format("ogv", "video/ogg", "ogv", "video"),
    Format("dv", "video/dv", "dv", "video"),
    Format("mxf", "application/mxf", "mxf", "video"),
    Format("jpeg", "image/jpeg", "jpg", "image"),
    Format("png", "image/png", "png", "image"),
    Format("gif", "image/gif", "gif", "image"),
    Format("webp", "image/webp", "webp", "image"),
    Format("avif", "image/avif", "avif", "image"),
    Format("heic", "image/heic", "heic", "image"),
    Format("tiff", "image/tiff", "tiff", "image"),
    Format("bmp", "image/bmp", "bmp", "image"),
    Format("ico", "image/vnd.microsoft.icon", "ico", "image"),
    Format("mp3", "audio/mpeg", "mp3", "audio"),
    Format("m4a", "audio/mp4", "m4a", "audio"),
    Format("aac", "audio/aac", "aac", "audio"),
    Format("wav", "audio/wav", "wav", "audio"),
    Format("flac", "audio/flac", "flac", "audio"),
    Format("ogg", "audio/ogg", "ogg", "audio"),
    Format("weba", "audio/webm", "weba", "audio"),
    Format("mka", "audio/x-matroska", "mka", "audio"),
    Format("wma", "audio/x-ms-wma", "wma", "audio"),
    Format("aiff", "audio/aiff", "aiff", "audio"),
    Format("caf", "audio/x-caf", "caf", "audio"),
    Format("amr", "audio/amr", "amr", "audio"),
    Format("w64", "audio/x-w64", "w64", "audio"),
)
FORMATS: dict[str, Format] = {format_.name: format_ for format_ in _ALL}

_AUDIO_ONLY = {"mp4": "m4a", "mov": "m4a", "webm": "weba", "mkv": "mka", "ogv": "ogg", "wmv": "wma"}


def container_format(demuxer: str, brand: str, *, has_video: bool) -> str:
    """The short name of a container.

    `demuxer` is ffmpeg's name for it (`mov,mp4,…`); `brand` is the major brand or EBML document type, which separates
    formats that share a demuxer.
    """
    match demuxer.split(",")[0]:
        case "mov":
            name = "mov" if brand in ("qt  ", "") else "mp4"
        case "matroska":
            name = "webm" if brand == "webm" else "mkv"
        case "mpegts":
            name = "ts"
        case "mpeg" | "mpegvideo":
            name = "mpeg"
        case "asf":
            name = "wmv"
        case "ogg":
            name = "ogv"
        case other:
            name = other
    return name if has_video else _AUDIO_ONLY.get(name, name)
