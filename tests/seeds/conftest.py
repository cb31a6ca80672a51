"""A media item of the running system, for the examples that ask for one by its id."""

import pytest

from devtools.demo.darkroom import Darkroom
from tests.system import Up


@pytest.fixture(scope="session")
async def media_id(up: Up, platform: Darkroom) -> str:
    body = {"url": platform.upload_url("your-file.mp4"), "folder": "examples", "filename": "seen.mp4"}
    answer = await up.api.post("/media", body)
    assert answer["data"]["status"] == "active"
    found: str = answer["data"]["id"]
    return found
