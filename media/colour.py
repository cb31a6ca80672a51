"""Colour tags of video (pure): names of the H.273 code points, and what players assume where tags are missing."""

from collections.abc import Mapping
from typing import NamedTuple

from media.info import VideoStream

# ITU-T H.273, by the names that ffmpeg's options take. Code points that are not listed mean "unspecified".
MATRICES = {
    0: "gbr",
    1: "bt709",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020nc",
    10: "bt2020c",
    14: "ictcp",
}
PRIMARIES = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "film",
    9: "bt2020",
    10: "smpte428",
    11: "smpte431",
    12: "smpte432",
    22: "jedec-p22",
}
TRANSFERS = {
    1: "bt709",
    4: "gamma22",
    5: "gamma28",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    11: "iec61966-2-4",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    17: "smpte428",
    18: "arib-std-b67",
}
RANGES = {1: "tv", 2: "pc"}

# From this height on players take untagged video for BT.709, below it for the matrix of standard definition.
_HD_HEIGHT = 720
_PAL_HEIGHTS = frozenset({288, 576})


class Colour(NamedTuple):
    """The four tags of a video stream, by ffmpeg's names."""

    matrix: str
    primaries: str
    transfer: str
    range: str


BT709 = Colour("bt709", "bt709", "bt709", "tv")

DIFFUSE_WHITE_NITS = 203
"""Luminance of a sheet of white paper in HDR (ITU-R BT.2408-7, 2.2); brighter is light and reflections. It is 1.0 of
linear light: `npl` of zscale."""
TONE_CURVE: Mapping[str, str | float] = {
    "tonemap": "mobius",
    "param": 0.5,
    "peak": 4.926,  # 1000 nits, for which phones and cameras record
    "desat": 0,
}
"""Options of ffmpeg's filter `tonemap`. Linear up to half of diffuse white (100 nits), then rolled off to 1000 nits:
diffuse white becomes 0.89 of SDR white, black and middle grey stay as they are."""


def infer(video: VideoStream) -> Colour:
    """The stream's colour: its tags, and what players assume where they are missing."""
    if video.rgb:
        matrix = "gbr"
    elif video.matrix is not None and video.matrix != "gbr":
        matrix = video.matrix
    elif max(video.coded_height, video.coded_width * 9 / 16) >= _HD_HEIGHT:
        matrix = "bt709"
    else:
        matrix = "bt470bg" if video.coded_height in _PAL_HEIGHTS else "smpte170m"
    implied = _IMPLIED.get(matrix, BT709)
    full = video.range or ("pc" if video.rgb or video.pix_fmt.startswith("yuvj") else "tv")
    return Colour(matrix, video.primaries or implied.primaries, video.transfer or implied.transfer, full)


_IMPLIED = {
    "smpte170m": Colour("smpte170m", "smpte170m", "smpte170m", "tv"),
    "bt470bg": Colour("bt470bg", "bt470bg", "smpte170m", "tv"),
    "bt2020nc": Colour("bt2020nc", "bt2020", "bt2020-10", "tv"),
    "bt2020c": Colour("bt2020c", "bt2020", "bt2020-10", "tv"),
}


def is_wide_gamut(colour: Colour) -> bool:
    """Whether an SDR screen cannot show it unconverted: an HDR transfer (PQ, HLG) or the BT.2020 matrix."""
    return colour.transfer in ("smpte2084", "arib-std-b67") or colour.matrix.startswith(("bt2020", "ictcp"))


_WIDER_PRIMARIES = frozenset({"bt2020", "smpte431", "smpte432", "smpte428", "bt470m", "film"})


def has_other_primaries(colour: Colour) -> bool:
    """Whether its values look wrong where nobody reads the tags: Display P3, DCI P3, BT.2020, NTSC 1953, film, XYZ.

    Those of standard definition (BT.601) are shown as BT.709 by players; few people see the difference.
    """
    return colour.primaries in _WIDER_PRIMARIES
