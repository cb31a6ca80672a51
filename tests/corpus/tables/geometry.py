"""Sizes, sample aspects, rotations and mirrors."""

from tests.corpus import boxes
from tests.corpus.case import BLACK, BLUE, RED, Case, Film, Item, Patch, Refused, Still, quarters, turned
from tests.corpus.workshop import Recipe, Workshop, changed, made, remuxed, silent

_ASPECT, _RESIZED = "13 absurd aspect", "7 size changes"
_PLAIN = silent(seconds=0.5)
_TURNS = {90: (1, 3, 0, 2), 180: (3, 2, 1, 0), 270: (2, 0, 3, 1)}
"""By counter-clockwise angle: which colour comes to which place."""


def _rotated(angle: int) -> Case:
    size = (240, 320) if angle % 180 else (320, 240)
    order = turned(*_TURNS[angle])
    return Case(
        f"rotated_{angle}.mp4",
        "rotation",
        remuxed(_PLAIN, ".mp4", read=f"-display_rotation {angle}"),
        (
            Film(size=size, frames=15, patches=quarters(order=order)),
            Still(size=size, patches=quarters(order=order)),
            Item(size=size, patches=quarters(order=order)),
        ),
    )


def _mirrored(flag: str, order: tuple[int, int, int, int]) -> Case:
    return Case(
        f"mirrored_{flag}.mp4",
        "mirror",
        remuxed(_PLAIN, ".mp4", read=f"-display_{flag}"),
        (
            Film(size=(320, 240), patches=quarters(order=turned(*order))),
            Still(size=(320, 240), patches=quarters(order=turned(*order))),
        ),
    )


def _ivf(*sizes: tuple[str, int, int]) -> Recipe:
    """VP8 whose picture size changes in mid stream, a second of each: colour, width, height."""

    def make(shop: Workshop) -> None:
        frames: list[bytes] = []
        head = b""
        for number, (colour, width, height) in enumerate(sizes):
            convert = "format=gbrp,scale=out_color_matrix=bt601:out_range=tv,format=yuv420p"
            source = f"-f lavfi -i color={colour}:s={width}x{height}:r=30:d=1,{convert}"
            part = shop.ffmpeg(
                source, "-c:v libvpx -deadline realtime -cpu-used 8 -b:v 2M -g 30", to=shop.part(f"{number}.ivf")
            )
            data = part.read_bytes()
            head, position = head or data[:32], 32
            while position < len(data):
                length = int.from_bytes(data[position : position + 4], "little")
                frames.append(data[position + 12 : position + 12 + length])
                position += 12 + length
        whole = head + b"".join(
            len(frame).to_bytes(4, "little") + number.to_bytes(8, "little") + frame
            for number, frame in enumerate(frames)
        )
        shop.part("whole.ivf").write_bytes(whole)
        shop.ffmpeg("-i", shop.part("whole.ivf"), "-c copy")

    return make


_TURNED = _ivf(("0xC03020", 320, 240), ("0x3040C0", 240, 320))
_BARS = (
    Patch(0.5, 0.5, RED, 0.5),
    Patch(0.5, 0.5, BLUE, 1.5),
    Patch(0.30, 0.5, BLUE, 1.5),
    Patch(0.70, 0.5, BLUE, 1.5),
    Patch(0.1, 0.5, BLACK, 1.5),
    Patch(0.9, 0.5, BLACK, 1.5),
)

CASES = (
    *(_rotated(angle) for angle in _TURNS),
    _mirrored("hflip", (1, 0, 3, 2)),
    _mirrored("vflip", (2, 3, 0, 1)),
    Case(
        "anamorphic_wide.mp4",
        "sample aspect",
        silent(seconds=0.5, width=720, height=576, then="setsar=64/45"),
        (
            Film(size=(1024, 576), patches=quarters()),
            Still(size=(1024, 576), patches=quarters()),
            Film({"width": 512}, size=(512, 288)),
        ),
    ),
    Case(
        "anamorphic_tall.mkv",
        "sample aspect",
        silent(seconds=0.5, width=320, height=240, then="setsar=1/2"),
        (Film(size=(160, 240), patches=quarters()), Still({"width": 80}, size=(80, 120))),
    ),
    Case(
        "anamorphic_turned.mp4",
        "sample aspect",
        remuxed(silent(seconds=0.5, then="setsar=2/1"), ".mp4", read="-display_rotation 90"),
        (Film(size=(240, 640), patches=quarters(order=turned(*_TURNS[90]))), Still(size=(240, 640))),
    ),
    Case(
        "aspect_absurd.mov",
        _ASPECT,
        changed(silent(seconds=0.5, then="setsar=64/45"), boxes.sample_aspect(2**31 - 1, 1)),
        (Film(size=(320, 240), patches=quarters()), Still(size=(320, 240), patches=quarters()), Item(size=(320, 240))),
    ),
    Case(
        "aspect_200.mov",
        _ASPECT,
        changed(silent(seconds=0.5, then="setsar=64/45"), boxes.sample_aspect(200, 1)),
        (Film(patches=quarters()), Item()),
    ),
    Case(
        "aspect_0.mov",
        _ASPECT,
        changed(silent(seconds=0.5, then="setsar=64/45"), boxes.sample_aspect(0, 0)),
        (Film(patches=quarters()),),
    ),
    Case(
        "odd_size.mkv",
        "odd size",
        silent("-c:v ffv1", seconds=0.5, width=319, height=179, pixels="yuv444p"),
        (Film(size=(318, 178), patches=quarters()), Still(size=(319, 179), patches=quarters())),
    ),
    Case(
        "one_pixel.mkv",
        "1x1",
        made("-f lavfi -i color=c=0xC03020:s=1x1:r=10:d=0.5,format=gbrp -c:v ffv1"),
        (Film(size=(2, 2), patches=(Patch(0.5, 0.5, RED),)), Still(size=(1, 1), patches=(Patch(0.5, 0.5, RED),))),
    ),
    Case(
        "two_rows.mp4",
        "very flat",
        silent(seconds=0.5, width=640, height=2),
        (Film(size=(640, 2)), Still(size=(640, 2))),
    ),
    Case(
        "wide_16384.mp4",
        "16384 wide",
        silent("-c:v libx264 -preset ultrafast -crf 12", seconds=0.1, width=16384, height=64),
        (
            Refused(code="output_too_large"),
            Film({"width": 4096}, size=(4096, 16)),
            Still({"width": 1024}, size=(1024, 4)),
        ),
        short=False,
    ),
    Case("webm_reschange.webm", _RESIZED, _TURNED, (Film(size=(320, 240), frames=60, patches=_BARS),)),
    Case(
        "webm_shrinks.webm",
        _RESIZED,
        _ivf(("0xC03020", 320, 240), ("0x3040C0", 160, 120)),
        (
            Film(
                size=(320, 240),
                frames=60,
                patches=(Patch(0.5, 0.5, RED, 0.5), Patch(0.1, 0.1, BLUE, 1.5), Patch(0.9, 0.9, BLUE, 1.5)),
            ),
        ),
    ),
    Case(
        "webm_turned_still.webm",
        _RESIZED,
        _TURNED,
        (
            Still(
                {"start": 1.5},
                size=(320, 240),
                patches=(Patch(0.5, 0.5, BLUE), Patch(0.30, 0.5, BLUE), Patch(0.1, 0.5, BLACK), Patch(0.9, 0.5, BLACK)),
            ),
            Still(
                {"start": 1.5, "width": 101, "height": 77, "format": "png"},
                format="png",
                size=(101, 77),
                patches=(Patch(0.5, 0.5, BLUE), Patch(0.1, 0.5, BLACK), Patch(0.9, 0.5, BLACK)),
            ),
            Still({"start": 0.5}, size=(320, 240), patches=(Patch(0.05, 0.05, RED), Patch(0.95, 0.95, RED))),
        ),
    ),
    Case(
        "upscaled.mp4",
        "larger than the input",
        silent(seconds=0.5, width=64, height=48),
        (
            Film({"width": 640, "height": 360}, size=(640, 360), patches=quarters()),
            Still({"width": 200}, size=(200, 150), patches=quarters()),
        ),
    ),
    Case(
        "x264_crop.mp4",
        "cropped by the codec",
        silent(seconds=0.5, width=318, height=182),
        (Film(size=(318, 182), patches=quarters()),),
    ),
)
