"""What only the store on a disk does."""

import asyncio
import errno
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from chassis.adapters.storage import StorageFull, StorageUnavailable, local, open_storage
from chassis.adapters.storage import file_ops as files
from chassis.adapters.storage.local import TEMPORARY, LocalStorage

KEY = "prj/jobs/job/file.mp4"


@pytest.fixture
def store(tmp_path: Path) -> LocalStorage:
    opened = LocalStorage(tmp_path / "store")
    opened.prepare()
    return opened


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"x" * 100_000)
    return path


def half_written(store: LocalStorage) -> list[Path]:
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
async def test_a_full_disk_is_told_and_leaves_nothing(
    store: LocalStorage, source: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files, "_in_kernel", full)
    with pytest.raises(StorageFull, match="no room"):
        await store.put(KEY, source, "video/mp4")
    assert half_written(store) == []
    assert await store.stat(KEY) is None


async def test_file_systems_that_cannot_share_blocks_are_copied_by_hand(
    store: LocalStorage, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def across(*_: object) -> int:
        raise OSError(errno.EXDEV, "not here")

    monkeypatch.setattr(files, "_in_kernel", across)
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
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], capture_output=True, text=True, timeout=30
    )
    assert done.stdout.strip() == "full None", done.stderr


async def test_a_put_that_is_cancelled_never_appears(
    store: LocalStorage, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copying, go_on, over = threading.Event(), threading.Event(), threading.Event()
    real_copy, real_remove = files.copy_over, files.remove_quietly

    def slow(*arguments: object) -> int:
        copying.set()
        go_on.wait(10)
        return real_copy(*arguments)  # type: ignore[arg-type]

    def removed(path: Path) -> None:
        real_remove(path)
        over.set()

    monkeypatch.setattr(local, "copy_over", slow)
    monkeypatch.setattr(local, "remove_quietly", removed)
    putting = asyncio.create_task(store.put(KEY, source, "video/mp4"))
    await asyncio.to_thread(copying.wait, 10)
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    go_on.set()
    assert await asyncio.to_thread(over.wait, 10)
    assert await store.stat(KEY) is None
    assert half_written(store) == []


async def test_leftovers_of_killed_processes_go_after_a_day(tmp_path: Path) -> None:
    incoming = tmp_path / "store" / TEMPORARY
    incoming.mkdir(parents=True)
    (incoming / "old").write_bytes(b"half")
    (incoming / "young").write_bytes(b"half")
    os.utime(incoming / "old", (0, 0))
    async with open_storage(f"file://{tmp_path}/store"):
        assert [path.name for path in incoming.iterdir()] == ["young"]


async def test_empty_folders_go_with_their_last_object(store: LocalStorage, source: Path, tmp_path: Path) -> None:
    await store.put(KEY, source, "video/mp4")
    await store.put("prj/jobs/other/file.mp4", source, "video/mp4")
    await store.delete(KEY)
    assert not (tmp_path / "store/prj/jobs/job").exists()
    assert (tmp_path / "store/prj/jobs/other/file.mp4").exists()


async def test_a_store_whose_folder_went_away_is_unavailable(store: LocalStorage, tmp_path: Path) -> None:
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    with pytest.raises(StorageUnavailable):
        await store.check()


async def test_without_extended_attributes_the_extension_tells_the_type(
    store: LocalStorage, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object) -> bytes:
        raise OSError(errno.EOPNOTSUPP, "not here")

    monkeypatch.setattr(os, "setxattr", unsupported, raising=False)
    monkeypatch.setattr(os, "getxattr", unsupported, raising=False)
    assert (await store.put(KEY, source, "video/mp4")).content_type == "video/mp4"


@pytest.mark.parametrize("url", ["", "/var/lib", "http://host/x", "file://host/x", "s3:///no-bucket", "ftp://x/y"])
async def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="a storage URL is"):
        async with open_storage(url):
            pass


def test_a_local_store_does_not_load_botocore() -> None:
    code = "import sys, chassis.adapters.storage; sys.exit('botocore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == 0
