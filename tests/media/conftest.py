from collections.abc import AsyncIterator

import pytest

from media.tools import Tools, open_tools


@pytest.fixture(scope="package")
async def tools(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tools]:
    """The real tools: ffmpeg and the prober in their sandboxes."""
    async with open_tools(tmp_path_factory.mktemp("tools")) as opened:
        yield opened
