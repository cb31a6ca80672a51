"""Storage in S3: multipart uploads, interrupted reads, outages."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chassis.adapters.storage import StorageFull, StorageUnavailable, open_storage
from chassis.adapters.storage.s3 import S3Storage, s3_client
from tests.chassis.adapters.storage.conftest import BUCKET

MIB = 1024 * 1024


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(b"".join(bytes([number]) * MIB for number in range(12)))
    return path


def in_parts(client: Any) -> S3Storage:
    # 5 MiB is the least that S3 takes for a part that is not the last.
    return S3Storage(client, BUCKET, "", multipart_bytes=MIB, part_bytes=5 * MIB)


async def test_a_large_file_is_uploaded_in_parts(s3_endpoint: str, large: Path) -> None:
    async with s3_client(s3_endpoint, "us-east-1") as client:
        storage = in_parts(client)
        stored = await storage.put("large.mp4", large, "video/mp4")
        assert stored.size == 12 * MIB
        assert stored.etag.endswith("-3")
        assert b"".join([chunk async for chunk in storage.read("large.mp4")]) == large.read_bytes()


async def test_a_failed_upload_leaves_no_parts(s3_endpoint: str, large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with s3_client(s3_endpoint, "us-east-1") as client:
        upload: Any = client.upload_part

        async def fails_at_two(**arguments: Any) -> Any:
            if arguments["PartNumber"] == 2:
                raise client.exceptions.ClientError({"Error": {"Code": "QuotaExceeded"}}, "UploadPart")
            return await upload(**arguments)

        monkeypatch.setattr(client, "upload_part", fails_at_two)
        storage = in_parts(client)
        with pytest.raises(StorageFull):
            await storage.put("broken.mp4", large, "video/mp4")
        assert "Uploads" not in await client.list_multipart_uploads(Bucket=BUCKET)
        assert await storage.stat("broken.mp4") is None


async def test_an_interrupted_read_continues_where_it_stopped(s3_endpoint: str, tmp_path: Path) -> None:
    data = bytes(range(256)) * 8192
    (tmp_path / "source").write_bytes(data)
    async with open_storage(f"s3://{BUCKET}?endpoint={s3_endpoint}") as storage:
        await storage.put("whole.bin", tmp_path / "source", "video/mp4")
    async with _breaking_proxy(s3_endpoint, after=1_000_000) as (proxy, connections):
        async with open_storage(f"s3://{BUCKET}?endpoint={proxy}") as storage:
            assert b"".join([chunk async for chunk in storage.read("whole.bin")]) == data
        assert len(connections) > 1


async def test_a_server_that_does_not_answer_is_unavailable(
    s3_endpoint: str, tmp_path: Path, unused_tcp_port: int
) -> None:
    (tmp_path / "source").write_bytes(b"x")
    async with open_storage(f"s3://{BUCKET}?endpoint=http://127.0.0.1:{unused_tcp_port}") as storage:
        with pytest.raises(StorageUnavailable) as refused:
            await storage.stat("a")
        assert "127.0.0.1" not in str(refused.value)


async def test_a_missing_bucket_is_unavailable_and_not_empty(s3_endpoint: str, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x")
    async with open_storage(f"s3://no-such-bucket?endpoint={s3_endpoint}") as storage:
        with pytest.raises(StorageUnavailable):
            await storage.check()
        with pytest.raises(StorageUnavailable):
            await storage.put("a", tmp_path / "source", "video/mp4")


@asynccontextmanager
async def _breaking_proxy(endpoint: str, after: int) -> AsyncIterator[tuple[str, list[int]]]:
    """A proxy that breaks its first connection after `after` bytes of response; yields its URL and its connections."""
    host, port = endpoint.removeprefix("http://").split(":")
    calls: list[int] = []
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.append(1)
        budget = after if len(calls) == 1 else 1 << 40
        upstream_reader, upstream_writer = await asyncio.open_connection(host, int(port))

        async def upwards() -> None:
            while data := await reader.read(65536):
                upstream_writer.write(data)
            upstream_writer.close()

        sending = asyncio.create_task(upwards())
        try:
            while budget > 0 and (data := await upstream_reader.read(min(65536, budget))):
                budget -= len(data)
                writer.write(data)
                await writer.drain()
        finally:
            sending.cancel()
            upstream_writer.close()
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", calls
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await server.wait_closed()
