"""The facts of a media file, as the probe reports them."""

from typing import Annotated

from pydantic import Field

from media.formats import FORMATS
from schemas.base import EventModel
from schemas.files import Codecs, File, FileFacts, MediaKind
from schemas.storable import MAX_INT4, ByteCount, DurationSeconds, Pixels, Rate, StoredText

MAX_CHANNELS = 512
"""FF_SANE_NB_CHANNELS of libavcodec: its decoders refuse more."""
MAX_SAMPLE_RATE = 10_000_000
"""In Hz; studios record at up to 768,000."""
Count = Annotated[int, Field(ge=0, le=MAX_INT4)]
_HDR_TRANSFERS = frozenset({"smpte2084", "arib-std-b67"})


class VideoStream(EventModel):
    """A video stream. Names of codec, pixel format and colour tags are ffmpeg's; None where the file does not say.

    `index` is the stream's number in the file; `coded_*` are pixels as stored, before rotation and sample aspect.
    """

    index: Count
    codec: StoredText
    coded_width: Pixels
    coded_height: Pixels
    pix_fmt: StoredText
    matrix: StoredText | None = None
    range: StoredText | None = None
    """`tv` (16 to 235) or `pc` (0 to 255)."""
    primaries: StoredText | None = None
    transfer: StoredText | None = None
    bits: Count = 8
    rgb: bool = False
    alpha: bool = False
    interlaced: bool = False
    frames: ByteCount | None = None
    start: DurationSeconds = 0.0
    """Second of the file at which the first frame is shown."""
    end: DurationSeconds | None = None
    """Second of the file at which the last frame has been shown."""
    uneven: bool = False
    """Whether the last frame stands for a clearly different time than the one before, as in screen recordings."""

    @property
    def hdr(self) -> bool:
        """Whether the transfer is PQ or HLG: shown unconverted on an SDR screen the picture looks grey."""
        return self.transfer in _HDR_TRANSFERS


class AudioStream(EventModel):
    """An audio stream; `index` is its number in the file, `sample_rate` in Hz."""

    index: Count
    codec: StoredText
    channels: Annotated[int, Field(ge=1, le=MAX_CHANNELS)]
    sample_rate: Annotated[int, Field(ge=1, le=MAX_SAMPLE_RATE)]
    default: bool = False
    language: StoredText | None = None
    layout: StoredText = ""
    """ffmpeg's name of the channel layout: `stereo`, `5.1`, `ambisonic 1`, `16 channels` …"""
    start: DurationSeconds = 0.0
    end: DurationSeconds | None = None
    """Seconds of the file at which the sound begins and ends."""


class CutContent(EventModel):
    """What a part of a film holds. The frame that is shown at its beginning begins at the second `shown`, and decoding
    may begin at `seek`; None where the packets do not say. `sound`: whether the part holds any. `uneven`: whether its
    last frame stands for a clearly different time than the one before."""

    shown: float | None = None
    seek: float | None = None
    sound: bool = True
    uneven: bool = False


class ImageInfo(EventModel):
    """What only images have. `orientation` is EXIF's, 1 to 8; `pages` counts the frames of an animation."""

    pages: Count = 1
    orientation: int = 1
    alpha: bool = False
    bands: Count = 3
    interpretation: StoredText = "srgb"
    """libvips' name for the colour space: `srgb`, `b-w`, `cmyk`, `rgb16` …"""
    icc: bool = False


class MediaInfo(EventModel):
    """A file's facts. `width` and `height` are display pixels: rotation, orientation and sample aspect are applied.

    `duration` in seconds, that of the tracks that are used; `fps` in frames per second (average), `filesize` in bytes.
    `rotation` in degrees counter-clockwise as stored, `sar` the sample aspect ratio (width over height of one stored
    pixel). Cover art is not a `video`. `video` is None for audio and for images without motion, `image` for everything
    but images.

    Of a film: `audio` are the tracks that can be decoded and hold sound, `empty_tracks` counts those that hold none,
    and `unsupported_audio` names the codec where there is sound and none of it can be decoded. `joined` films were put
    together from parts whose clocks start again; of `damaged` ones the first packets cannot be decoded.
    """

    kind: MediaKind
    format: str
    content_type: str
    filesize: ByteCount
    width: Pixels | None = None
    height: Pixels | None = None
    duration: DurationSeconds | None = None
    fps: Rate | None = None
    rotation: int = 0
    sar: float = 1.0
    video: VideoStream | None = None
    audio: tuple[AudioStream, ...] = ()
    image: ImageInfo | None = None
    empty_tracks: Count = 0
    unsupported_audio: StoredText | None = None
    joined: bool = False
    damaged: bool = False

    @property
    def display(self) -> tuple[int, int]:
        """Width and height in display pixels; ValueError where the file has no size."""
        if not self.width or not self.height:
            raise ValueError(f"this {self.kind} file has no size")
        return self.width, self.height

    @property
    def aspect(self) -> float:
        """Width over height as shown. Not that of the display size, whose sides are rounded: one pixel is much of a
        small picture."""
        if self.kind == "image" or self.video is None:
            return self.display[0] / self.display[1]
        aspect = self.video.coded_width * self.sar / self.video.coded_height
        return 1 / aspect if round(self.rotation / 90) % 2 else aspect

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
        """The facts as those of a stored file with this id and storage key. An animated image counts as an image."""
        return File(id=id, key=key, **dict(self.facts()))

    def facts(self) -> FileFacts:
        """What customers see of the file. An animated image counts as an image."""
        moving = self.kind != "image"
        return FileFacts(
            kind=self.kind,
            format=self.format,
            content_type=self.content_type,
            filesize=self.filesize,
            width=self.width,
            height=self.height,
            duration=self.duration if moving else None,
            fps=self.fps if moving else None,
            codecs=self.codecs() if moving else None,
        )
