from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from media.tools import Tools, open_tools
from schemas.options import VideoOptions
from services.transcoder.encode import EncodedVideo, encode

EncodeFilm = Callable[..., Awaitable[tuple[EncodedVideo, Path]]]
"""Encodes a file with options of a `video` job; the result and the output's path."""


@pytest.fixture(scope="package")
async def tools(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tools]:
    """The real tools: ffmpeg and the prober in their sandboxes."""
    async with open_tools(tmp_path_factory.mktemp("tools")) as opened:
        yield opened


@pytest.fixture
def encode_film(tools: Tools, tmp_path: Path) -> EncodeFilm:
    async def make(source: Path, **options: Any) -> tuple[EncodedVideo, Path]:
        asked = VideoOptions.model_validate(options)
        dest = tmp_path / f"out.{asked.format}"
        return await encode(source, await tools.prober.probe(source), asked, dest, tools), dest

    return make
