"""What an image contains is enough: it has one extra's packages, and of the project only what the Dockerfile copies."""

import os
import re
import subprocess
import sys
import tomllib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import Any

import pytest

from schemas.topics import SERVICES

ROOT = Path(__file__).parents[2]
PACKAGES = {"schemas", "chassis", "media", "worker", "services", "cli"}
NOT_IN_AN_IMAGE = {"embedded", "devtools", "tests"}
PROBING_SERVICES = ("ingest", "transcoder", "thumbnailer")
"""They probe customers' files in a child process that loads `media.sandbox_probe` and pyvips."""
ENVIRONMENT = {
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/bitmill",
    "STORAGE_URL": "file:///nowhere",
    "WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}
"""Enough to construct every service; nothing is started."""

WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
"""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def distributions(extra: str) -> set[str]:
    """What an extra installs, with the extras that it includes."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    found = set()
    for requirement in extras[extra]:
        if included := re.fullmatch(r"bitmill\[(.+)\]", requirement):
            found |= set().union(*(distributions(name) for name in included[1].split(",")))
        else:
            found.add(name_of(requirement))
    return found


def name_of(requirement: str) -> str:
    """The distribution that a requirement names."""
    return normal(re.split(r"[\[<>=~!; (]", requirement, maxsplit=1)[0])


def base_distributions() -> set[str]:
    """What is installed with every extra: the project's dependencies and what they need."""
    found: set[str] = set()
    waiting = [
        name_of(each) for each in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    ]
    while waiting:
        if (name := waiting.pop()) in found:
            continue
        found.add(name)
        with suppress(PackageNotFoundError):  # only needed on other systems
            waiting += [name_of(each) for each in requires(name) or () if "extra ==" not in each]
    return found


def run_in_image(service: Any, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python code where the packages of all other extras, and those that images do not contain, are missing."""
    # Not of `dev` either: what only the tests have is not in an image.
    others = (distributions("all") | distributions("dev")) - distributions(service) - base_distributions()
    missing = {
        module for module, owners in packages_distributions().items() if others & {normal(owner) for owner in owners}
    }
    assert "rich" in missing
    program = WITHOUT.format(missing=missing | NOT_IN_AN_IMAGE) + code
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **ENVIRONMENT},
    )


def bitmill_in_image(service: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_in_image(service, "from cli.__main__ import main\nsys.exit(main(sys.argv[1:]))", *arguments)


def test_the_image_contains_the_packages_of_the_services_and_the_command() -> None:
    copied = re.findall(r"^COPY (\w+) \1$", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE)
    assert set(copied) == PACKAGES
    allowed = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().splitlines()
    assert {f"!{package}" for package in PACKAGES} <= set(allowed)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_constructed_with_its_own_extra_alone(service: Any) -> None:
    modules = ["media.sandbox_probe", "pyvips"] if service in PROBING_SERVICES else ["sys"]
    code = f"import {', '.join(modules)}\nfrom cli.service_commands import build\nbuild({service!r})"
    done = run_in_image(service, code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_the_command_of_the_image_starts(service: Any) -> None:
    done = bitmill_in_image(service, "serve", service, "--help")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("command", "status"), [("gateway --help", 0), ("settings", 0), ("keys list --help", 0), ("keys list", 1)]
)
def test_other_commands_work_in_an_image(command: str, status: int) -> None:
    done = bitmill_in_image("catalog", *command.split())
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        ("up", "up"),
        ("serve transcoder", "transcoder"),
        ("video -i clip.mov -o small.mp4 --local", "cli"),
    ],
)
def test_a_command_that_needs_another_extra_names_it(command: str, extra: str) -> None:
    done = bitmill_in_image("catalog", *command.split())
    assert done.returncode == 2
    assert done.stderr.endswith(f": install the extra bitmill[{extra}]\n")
    assert len(done.stderr.splitlines()) == 1


def test_the_commands_of_the_api_need_no_extra() -> None:
    modules = ("job_command", "cloud_run", "job_actions", "media_actions", "connections", "upload_command", "login")
    code = "\n".join(f"import cli.{module}" for module in (*modules, "webhooks", "health", "task_command", "reporter"))
    assert run_in_image("catalog", f"{code}\nprint('imported')").stdout == "imported\n"
