from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from media.tools import Tools, open_tools
from tests.services.thumbnailer.image_maker import ImageMaker


@pytest.fixture(scope="package")
async def tools(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tools]:
    """The real tools: ffmpeg and libvips in their sandboxes."""
    async with open_tools(tmp_path_factory.mktemp("tools"), preload=("services.thumbnailer.vips",)) as opened:
        yield opened


@pytest.fixture
def image_maker(tools: Tools, tmp_path: Path) -> ImageMaker:
    return ImageMaker(tools, tmp_path)
