"""Transparency: hidden colours never come out; alpha is kept where the format can."""

from tests.corpus import pictures
from tests.corpus.case import BLACK, RED, WHITE, Case, Film, Item, Patch, Still, quarters
from tests.corpus.workshop import Recipe, made

_KIND = "8 transparency"
_HIDDEN = (
    '-f lavfi -i "color=0xC03020:s=160x240:r=30:d=1,format=rgba[l];color=lime:s=160x240:r=30:d=1,format=rgba,'
    'colorchannelmixer=aa=0[r];[l][r]hstack{then}"'
)
"""The right half is transparent and hides pure green."""


def _hidden(codec: str, then: str = "") -> Recipe:
    return made(_HIDDEN.format(then=then), codec)


_TO_YUV = ",scale=out_color_matrix=bt709:out_range=tv,format=yuva420p,setparams=colorspace=bt709:range=tv"
_ON_WHITE = (Patch(0.25, 0.5, RED), Patch(0.75, 0.5, WHITE))
_CLEAR = (Patch(0.25, 0.5, RED, alpha=255), Patch(0.75, 0.5, WHITE, alpha=0))
_FILM = (
    Film(size=(320, 240), frames=30, patches=_ON_WHITE),
    Film({"format": "webm"}, size=(320, 240), frames=30, patches=_CLEAR, alpha=True),
    Still({"format": "png"}, format="png", size=(320, 240), patches=_CLEAR, alpha=True),
    Still(size=(320, 240), patches=_ON_WHITE),
    Item(size=(320, 240), patches=_ON_WHITE),
)
_LEFT = tuple(
    Patch(x, y, rgb) for (x, y), rgb in zip(((0.125, 0.25), (0.375, 0.25)), ((192, 48, 32), (48, 160, 64)), strict=True)
)
_STILL_WHITE = (*_LEFT, Patch(0.75, 0.5, WHITE))
_STILL_CLEAR = (*_LEFT, Patch(0.75, 0.5, WHITE, alpha=0))


def _still(name: str, recipe: Recipe, *, short: bool = True) -> Case:
    return Case(
        name,
        "transparency",
        recipe,
        (
            Still({"format": "jpeg"}, size=(320, 200), patches=_STILL_WHITE),
            Still({"format": "png"}, format="png", size=(320, 200), patches=_STILL_CLEAR, alpha=True),
            Still({"format": "webp"}, format="webp", size=(320, 200), patches=_STILL_CLEAR, alpha=True),
            Still({"format": "avif"}, format="avif", size=(320, 200), patches=_STILL_CLEAR, alpha=True),
        ),
        short=short,
    )


CASES = (
    Case("al_qtrle.mov", _KIND, _hidden("-c:v qtrle"), _FILM),
    Case("al_vp9.webm", _KIND, _hidden("-c:v libvpx-vp9 -cpu-used 8 -deadline realtime -crf 4 -b:v 0", _TO_YUV), _FILM),
    Case(
        "al_vp8.webm",
        _KIND,
        _hidden(
            "-c:v libvpx -cpu-used 8 -deadline realtime -crf 4 -b:v 2M -auto-alt-ref 0",
            _TO_YUV.replace("bt709:out", "bt601:out").replace("=bt709", "=bt470bg"),
        ),
        (_FILM[0], _FILM[2]),
    ),
    Case(
        "al_prores.mov",
        _KIND,
        _hidden("-c:v prores_ks -profile:v 4444 -pix_fmt yuva444p10le", _TO_YUV.replace("yuva420p", "yuva444p10le")),
        _FILM,
    ),
    Case("al_png.mov", _KIND, _hidden("-c:v png -pred mixed"), (_FILM[0], _FILM[2])),
    _still("al.png", pictures.drawn(lambda: pictures.transparent((0, 255, 0)))),
    _still("al.webp", pictures.drawn(lambda: pictures.transparent((0, 255, 0)), lossless=True, exact=True)),
    _still(
        "al.avif",
        pictures.drawn(lambda: pictures.transparent((0, 255, 0)), compression="av1", lossless=True, effort=0),
        short=False,
    ),
    _still("al.tif", pictures.drawn(lambda: pictures.transparent((0, 255, 0)))),
    Case(
        "p_blacklogo.png",
        _KIND,
        pictures.drawn(pictures.logo),
        (
            Still(
                {"format": "jpeg"},
                size=(320, 200),
                patches=(Patch(0.5, 0.5, BLACK), Patch(0.05, 0.05, WHITE)),
            ),
            Still(
                format="png",
                size=(320, 200),
                patches=(Patch(0.5, 0.5, BLACK, alpha=255), Patch(0.05, 0.05, WHITE, alpha=0)),
                alpha=True,
            ),
            Item(size=(320, 200), patches=(Patch(0.5, 0.5, BLACK), Patch(0.05, 0.05, WHITE))),
        ),
    ),
    Case(
        "opaque_alpha.png",
        "opaque alpha",
        pictures.still(lambda image: image.bandjoin(255)),
        (Still({"format": "jpeg"}, size=(320, 200), patches=quarters()), Item(size=(320, 200), patches=quarters())),
    ),
)
