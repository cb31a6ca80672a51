"""Storage in a local folder: disk full, cancellation, unfinished files, content types."""

import asyncio
import errno
import os
import subprocess
import sys
import textwrap
import threading
from functools import partial
from pathlib import Path
from typing import BinaryIO

import pytest

from chassis.adapters.storage import StorageFull, StorageUnavailable, open_storage
from chassis.adapters.storage.file_ops import CopyRange, copy_file
from chassis.adapters.storage.local import TEMPORARY, LocalStorage
from tests.support.waiting import until

KEY = "prj/jobs/job/file.mp4"


def opened(root: Path, *, copy_range: CopyRange | None = None) -> LocalStorage:
    """Storage below `root`; `copy_range` replaces the system call."""
    copy = copy_file if copy_range is None else partial(copy_file, copy_range=copy_range)
    storage = LocalStorage(root, copy=copy)
    storage.prepare()
    return storage


@pytest.fixture
def store(tmp_path: Path) -> LocalStorage:
    return opened(tmp_path / "store")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"x" * 100_000)
    return path


def unfinished(store: LocalStorage) -> list[Path]:
    root = store.local_path("a")
    assert root is not None
    return list((root.parent / TEMPORARY).iterdir())


async def test_local_path_is_the_stored_file(store: LocalStorage, source: Path) -> None:
    await store.put(KEY, source, "video/mp4")
    path = store.local_path(KEY)
    assert path is not None and path.read_bytes() == source.read_bytes()


async def test_the_object_does_not_share_its_bytes_with_the_source(store: LocalStorage, source: Path) -> None:
    await store.put(KEY, source, "video/mp4")
    with source.open("r+b") as file:
        file.write(b"changed later")
    path = store.local_path(KEY)
    assert path is not None and path.read_bytes() == b"x" * 100_000


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_disk_is_reported_and_leaves_nothing(source: Path, tmp_path: Path, number: int) -> None:
    def full(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    store = opened(tmp_path / "store", copy_range=full)
    with pytest.raises(StorageFull, match="no space left"):
        await store.put(KEY, source, "video/mp4")
    assert unfinished(store) == []
    assert await store.stat(KEY) is None


async def test_a_copy_reads_and_writes_if_the_file_systems_cannot_share_blocks(source: Path, tmp_path: Path) -> None:
    def unsupported(*_: object) -> int:
        raise OSError(errno.EXDEV, "two file systems")

    store = opened(tmp_path / "store", copy_range=unsupported)
    assert (await store.put(KEY, source, "video/mp4")).size == 100_000
    path = store.local_path(KEY)
    assert path is not None and path.read_bytes() == source.read_bytes()


def test_a_limit_on_file_size_is_a_full_store(tmp_path: Path) -> None:
    script = """
        import asyncio, resource, sys
        from pathlib import Path
        from chassis.adapters.storage import StorageFull, open_storage
        async def main():
            async with open_storage(f"file://{sys.argv[1]}/store") as storage:
                Path(sys.argv[1], "source").write_bytes(b"x" * 300_000)
                resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
                try:
                    await storage.put("a/b.mp4", Path(sys.argv[1], "source"), "video/mp4")
                except StorageFull:
                    print("full", await storage.stat("a/b.mp4"))
        asyncio.run(main())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "full None", done.stderr


async def test_a_cancelled_put_stores_nothing(source: Path, tmp_path: Path) -> None:
    copying, go_on = threading.Event(), threading.Event()

    def slow(incoming: BinaryIO, outgoing: BinaryIO, cancelled: threading.Event) -> int:
        copying.set()
        go_on.wait(60)
        return copy_file(incoming, outgoing, cancelled)

    store = LocalStorage(tmp_path / "store", copy=slow)
    store.prepare()
    putting = asyncio.create_task(store.put(KEY, source, "video/mp4"))
    await asyncio.to_thread(copying.wait, 60)
    assert len(unfinished(store)) == 1
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    go_on.set()
    await until(lambda: unfinished(store) == [], within=60)
    assert await store.stat(KEY) is None


async def test_unfinished_files_of_killed_processes_are_removed_after_a_day(tmp_path: Path) -> None:
    incoming = tmp_path / "store" / TEMPORARY
    incoming.mkdir(parents=True)
    (incoming / "old").write_bytes(b"half")
    (incoming / "young").write_bytes(b"half")
    os.utime(incoming / "old", (0, 0))
    async with open_storage(f"file://{tmp_path}/store"):
        assert [path.name for path in incoming.iterdir()] == ["young"]


async def test_an_empty_folder_is_removed_with_its_object(store: LocalStorage, source: Path, tmp_path: Path) -> None:
    await store.put(KEY, source, "video/mp4")
    await store.put("prj/jobs/other/file.mp4", source, "video/mp4")
    await store.delete(KEY)
    assert not (tmp_path / "store/prj/jobs/job").exists()
    assert (tmp_path / "store/prj/jobs/other/file.mp4").exists()


async def test_storage_whose_folder_is_gone_is_unavailable(store: LocalStorage, tmp_path: Path) -> None:
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    with pytest.raises(StorageUnavailable):
        await store.check()


async def test_without_extended_attributes_the_content_type_is_that_of_the_extension(
    store: LocalStorage, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object) -> bytes:
        raise OSError(errno.EOPNOTSUPP, "no extended attributes")

    monkeypatch.setattr(os, "setxattr", unsupported, raising=False)
    monkeypatch.setattr(os, "getxattr", unsupported, raising=False)
    assert (await store.put(KEY, source, "video/mp4")).content_type == "video/mp4"


@pytest.mark.parametrize("url", ["", "/var/lib", "http://host/x", "file://host/x", "s3:///no-bucket", "ftp://x/y"])
async def test_other_urls_raise_value_error(url: str) -> None:
    with pytest.raises(ValueError, match="a storage URL is"):
        async with open_storage(url):
            pass


def test_local_storage_does_not_import_botocore() -> None:
    code = "import sys, chassis.adapters.storage; sys.exit('botocore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
