"""The Node tools of the contract tests, in the versions of node/package-lock.json.

They are installed once per version into `.bitmill/node` of the checkout. Where Node is missing, tests that need it are
skipped, except in CI (the environment variable CI is set), where that is a failure.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SOURCES = Path(__file__).parent / "node"
_CACHE = Path(__file__).parents[2] / ".bitmill" / "node"
_INSTALL_SECONDS = 600.0
_RUN_SECONDS = 300.0
_QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "NO_COLOR": "1"}


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The folder `node_modules` with the tools."""
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        message = f"{' and '.join(missing)} not found: the published contracts cannot be checked with Node's tools"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return _install()


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Runs a command to its end and returns its output; fails the test with it if the command fails."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **_QUIET},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_RUN_SECONDS,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}:\n{done.stdout}"
    return done.stdout


def _install() -> Path:
    lock = (SOURCES / "package-lock.json").read_bytes()
    folder = _CACHE / hashlib.sha256(lock).hexdigest()[:16]
    complete = folder / ".installed"
    with _locked(_CACHE):
        if not complete.exists():
            folder.mkdir(exist_ok=True)
            for name in ("package.json", "package-lock.json"):
                shutil.copy(SOURCES / name, folder / name)
            subprocess.run(
                ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
                cwd=folder,
                check=True,
                timeout=_INSTALL_SECONDS,
            )
            complete.touch()
    return folder / "node_modules"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
