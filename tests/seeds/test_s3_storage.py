"""The part "With S3 storage" of the upload pipeline's document, as it is, against a real server with the API of S3."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from devtools.footage import Footage
from tests.seeds.blocks import Block, fenced
from tests.seeds.test_documents import SEEDS, replaced, run
from tests.support import s3_servers
from tests.support.file_server import FileServer
from tests.support.s3_servers import ACCESS_KEY, REGION, SECRET, S3Server
from tests.support.system import BitmillUp

OWN = Block(
    "own",
    0,
    "bash",
    """TASK='{
  "input": "s3://uploads/clip.mov",
  "kind": "video",
  "options": {"width": 1920, "format": "mp4", "quality": "high"},
  "output": "s3://processed/clip-hd.mp4"
}'
curl -sS -X POST https://api.ittybit.com/jobs \\
  -H "Authorization: Bearer $ITTYBIT_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d "$TASK"
""",
)
"""The block in curl, for machines without the documents."""


def _blocks() -> list[Block]:
    if not SEEDS:
        return [OWN]
    document = next(Path(SEEDS).glob("002_*"))
    return [block for block in fenced(document) if "s3://" in block.text and "ittybit video" not in block.text]


@pytest.fixture
async def s3(up: BitmillUp) -> AsyncIterator[S3Server]:
    """A store that the project's default connection leads to."""
    async with s3_servers.moto() as server:
        await server.create_buckets("uploads", "processed")
        fields = {"name": "store", "endpoint": server.endpoint, "region": REGION, "access_key_id": ACCESS_KEY}
        body = {"kind": "s3", **fields, "secret_access_key": SECRET, "is_default": True}
        made = await up.api.post("/connections", body)
        assert [each["id"] for each in await up.api.get("/connections")] == [made["id"]]
        yield server
        async with up.api.session.delete(f"{up.api.address}/connections/{made['id']}") as response:
            assert response.status == 200


@pytest.mark.parametrize("block", _blocks(), ids=str)
async def test_a_clip_goes_from_the_upload_bucket_to_the_processed_one(
    block: Block, up: BitmillUp, s3: S3Server, uploads: FileServer, footage: Footage, tmp_path: Path
) -> None:
    await s3.put("uploads", "clip.mov", footage.carphone.read_bytes())
    answer = json.loads(await run(block, replaced(block.text, up, uploads), up, tmp_path))
    assert answer["status"] == "queued", answer
    job = await up.api.finished(answer["id"])
    assert job["status"] == "succeeded", job["error"]
    assert job["output"]["url"] == "s3://processed/clip-hd.mp4"
    assert (job["output"]["width"], job["output"]["format"]) == (1920, "mp4")
    data = await s3.get("processed", "clip-hd.mp4")
    assert (len(data), data[4:8]) == (job["output"]["filesize"], b"ftyp")
    assert SECRET not in up.log


OWN_LINE = Block(
    "own",
    1,
    "bash",
    "ittybit video -i s3://uploads/clip.mov -o s3://processed/clip-hd.mp4 --width 1920 --format mp4 --quality high",
)


def _lines() -> list[Block]:
    if not SEEDS:
        return [OWN_LINE]
    return [
        each for each in fenced(next(Path(SEEDS).glob("002_*"))) if re.search(r"ittybit video[^`]*s3://", each.text)
    ]


@pytest.mark.parametrize("block", _lines(), ids=str)
async def test_the_command_line_does_the_same_through_the_api(
    block: Block, up: BitmillUp, s3: S3Server, uploads: FileServer, footage: Footage, tmp_path: Path
) -> None:
    await s3.put("uploads", "clip.mov", footage.carphone.read_bytes())
    output = await run(block, replaced(block.text, up, uploads), up, tmp_path)
    job = json.loads(output.splitlines()[-1])
    assert (job["status"], job["output"]["width"]) == ("succeeded", 1920)
    data = await s3.get("processed", "clip-hd.mp4")
    assert (len(data), data[4:8]) == (job["output"]["filesize"], b"ftyp")
    assert [*tmp_path.iterdir()] == []
