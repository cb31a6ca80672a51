"""From decoded planes to the colour that a viewer sees. Formulas of ITU-T H.273, in floating point: no scaler's."""

from collections.abc import Sequence
from typing import Any

# Kr and Kb of the matrices, by ffmpeg's code points.
_LUMA = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
_UNSPECIFIED = 2
_FULL = 2
_P3, _BT2020 = 12, 9
# From linear light of these primaries (white D65) to that of BT.709.
_TO_BT709 = {
    _P3: ((1.2249, -0.2247, 0.0), (-0.0420, 1.0419, 0.0), (-0.0197, -0.0786, 1.0979)),
    _BT2020: ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187)),
}


def shown(frame: Any, x: float, y: float) -> tuple[float, float, float]:
    """The mean colour around a point of a decoded 4:2:0 frame, 8 bits, as a screen with sRGB shows it.

    Untagged frames are taken for what players take them for.
    """
    luma, first, second = (_mean_around(plane, x, y) for plane in frame.planes)
    matrix = int(frame.colorspace)
    if matrix == _UNSPECIFIED:
        matrix = 1 if frame.height >= 720 else 6
    kr, kb = _LUMA[matrix]
    if int(frame.color_range) == _FULL:
        y_, cb, cr = luma / 255, (first - 128) / 255, (second - 128) / 255
    else:
        y_, cb, cr = (luma - 16) / 219, (first - 128) / 224, (second - 128) / 224
    red, blue = y_ + 2 * (1 - kr) * cr, y_ + 2 * (1 - kb) * cb
    green = (y_ - kr * red - kb * blue) / (1 - kr - kb)
    return _in_srgb((red, green, blue), int(frame.color_primaries))


def _mean_around(plane: Any, x: float, y: float, radius: int = 4) -> float:
    data, line = bytes(plane), plane.line_size
    middle = (min(int(x * plane.width), plane.width - 1), min(int(y * plane.height), plane.height - 1))
    columns = range(max(middle[0] - radius, 0), min(middle[0] + radius, plane.width - 1) + 1)
    rows = range(max(middle[1] - radius, 0), min(middle[1] + radius, plane.height - 1) + 1)
    total: int = sum(data[row * line + column] for row in rows for column in columns)
    return total / (len(rows) * len(columns))


def _in_srgb(rgb: Sequence[float], primaries: int) -> tuple[float, float, float]:
    values = [min(max(value, 0.0), 1.0) for value in rgb]
    if primaries in _TO_BT709:
        linear = [_linear(value) for value in values]
        rows = _TO_BT709[primaries]
        values = [_coded(min(max(sum(a * b for a, b in zip(row, linear, strict=True)), 0), 1)) for row in rows]
    red, green, blue = (value * 255 for value in values)
    return red, green, blue


def to_display_p3(rgb: Sequence[int]) -> tuple[int, int, int]:
    """A colour of sRGB as Display P3 codes it."""
    return _through(rgb, ((0.8225, 0.1775, 0.0), (0.0332, 0.9668, 0.0), (0.0171, 0.0724, 0.9105)), _linear, _coded)


def to_adobe_rgb(rgb: Sequence[int]) -> tuple[int, int, int]:
    """A colour of sRGB as Adobe RGB (1998) codes it."""
    rows = ((0.71512, 0.28488, 0.0), (0.0, 1.0, 0.0), (0.0, 0.04116, 0.95884))
    return _through(rgb, rows, _linear, lambda value: float(value ** (256 / 563)))


def to_bt2020(rgb: Sequence[int]) -> tuple[int, int, int]:
    """A colour that BT.709 codes, as BT.2020 codes it: both for displays of ITU-R BT.1886."""
    rows = ((0.6274, 0.3293, 0.0433), (0.0691, 0.9195, 0.0114), (0.0164, 0.0880, 0.8956))
    return _through(rgb, rows, lambda value: value**2.4, lambda value: value ** (1 / 2.4))


def _through(rgb: Sequence[int], rows: Any, decode: Any, encode: Any) -> tuple[int, int, int]:
    linear = [decode(value / 255) for value in rgb]
    coded = [encode(min(max(sum(a * b for a, b in zip(row, linear, strict=True)), 0), 1)) for row in rows]
    red, green, blue = (round(value * 255) for value in coded)
    return red, green, blue


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)


def _coded(value: float) -> float:
    return value * 12.92 if value <= 0.0031308 else float(1.055 * value ** (1 / 2.4) - 0.055)
