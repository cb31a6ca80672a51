"""`python -m tests.corpus.sheets FOLDER [NAME ...]`: contact sheets of inputs and outputs, to be looked at.

A row for each job: three frames of the input, as ffmpeg shows them, then three of the output. What fails is a row
with the code. Where a picture is transparent the sheet shows a checkerboard.
"""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyvips

from media.ffmpeg import binary
from tests.corpus import decoded
from tests.corpus.case import Case, Check, Film, job_of
from tests.corpus.judge import problems
from tests.corpus.product import Product, Result, open_product
from tests.corpus.tables import CASES
from tests.corpus.workshop import Workshop

_CELL, _ROWS = (150, 112), 12
_SHOWN = (0.05, 0.5, 0.85)
"""Which frames: shares of the length."""
Image = Any


async def make_sheets(folder: Path, names: list[str]) -> None:
    """Writes `sheet-NN.png`, twelve rows each, and prints what is in the rows."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[Image] = []
    with tempfile.TemporaryDirectory() as scratch:
        async with open_product(Path(scratch) / "tools") as product:
            for case, check in _wanted(names):
                work = Path(tempfile.mkdtemp(dir=scratch))
                source = work / case.name
                await asyncio.to_thread(case.make, Workshop(source, work))
                rows.append(await _row(product, case, check, source, work))
    for number in range(0, len(rows), _ROWS):
        sheet = pyvips.Image.arrayjoin(rows[number : number + _ROWS], across=1, shim=4, background=[90])
        sheet.write_to_file(str(folder / f"sheet-{number // _ROWS + 1:02}.png"))


def _wanted(names: list[str]) -> Iterator[tuple[Case, Check]]:
    for case in CASES:
        if case.name in names or (not names and case.short):
            yield from ((case, check) for check in case.checks)


async def _row(product: Product, case: Case, check: Check, source: Path, work: Path) -> Image:
    out = work / "out"
    out.mkdir()
    result = await product.run(check, source, out)
    wrong = problems(check, result)
    told = result.fault.kind if result.fault else (result.output.format if result.output else "")
    label = f"{case.name}\n{job_of(check)} {dict(check.options) or ''}\n{told}\n{'' if not wrong else 'WRONG'}"
    print(f"{case.name} {job_of(check)}: {told} {wrong or ''}")
    cells = [_text(label), *_pictures(source, isinstance(check, Film)), *_made(result, isinstance(check, Film))]
    return pyvips.Image.arrayjoin(cells, across=7, shim=4, background=[90])


def _made(result: Result, film: bool) -> list[Image]:
    if result.path is None:
        return [_text("" if result.fault is None else result.fault.message), _text(""), _text("")]
    return _pictures(result.path, film)


def _pictures(path: Path, film: bool) -> list[Image]:
    """Three pictures of a file; a still has one."""
    found = [_frame(path, share) for share in (_SHOWN if film else _SHOWN[:1])]
    return [image if image is not None else _text("cannot be shown") for image in found] + [_text("")] * (
        3 - len(found)
    )


def _frame(path: Path, share: float) -> Image | None:
    try:
        image = pyvips.Image.new_from_buffer(path.read_bytes(), "").copy_memory()
        if image.hasalpha():
            return _fitted(_on_checkerboard(image.colourspace("srgb")))
        return _fitted(image.colourspace("srgb"))
    except pyvips.Error:
        pass
    try:
        with decoded.opened(path) as container:
            codec = container.streams.video[0].codec_context.name
        seconds = decoded.duration_of(path) * share
    except Exception:  # noqa: BLE001 - the inputs are broken on purpose
        return None
    alpha = ("-c:v", "libvpx-vp9") if codec in ("vp9", "libvpx-vp9") else ()
    seek = ("-ss", f"{seconds:.3f}")
    command = [binary(), "-v", "error", *alpha, "-i", path, *seek, "-frames:v", "1", "-pix_fmt", "rgba", "-c:v", "png"]
    done = subprocess.run([*map(str, command), "-f", "image2pipe", "-"], capture_output=True, check=False, timeout=60)
    if not done.stdout:
        return None
    return _fitted(_on_checkerboard(pyvips.Image.new_from_buffer(done.stdout, "").copy_memory().colourspace("srgb")))


def _on_checkerboard(image: Image) -> Image:
    squares = pyvips.Image.black(8, 8).replicate(1, 1) + 200
    tile = pyvips.Image.arrayjoin([squares, squares - 60, squares - 60, squares], across=2)
    across, down = image.width // 16 + 1, image.height // 16 + 1
    board = tile.replicate(across, down).crop(0, 0, image.width, image.height).cast("uchar")
    rgb = board.bandjoin([board, board]).copy(interpretation="srgb")
    return rgb.composite(image, "over").flatten().cast("uchar")


def _fitted(image: Image) -> Image:
    small = image.thumbnail_image(_CELL[0], height=_CELL[1], size="both")
    if small.bands == 1:
        small = small.bandjoin([small, small])
    left, top = (_CELL[0] - small.width) // 2, (_CELL[1] - small.height) // 2
    return small.embed(left, top, *_CELL, extend="background", background=[128, 0, 128]).cast("uchar")


def _text(words: str) -> Image:
    blank = (pyvips.Image.black(*_CELL) + 30).cast("uchar")
    if words.strip():
        drawn = pyvips.Image.text(
            words.replace("&", "").replace("<", ""), width=_CELL[0] - 8, height=_CELL[1] - 8, dpi=70
        )
        blank = blank.insert((drawn > 60).ifthenelse(230, 30).cast("uchar"), 4, 4)
    return blank.bandjoin([blank, blank]).copy(interpretation="srgb")


if __name__ == "__main__":
    asyncio.run(make_sheets(Path(sys.argv[1]), sys.argv[2:]))
