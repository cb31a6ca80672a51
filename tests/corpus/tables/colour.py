"""Colour of films: matrices, ranges, depths, gamuts, and HDR."""

from typing import Any

from tests.corpus import colours
from tests.corpus.case import BLACK, BLUE, GREEN, LIGHT, RED, Case, Check, Film, Item, Patch, Still, quarters
from tests.corpus.workshop import X264, Recipe, made, silent

_HDR, _P3 = "11 HDR white", "11 P3 in stills"
_FOUR = (RED, GREEN, BLUE, LIGHT)
_FFV1 = "-c:v ffv1"
_RIGHT: tuple[Check, ...] = (
    Film(size=(320, 240), frames=15, patches=quarters()),
    Still(size=(320, 240), patches=quarters()),
)
_HD: tuple[Check, ...] = (
    Film(size=(1280, 720), frames=5, patches=quarters()),
    Still(size=(1280, 720), patches=quarters()),
)


def _plain(*codec: str, **picture: Any) -> Recipe:
    return silent(*codec, seconds=0.5, **picture)


def _white(y10: int, transfer: str) -> Recipe:
    """A film that is grey of this luma (10 bits, BT.2020) in its upper half and black in the lower one."""
    grey = f"geq=lum='if(lt(Y,120),{y10},64)':cb=512:cr=512"
    tags = f"setparams=colorspace=bt2020nc:color_primaries=bt2020:color_trc={transfer}:range=tv"
    source = f"color=black:s=320x240:r=10:d=0.5,format=yuv420p10le,{grey},{tags}"
    return made(
        f'-f lavfi -i "{source}"', "-c:v libx265 -preset ultrafast -x265-params log-level=error:crf=4 -tag:v hvc1"
    )


_DIFFUSE = (Patch(0.5, 0.25, (230, 230, 230), within=10), Patch(0.5, 0.75, BLACK))
"""Diffuse white at about 0.9 of SDR white."""
_HDR_CHECKS = (
    Film(size=(320, 240), frames=5, patches=_DIFFUSE),
    Still(size=(320, 240), patches=_DIFFUSE),
)

CASES = (
    Case("bt709.mp4", "matrix", _plain(), _RIGHT),
    Case("bt601.mp4", "matrix", _plain(matrix="smpte170m"), _RIGHT),
    Case("bt470bg.mp4", "matrix", _plain(matrix="bt470bg"), _RIGHT),
    Case("bt709_full.mp4", "full range", _plain(range="pc", pixels="yuvj420p"), _RIGHT),
    Case("bt601_full.mp4", "full range", _plain(matrix="smpte170m", range="pc", pixels="yuvj420p"), _RIGHT),
    Case("untagged_sd.mp4", "untagged", _plain(matrix="smpte170m", tags=""), _RIGHT),
    Case("untagged_hd.mp4", "untagged", silent(width=1280, height=720, fps="10", seconds=0.5, tags=""), _HD),
    Case(
        "sd_matrix_in_hd.mp4", "matrix", silent(width=1280, height=720, fps="10", seconds=0.5, matrix="smpte170m"), _HD
    ),
    Case("rgb.mkv", "RGB", _plain(_FFV1, matrix="gbr", pixels="gbrp"), _RIGHT),
    Case(
        "rgb_x264.mp4", "RGB", _plain("-c:v libx264rgb -preset ultrafast -crf 6", matrix="gbr", pixels="rgb24"), _RIGHT
    ),
    Case("ten_bit.mp4", "10 bit", _plain(X264, pixels="yuv420p10le"), _RIGHT),
    Case("ten_bit_422.mp4", "10 bit 4:2:2", _plain(X264, pixels="yuv422p10le"), _RIGHT),
    Case("ten_bit_444.mkv", "10 bit 4:4:4", _plain(X264, pixels="yuv444p10le"), _RIGHT),
    Case("twelve_bit.mkv", "12 bit", _plain(_FFV1, pixels="yuv420p12le"), _RIGHT),
    Case("yuv422.mp4", "4:2:2", _plain(X264, pixels="yuv422p"), _RIGHT),
    Case("yuv444.mp4", "4:4:4", _plain(X264, pixels="yuv444p"), _RIGHT),
    Case("yuv411.mkv", "4:1:1", _plain(_FFV1, pixels="yuv411p"), _RIGHT),
    Case("grey.mkv", "grey", _plain(_FFV1, pixels="gray"), (Film(size=(320, 240), frames=15), Still(size=(320, 240)))),
    Case(
        "p3.mp4",
        "P3",
        _plain(
            tags="colorspace=bt709:color_primaries=smpte432:color_trc=bt709:range=tv",
            colours=[colours.to_display_p3(rgb) for rgb in _FOUR],
        ),
        (Film(frames=15, patches=quarters(within=5)), Still(patches=quarters(within=5))),
    ),
    Case(
        "bt2020_sdr.mp4",
        "BT.2020",
        _plain(
            X264,
            matrix="bt2020nc",
            pixels="yuv420p10le",
            tags="colorspace=bt2020nc:color_primaries=bt2020:color_trc=bt2020-10:range=tv",
            colours=[colours.to_bt2020(rgb) for rgb in _FOUR],
        ),
        (Film(frames=15, patches=quarters(within=5)), Still(patches=quarters(within=5))),
    ),
    Case("pq_white.mp4", _HDR, _white(573, "smpte2084"), (*_HDR_CHECKS, Item(size=(320, 240)))),
    Case("hlg_white.mp4", _HDR, _white(721, "arib-std-b67"), _HDR_CHECKS),
)
