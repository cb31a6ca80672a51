"""What an image installs is enough: each service is imported where the packages of all other extras are missing."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from schemas.topics import SERVICES

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
READERS = ("ingest", "transcoder", "thumbnailer")
"""They look into customers' files, in a child that loads `media.sandbox_probe` and pyvips."""

IMPORT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing!r}:
            raise ModuleNotFoundError(f"{{name}} is of another extra", name=name)
sys.meta_path.insert(0, Missing())
import {modules}
"""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def extras() -> dict[str, list[str]]:
    found: dict[str, list[str]] = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    return found


def distributions(extra: str) -> set[str]:
    """What an extra installs, those that it includes among them."""
    found = set()
    for requirement in extras()[extra]:
        if included := re.fullmatch(r"bitmill\[(.+)\]", requirement):
            found |= set().union(*(distributions(name) for name in included[1].split(",")))
        else:
            found.add(normal(re.split(r"[\[<>=~! ]", requirement, maxsplit=1)[0]))
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_starts_with_its_own_extra_alone(service: Any) -> None:
    others = distributions("all") - distributions(service)
    missing = {
        module for module, owners in packages_distributions().items() if others & {normal(owner) for owner in owners}
    }
    assert missing
    modules = [f"services.{service}.__main__", "cli.__main__", "cli.serve", "cli.keys"]
    if service in READERS:
        modules += ["media.sandbox_probe", "pyvips"]
    code = IMPORT.format(missing=missing, modules=", ".join(modules))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=PYPROJECT.parent
    )
    assert done.returncode == 0, done.stderr
