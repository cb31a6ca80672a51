"""Local files as objects of stores: complete or not at all, and never over what a later attempt has stored."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from chassis.adapters.s3.client import S3Store
from chassis.adapters.s3.errors import S3Error
from chassis.adapters.s3.parts import part_size
from chassis.adapters.s3.upload import MayWrite, Superseded, Writer, discard_object, upload_object
from tests.support.s3_servers import S3Server

MIB = 1024 * 1024
PART = 5 * MIB
"""The least that S3 takes for a part that is not the last."""
SIZES = {"at once": 100_000, "in parts": 2 * PART + 9}


async def always() -> None:
    pass


@pytest.fixture(params=SIZES)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(SIZES[request.param]))
    return path


@pytest.fixture(autouse=True)
async def empty(s3: S3Server) -> None:
    """Nothing of other tests, whose writers have the same names."""
    async with s3.open() as store:
        for key in await s3.keys("processed"):
            await store.client.delete_object(Bucket="processed", Key=key)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(os.urandom(SIZES["in parts"]))
    return path


async def put(store: S3Store, key: str, path: Path, attempt: int, may_write: MayWrite = always, run: int = 1) -> None:
    writer = Writer("job_1", run, attempt)
    await upload_object(store, "processed", key, path, "video/mp4", writer, may_write=may_write, part_bytes=PART)


async def test_a_file_is_stored_as_it_is(s3: S3Server, file: Path) -> None:
    async with s3.open() as store:
        await put(store, "a b/é.mp4", file, 1)
        head = await store.client.head_object(Bucket="processed", Key="a b/é.mp4")
    assert await s3.get("processed", "a b/é.mp4") == file.read_bytes()
    assert head["ContentType"] == "video/mp4"


async def test_nothing_is_at_the_key_until_all_is_there(s3: S3Server, file: Path) -> None:
    seen: list[bool] = []

    async def look() -> None:
        seen.append("atomic.mp4" in await s3.keys("processed"))

    async with s3.open() as store:
        await put(store, "atomic.mp4", file, 1, look)
    assert seen == [False] and "atomic.mp4" in await s3.keys("processed")


async def test_what_was_there_before_is_replaced(s3: S3Server, file: Path) -> None:
    await s3.put("processed", "old.mp4", b"of somebody else")
    async with s3.open() as store:
        await put(store, "old.mp4", file, 1)
    assert await s3.get("processed", "old.mp4") == file.read_bytes()


async def test_an_attempt_replaces_what_an_earlier_one_has_stored(s3: S3Server, file: Path, tmp_path: Path) -> None:
    (tmp_path / "first").write_bytes(b"of attempt 9")
    async with s3.open() as store:
        await put(store, "again.mp4", tmp_path / "first", 9)
        await put(store, "again.mp4", file, 10)
        assert await s3.get("processed", "again.mp4") == file.read_bytes()
        await put(store, "again.mp4", tmp_path / "first", 1, run=2)
    assert await s3.get("processed", "again.mp4") == b"of attempt 9"


async def test_an_attempt_that_was_given_up_replaces_nothing_of_a_later_one(
    s3: S3Server, file: Path, tmp_path: Path
) -> None:
    (tmp_path / "later").write_bytes(b"of attempt 2")
    async with s3.open() as store:
        await put(store, "fenced.mp4", tmp_path / "later", 2)
        with pytest.raises(Superseded):
            await put(store, "fenced.mp4", file, 1)
    assert await s3.get("processed", "fenced.mp4") == b"of attempt 2"
    assert await s3.uploads("processed") == 0


async def test_an_attempt_that_is_overtaken_between_looking_and_writing_replaces_nothing(
    s3: S3Server, file: Path, tmp_path: Path
) -> None:
    (tmp_path / "later").write_bytes(b"of attempt 2")
    overtaken: list[int] = []

    async with s3.open() as store:

        async def be_frozen() -> None:
            # Postgres has answered, and the process stands still until another attempt has ended.
            if not overtaken:
                overtaken.append(1)
                await put(store, "frozen.mp4", tmp_path / "later", 2)

        with pytest.raises(Superseded):
            await put(store, "frozen.mp4", file, 1, be_frozen)
    assert overtaken and await s3.get("processed", "frozen.mp4") == b"of attempt 2"
    assert await s3.uploads("processed") == 0


async def test_who_may_not_write_any_more_stores_nothing(s3: S3Server, file: Path) -> None:
    async def lost() -> None:
        raise PermissionError("the lease is lost")

    async with s3.open() as store:
        with pytest.raises(PermissionError):
            await put(store, "lost.mp4", file, 1, lost)
    assert "lost.mp4" not in await s3.keys("processed")
    assert await s3.uploads("processed") == 0


async def test_a_failed_and_a_cancelled_upload_leave_no_parts(s3: S3Server, large: Path) -> None:
    async with s3.open() as store:
        client: Any = store.client
        upload_part, begun = client.upload_part, asyncio.Event()

        async def fails_at_two(**arguments: Any) -> Any:
            if arguments["PartNumber"] == 2:
                raise client.exceptions.ClientError({"Error": {"Code": "QuotaExceeded"}}, "UploadPart")
            return await upload_part(**arguments)

        async def hangs_at_two(**arguments: Any) -> Any:
            if arguments["PartNumber"] == 2:
                begun.set()
                await asyncio.Event().wait()
            return await upload_part(**arguments)

        client.upload_part = fails_at_two
        with pytest.raises(S3Error) as failed:
            await put(store, "failed.mp4", large, 1)
        client.upload_part = hangs_at_two
        cancelled = asyncio.create_task(put(store, "cancelled.mp4", large, 1))
        await begun.wait()
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
    assert failed.value.reason == "full"
    assert await s3.uploads("processed") == 0
    assert not {"failed.mp4", "cancelled.mp4"} & set(await s3.keys("processed"))


async def test_a_write_whose_response_was_lost_is_found_to_be_stored(s3: S3Server, file: Path) -> None:
    async with s3.open() as store:
        client: Any = store.client
        for name in ("put_object", "complete_multipart_upload"):
            _lose_first_response(client, name)
        await put(store, "lost-response.mp4", file, 1)
    assert await s3.get("processed", "lost-response.mp4") == file.read_bytes()


async def test_only_what_the_writer_itself_has_stored_is_discarded(s3: S3Server, tmp_path: Path) -> None:
    (tmp_path / "own").write_bytes(b"own")
    async with s3.open() as store:
        await put(store, "discarded.mp4", tmp_path / "own", 2)
        assert not await discard_object(store, "processed", "discarded.mp4", Writer("job_1", 1, 1))
        assert not await discard_object(store, "processed", "nothing.mp4", Writer("job_1", 1, 1))
        assert await s3.get("processed", "discarded.mp4") == b"own"
        assert await discard_object(store, "processed", "discarded.mp4", Writer("job_1", 1, 2))
    assert "discarded.mp4" not in await s3.keys("processed")


async def test_an_upload_to_no_bucket_says_so(s3: S3Server, file: Path) -> None:
    async with s3.open() as store:
        with pytest.raises(S3Error) as failed:
            await upload_object(
                store,
                "no-such-bucket",
                "a",
                file,
                "video/mp4",
                Writer("job_1", 1, 1),
                may_write=always,
                part_bytes=PART,
            )
    assert failed.value.reason == "bucket_not_found"


def test_parts_grow_with_the_file_so_that_there_are_not_too_many() -> None:
    assert part_size(10 * MIB, 8 * MIB) == 8 * MIB
    size = 5 * 1024**4
    assert -(-size // part_size(size, 8 * MIB)) <= 10_000


def test_later_attempts_and_runs_are_later_and_others_work_is_not() -> None:
    writer = Writer("job_1", 2, 9)
    later = {text: writer.is_before(text) for text in ("job_1/2/10", "job_1/3/1", "job_1/2/9", "job_1/1/99")}
    assert list(later.values()) == [True, True, False, False]
    assert not any(writer.is_before(text) for text in ("job_2/9/9", "", "job_1", "job_1/x/1", "job_1/3", None))


def _lose_first_response(client: Any, name: str) -> None:
    method = getattr(client, name)
    lost: list[int] = []

    async def call(**arguments: Any) -> Any:
        response = await method(**arguments)
        if not lost:
            lost.append(1)
            raise ConnectionResetError("the response was lost")
        return response

    setattr(client, name, call)
