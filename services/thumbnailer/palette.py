"""The dominant colour of an image (pure)."""

from collections import Counter

TRANSPARENT_BELOW = 128
"""Pixels with a lower alpha are not counted."""
FALLBACK = "#FFFFFF"
"""For images without a visible pixel."""


def dominant(pixels: bytes) -> str:
    """The dominant colour as `#RRGGBB`; `pixels` is RGBA, 8 bits per channel.

    Colours are counted in cells of 16 levels per channel, so that noise and gradients do not split one surface into
    many colours. The result is the mean colour of the most frequent cell.
    """
    cells: Counter[int] = Counter()
    counted = Counter(zip(pixels[0::4], pixels[1::4], pixels[2::4], pixels[3::4], strict=True))
    sums: dict[int, list[int]] = {}
    for (red, green, blue, alpha), count in counted.items():
        if alpha < TRANSPARENT_BELOW:
            continue
        cell = red >> 4 << 8 | green >> 4 << 4 | blue >> 4
        cells[cell] += count
        total = sums.setdefault(cell, [0, 0, 0])
        total[0] += red * count
        total[1] += green * count
        total[2] += blue * count
    if not cells:
        return FALLBACK
    # Ties go to the darker cell, so that the result does not depend on the order of the pixels.
    winner = min(cells, key=lambda cell: (-cells[cell], cell))
    return "#" + "".join(f"{round(total / cells[winner]):02X}" for total in sums[winner])
