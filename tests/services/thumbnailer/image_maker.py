"""Makes images as the worker and the shell do, and reads them back."""

from pathlib import Path
from typing import Any

import pytest
import pyvips

from media.faults import MediaFault
from media.tools import Tools
from schemas.options import ImageOptions
from services.thumbnailer.encode import EncodedImage, encode


class ImageMaker:
    """Makes images in a folder of its own."""

    def __init__(self, tools: Tools, folder: Path) -> None:
        self.tools = tools
        self.folder = folder
        self.progress: list[float] = []

    async def __call__(
        self, source: Path, *, palette: bool = False, **options: Any
    ) -> tuple[EncodedImage, pyvips.Image]:
        """The result, and its pixels in sRGB."""
        info = await self.tools.prober.probe(source)
        dest = self.folder / "image"
        wanted = ImageOptions(**options)
        made = await encode(source, info, wanted, dest, self.tools, self.progress.append, palette)
        # From memory: libvips remembers files by name, and the next image has the same one.
        image = pyvips.Image.new_from_buffer(dest.read_bytes(), "")
        assert (image.width, image.height) == (made.info.width, made.info.height)
        return made, image.colourspace("srgb")

    async def fault(self, source: Path, **options: Any) -> MediaFault:
        with pytest.raises(MediaFault) as caught:
            await self(source, **options)
        assert list(self.folder.iterdir()) == []
        return caught.value


def size(made: EncodedImage) -> tuple[int | None, int | None]:
    return made.info.width, made.info.height


def quarters(image: pyvips.Image) -> list[list[float]]:
    """The colours in the middle of the four quarters: top left, top right, bottom left, bottom right."""
    across, down = (image.width // 4, image.width * 3 // 4), (image.height // 4, image.height * 3 // 4)
    return [image(x, y) for y in down for x in across]
