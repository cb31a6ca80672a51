"""The facts of a media file, as the probe reports them."""

from media.formats import FORMATS
from schemas.base import EventModel
from schemas.files import Codecs, File, MediaKind

_HDR_TRANSFERS = frozenset({"smpte2084", "arib-std-b67"})


class VideoStream(EventModel):
    """A video stream. Names of codec, pixel format and colour tags are ffmpeg's; None where the file does not say.

    `index` is the stream's number in the file; `coded_*` are pixels as stored, before rotation and sample aspect.
    """

    index: int
    codec: str
    coded_width: int
    coded_height: int
    pix_fmt: str
    matrix: str | None = None
    range: str | None = None
    """`tv` (16 to 235) or `pc` (0 to 255)."""
    primaries: str | None = None
    transfer: str | None = None
    bits: int = 8
    rgb: bool = False
    alpha: bool = False
    interlaced: bool = False
    frames: int | None = None

    @property
    def hdr(self) -> bool:
        """Whether the transfer is PQ or HLG: shown unconverted on an SDR screen the picture looks grey."""
        return self.transfer in _HDR_TRANSFERS


class AudioStream(EventModel):
    """An audio stream; `index` is its number in the file, `sample_rate` in Hz."""

    index: int
    codec: str
    channels: int
    sample_rate: int
    default: bool = False
    language: str | None = None


class ImageInfo(EventModel):
    """What only images have. `orientation` is EXIF's, 1 to 8; `pages` counts the frames of an animation."""

    pages: int = 1
    orientation: int = 1
    alpha: bool = False
    bands: int = 3
    interpretation: str = "srgb"
    """libvips' name for the colour space: `srgb`, `b-w`, `cmyk`, `rgb16` …"""
    icc: bool = False


class MediaInfo(EventModel):
    """A file's facts. `width` and `height` are display pixels: rotation, orientation and sample aspect are applied.

    `duration` in seconds, `fps` in frames per second (average), `filesize` in bytes. `rotation` in degrees counter-
    clockwise as stored, `sar` the sample aspect ratio (width over height of one stored pixel). Cover art is not a
    `video`. `video` is None for images and audio, `image` for everything but images.
    """

    kind: MediaKind
    format: str
    content_type: str
    filesize: int
    width: int | None = None
    height: int | None = None
    duration: float | None = None
    fps: float | None = None
    rotation: int = 0
    sar: float = 1.0
    video: VideoStream | None = None
    audio: tuple[AudioStream, ...] = ()
    image: ImageInfo | None = None

    @property
    def display(self) -> tuple[int, int]:
        """Width and height in display pixels; ValueError where the file has no size."""
        if not self.width or not self.height:
            raise ValueError(f"this {self.kind} file has no size")
        return self.width, self.height

    @property
    def extension(self) -> str:
        """Without a dot: `jpg`, `mp4`."""
        return FORMATS[self.format].extension

    def main_audio(self) -> AudioStream | None:
        """The audio track to use where only one can be: the one with the default disposition, otherwise the first."""
        return next((track for track in self.audio if track.default), self.audio[0] if self.audio else None)

    def codecs(self) -> Codecs | None:
        track = self.main_audio()
        if self.video is None and track is None:
            return None
        return Codecs(video=self.video.codec if self.video else None, audio=track.codec if track else None)

    def to_file(self, id: str, key: str) -> File:
        """The facts as those of a stored file with this id and storage key."""
        return File(
            id=id,
            key=key,
            kind=self.kind,
            format=self.format,
            content_type=self.content_type,
            filesize=self.filesize,
            width=self.width,
            height=self.height,
            duration=self.duration,
            fps=self.fps,
            codecs=self.codecs(),
        )
