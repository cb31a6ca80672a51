"""Runs in the sandbox only: converts images (PNG, HEIC, AVIF) whose colours code points describe to sRGB.

The tone curve of HDR is that of film: `media.colour.TONE_CURVE`.
"""

from typing import Any

from media.colour import DIFFUSE_WHITE_NITS, PRIMARIES, TONE_CURVE, TRANSFERS
from media.libvips import pyvips

# From linear light of these primaries to that of BT.709: ITU-R BT.2087, and Display P3 by the same computation. The P3
# of cinemas differs in its white only, which is shown as that of the screen.
_P3 = [[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]]
_TO_BT709 = {
    "smpte431": _P3,
    "smpte432": _P3,
    "bt2020": [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
}
_BT2020_LUMA = [[0.2627, 0.6780, 0.0593]]
_HLG_PEAK_NITS, _HLG_GAMMA = 1000, 1.2
_DISPLAY_GAMMA = 2.4


def is_needed(code_points: tuple[int, int] | None) -> bool:
    """Whether an image of these primaries and transfer looks wrong if it is taken for sRGB."""
    if code_points is None:
        return False
    primaries, transfer = _names(code_points)
    return primaries in _TO_BT709 or transfer in ("smpte2084", "arib-std-b67")


def to_srgb(image: Any, code_points: tuple[int, int]) -> Any:
    """The image (grey or RGB of 8 or 16 bits, with or without alpha) as sRGB of 8 bits."""
    if image.bands < 3:
        grey = image[0]
        image = grey.bandjoin([grey, grey, *image.bandsplit()[1:]])
    primaries, transfer = _names(code_points)
    most = 65535 if image.format == "ushort" else 255
    colour, rest = image.extract_band(0, n=3), image.extract_band(3) if image.bands > 3 else None
    values = pyvips.Image.identity(bands=3, ushort=most > 255) / most
    match transfer:
        case "smpte2084":
            light = colour.maplut(_pq(values))
        case "arib-std-b67":
            light = _hlg_system(colour.maplut(_hlg(values)))
        case _:
            light = colour.maplut(_srgb_to_linear(values))
    if primaries in _TO_BT709:
        light = light.recomb(pyvips.Image.new_from_array(_TO_BT709[primaries]))
    light = (light > 0).ifthenelse(light, 0)
    hdr = transfer in ("smpte2084", "arib-std-b67")
    encoded = _tone_mapped(light) ** (1 / _DISPLAY_GAMMA) if hdr else _linear_to_srgb(light)
    eight_bits = (encoded * 255).rint().cast("uchar").copy(interpretation="srgb")
    return eight_bits if rest is None else eight_bits.bandjoin((rest / (most / 255)).rint().cast("uchar"))


def _names(code_points: tuple[int, int]) -> tuple[str, str]:
    return PRIMARIES.get(code_points[0], ""), TRANSFERS.get(code_points[1], "")


def _pq(values: Any) -> Any:
    """Linear light, 1.0 being diffuse white, of values from 0 to 1 (SMPTE ST 2084)."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    root = values ** (1 / m2)
    above = root - c1
    return ((above > 0).ifthenelse(above, 0) / (c2 - root * c3)) ** (1 / m1) * (10_000 / DIFFUSE_WHITE_NITS)


def _hlg(values: Any) -> Any:
    """Light of the scene, 0 to 1 (ITU-R BT.2100, table 5)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return (values > 0.5).ifthenelse((((values - c) / a).exp() + b) / 12, values * values / 3)


def _hlg_system(scene: Any) -> Any:
    """Light of a display of 1000 nits, 1.0 being diffuse white."""
    luma = scene.recomb(pyvips.Image.new_from_array(_BT2020_LUMA))
    return scene * luma ** (_HLG_GAMMA - 1) * (_HLG_PEAK_NITS / DIFFUSE_WHITE_NITS)


def _tone_mapped(light: Any) -> Any:
    """As ffmpeg's filter `tonemap=mobius` without desaturation: the largest of the three decides."""
    knee, peak = float(TONE_CURVE["param"]), float(TONE_CURVE["peak"])
    largest = _largest(light)
    a = -knee * knee * (peak - 1) / (knee * knee - 2 * knee + peak)
    b = (knee * knee - 2 * knee * peak + peak) / (peak - 1)
    factor = (b * b + 2 * b * knee + knee * knee) / (b - a)
    rolled_off = (largest + a) / (largest + b) * factor
    scaled = light * (rolled_off / (largest > knee).ifthenelse(largest, 1))
    mapped = (largest > knee).ifthenelse(scaled, light)
    return (mapped > 1).ifthenelse(1, mapped)


def _largest(light: Any) -> Any:
    red, green, blue = light.bandsplit()
    pair = (red > green).ifthenelse(red, green)
    return (pair > blue).ifthenelse(pair, blue)


def _srgb_to_linear(values: Any) -> Any:
    return (values > 0.04045).ifthenelse(((values + 0.055) / 1.055) ** 2.4, values / 12.92)


def _linear_to_srgb(light: Any) -> Any:
    encoded = (light > 0.0031308).ifthenelse(light ** (1 / 2.4) * 1.055 - 0.055, light * 12.92)
    return (encoded > 1).ifthenelse(1, encoded)
