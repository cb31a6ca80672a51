"""The storage protocol, on a local folder and on S3."""

import asyncio
import time
from pathlib import Path

import pytest

from chassis.adapters.storage import InvalidKey, ObjectMissing, Stat, Storage, StorageUnavailable

KEY = "prj_1/jobs/job_1/file_1.mp4"
BAD_KEYS = ["", "/etc/passwd", "../up", "a/../b", "a//b", "a/", ".incoming/x", "a/.b", "a\x00b", "a b", "ä", "x" * 1025]


def a_file(folder: Path, data: bytes) -> Path:
    path = folder / "made-by-a-child"
    path.write_bytes(data)
    return path


async def collected(storage: Storage, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in storage.read(key, start, end)])


async def test_a_stored_file_can_be_read_and_downloaded(storage: Storage, tmp_path: Path) -> None:
    data = bytes(range(256)) * 4096
    stored = await storage.put(KEY, a_file(tmp_path, data), "video/mp4")
    assert (stored.size, stored.content_type) == (len(data), "video/mp4")
    assert '"' not in stored.etag and stored.etag
    assert await storage.stat(KEY) == stored
    assert await collected(storage, KEY) == data
    await storage.download(KEY, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == data


async def test_the_content_type_is_the_given_one_not_that_of_the_extension(storage: Storage, tmp_path: Path) -> None:
    assert (await storage.put("a/b.bin", a_file(tmp_path, b"x"), "video/x-matroska")).content_type == "video/x-matroska"


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, None, b"0123456789"),
        (0, 4, b"0123"),
        (3, 4, b"3"),
        (7, None, b"789"),
        (7, 99, b"789"),
        (5, 5, b""),
        (10, None, b""),
    ],
)
async def test_ranges_work_like_slices(
    storage: Storage, tmp_path: Path, start: int, end: int | None, expected: bytes
) -> None:
    await storage.put(KEY, a_file(tmp_path, b"0123456789"), "video/mp4")
    assert await collected(storage, KEY, start, end) == expected


async def test_an_empty_object_can_be_stored(storage: Storage, tmp_path: Path) -> None:
    assert (await storage.put(KEY, a_file(tmp_path, b""), "text/plain")).size == 0
    assert await collected(storage, KEY) == b""


async def test_a_second_put_replaces_the_first_and_changes_the_etag(storage: Storage, tmp_path: Path) -> None:
    first = await storage.put(KEY, a_file(tmp_path, b"first"), "video/mp4")
    second = await storage.put(KEY, a_file(tmp_path, b"other"), "video/mp4")
    assert await collected(storage, KEY) == b"other"
    assert first.etag != second.etag


async def test_a_missing_object_is_reported_as_missing(storage: Storage, tmp_path: Path) -> None:
    assert await storage.stat("no/such") is None
    with pytest.raises(ObjectMissing):
        await collected(storage, "no/such")
    with pytest.raises(ObjectMissing):
        await storage.download("no/such", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    await storage.delete("no/such")


async def test_a_deleted_object_is_gone_and_can_be_put_again(storage: Storage, tmp_path: Path) -> None:
    source = a_file(tmp_path, b"data")
    await storage.put(KEY, source, "video/mp4")
    await storage.delete(KEY)
    assert await storage.stat(KEY) is None
    await storage.put(KEY, source, "video/mp4")
    assert await collected(storage, KEY) == b"data"


async def test_concurrent_puts_and_deletes_leave_complete_objects_or_none(storage: Storage, tmp_path: Path) -> None:
    source = a_file(tmp_path, b"data" * 1000)
    keys = [f"prj/jobs/job/{number}.mp4" for number in range(8)]
    puts = asyncio.gather(*(storage.put(key, source, "video/mp4") for key in keys), return_exceptions=True)
    deletes = asyncio.gather(*(storage.delete(key) for key in keys[:4]))
    stored, _ = await asyncio.gather(puts, deletes)
    # A put whose object was deleted before its stat raises StorageUnavailable; anything else is a bug.
    assert all(isinstance(one, Stat | StorageUnavailable) for one in stored)
    assert all(isinstance(one, Stat) for one in stored[4:])
    for key in keys[4:]:
        assert await collected(storage, key) == b"data" * 1000


@pytest.mark.parametrize("key", BAD_KEYS)
async def test_keys_that_could_point_out_of_the_storage_are_invalid(storage: Storage, tmp_path: Path, key: str) -> None:
    source = a_file(tmp_path, b"x")
    with pytest.raises(InvalidKey):
        await storage.put(key, source, "video/mp4")
    with pytest.raises(InvalidKey):
        await storage.stat(key)
    with pytest.raises(InvalidKey):
        await collected(storage, key)
    with pytest.raises(InvalidKey):
        await storage.delete(key)
    with pytest.raises(InvalidKey):
        storage.local_path(key)


async def test_a_symbolic_link_in_place_of_the_file_is_not_followed(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of another tenant")
    (tmp_path / "out.mp4").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="symbolic links"):
        await storage.put(KEY, tmp_path / "out.mp4", "video/mp4")
    with pytest.raises(ValueError, match="plain files"):
        await storage.put(KEY, tmp_path, "video/mp4")
    assert await storage.stat(KEY) is None


async def test_storage_that_works_passes_its_check(storage: Storage) -> None:
    await storage.check()


async def test_a_listing_has_every_object_with_its_size_and_time(storage: Storage, tmp_path: Path) -> None:
    source = tmp_path / "source"
    keys = {f"prj_{number % 3}/jobs/{number}/file.mp4" for number in range(7)} | {"top.mp4"}
    for key in keys:
        source.write_bytes(key.encode())
        await storage.put(key, source, "video/mp4")
    listed = [each async for each in storage.list_objects()]
    assert sorted(each.key for each in listed) == sorted(keys)
    assert all(each.size == len(each.key) and abs(each.modified - time.time()) < 600 for each in listed)
    await storage.delete("top.mp4")
    assert "top.mp4" not in {each.key async for each in storage.list_objects()}
