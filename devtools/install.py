"""Installs bitmill and its packages into `.venv`; run by `make install`, or as `python3 devtools/install.py`.

Any Python from 3.7 on can run it: it looks for one that is new enough. It imports nothing but the standard library.
Each problem that a machine can have is said in one sentence with what to do.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

OLDEST, NEWEST = 11, 14
"""The minor versions of Python 3 that are looked for."""
_LAUNCHER = """\
#!/bin/sh
# Written because the path of this folder has a character that the first line of the script from pip cannot have.
exec "$(dirname -- "$0")/python" -P -m cli "$@"
"""


class InstallError(Exception):
    """A sentence for the user that says what to do."""


def main(arguments: list[str]) -> int:
    """Exit status: 0 installed, 1 with a sentence why not. The argument is the command to name in the sentence."""
    folder = Path(__file__).resolve().parents[1]
    command = arguments[0] if arguments else "python3 devtools/install.py"
    if sys.version_info < (3, OLDEST):
        return _with_newer_python(command, arguments)
    try:
        with _one_at_a_time(folder):
            if not is_installed(folder):
                install(folder)
    except OSError as error:
        return _say(explain_os_error(error, folder))
    except InstallError as error:
        return _say(str(error))
    except KeyboardInterrupt:
        return 130
    return 0


def _say(sentence: str) -> int:
    sys.stderr.write(f"bitmill: {sentence}\n")
    return 1


def _with_newer_python(command: str, arguments: list[str]) -> int:
    found = newer_python(shutil.which)
    if found is None:
        have = f"{sys.version_info[0]}.{sys.version_info[1]}"
        how = "make PYTHON=/path/to/python3.12 demo" if command.startswith("make") else f"python3.12 {sys.argv[0]}"
        return _say(
            f"needs Python 3.{OLDEST} or newer, and this is {have}: install one, and name it if need be ({how})."
        )
    return subprocess.call([found, *sys.argv[:1], *arguments])


def newer_python(which: Callable[[str], str | None]) -> str | None:
    """The newest Python that is new enough and works, by its usual name."""
    for minor in range(NEWEST, OLDEST - 1, -1):
        found = which(f"python3.{minor}")
        if found and subprocess.call([found, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            return found
    return None


def is_installed(folder: Path) -> bool:
    """Whether everything is there and as new as the lists of packages; another process may have done it."""
    done = folder / ".venv" / ".installed"
    try:
        newest = max((folder / name).stat().st_mtime for name in ("pyproject.toml", "constraints.txt"))
        return done.stat().st_mtime >= newest
    except FileNotFoundError:
        return False


def install(folder: Path) -> None:
    """Make the virtual environment, fill it, and note that it is complete. Raises `InstallError` or `OSError`."""
    environment = folder / ".venv"
    environment.mkdir(exist_ok=True)  # fails at once where nothing can be written
    python = environment / "bin" / "python"
    if not _is_usable(python):
        print("Setting up .venv", flush=True)
        _make_environment(environment)
    print("Installing packages into .venv (a minute or two, once)", flush=True)
    pip = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input"]
    packages = ["--constraint", "constraints.txt", "--editable", ".[all,dev]"]
    # No headers of the system are found, so that pyvips is not compiled against a libvips of the system.
    variables = {**os.environ, "PKG_CONFIG_LIBDIR": "/nonexistent"}
    done = subprocess.run(
        [*pip, *packages],
        cwd=folder,
        env=variables,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise InstallError(explain_pip(done.stderr, folder))
    sys.stderr.write(done.stderr)
    _repair_launchers(environment / "bin")
    (environment / ".installed").touch()


def _is_usable(python: Path) -> bool:
    """Whether an environment is whole and new enough: without ensurepip, or interrupted, one is left without pip."""
    check = f"import pip, sys; sys.exit(sys.version_info < (3, {OLDEST}))"
    try:
        return subprocess.call([str(python), "-c", check], stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def _make_environment(environment: Path) -> None:
    version = f"3.{sys.version_info[1]}"
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as error:
        raise InstallError(
            f"this Python {version} has no module {error.name}: install it (Debian and Ubuntu: apt install "
            f"python{version}-venv), then repeat the command."
        ) from None
    command = [sys.executable, "-m", "venv", "--clear", str(environment)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise InstallError(explain_pip(done.stdout, environment.parent))


def _repair_launchers(folder: Path) -> None:
    """Replace the commands that pip has written if they do not run, because of a quote in their path for example."""
    for name in ("bitmill", "ittybit"):
        script = folder / name
        try:
            works = (
                subprocess.call([str(script), "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
            )
        except OSError:
            works = False
        if not works:
            script.write_text(_LAUNCHER)
            script.chmod(0o755)


def explain_pip(output: str, folder: Path) -> str:
    """What to do about the output of a failed `pip` or `venv`; with its last lines if that is not known (pure)."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if "No space left on device" in output or "Disk quota exceeded" in output:
        return _full(folder)
    if "CERTIFICATE_VERIFY_FAILED" in output:
        return (
            "pip does not trust the certificate of the package index: if a proxy of yours signs connections, set "
            "PIP_CERT and SSL_CERT_FILE to the certificate of its authority."
        )
    if "Failed to establish a new connection" in output or "NameResolutionError" in output or "ProxyError" in output:
        return (
            "the package index cannot be reached: connect to a network, or set HTTPS_PROXY or PIP_INDEX_URL to what "
            f"your network has. pip says: {lines[-1]}"
        )
    return "the packages could not be installed; pip says:\n" + "\n".join(lines[-5:])


def explain_os_error(error: OSError, folder: Path) -> str:
    """What to do about a folder that cannot be written to (pure)."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _full(folder)
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return (
            f"{folder} cannot be written to ({error.strerror}): everything is installed below it, so copy it to a "
            "folder of your own and repeat the command there."
        )
    return f"cannot install into {folder}: {error}"


def _full(folder: Path) -> str:
    return (
        f"the disk of {folder}, or that of the temporary folder, is full: free 2 GB there, or set TMPDIR to a folder "
        "on another disk, and repeat the command."
    )


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold a lock on the project's folder: two demos that start at once would install into the same `.venv`."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting for another installation into this folder", flush=True)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
