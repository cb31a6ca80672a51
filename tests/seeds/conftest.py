"""A media item of the running system, for the examples that get one by its id."""

import pytest

from tests.support.file_server import FileServer
from tests.support.system import BitmillUp


@pytest.fixture(scope="session")
async def media_id(up: BitmillUp, uploads: FileServer) -> str:
    body = {"url": uploads.url("your-file.mp4"), "folder": "examples", "filename": "seen.mp4"}
    answer = await up.api.post("/media", body)
    assert answer["data"]["status"] == "active"
    found: str = answer["data"]["id"]
    return found
