"""The self-test of the sandbox: what it finds, when it refuses a start, and that it tries once per process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from chassis.adapters.sandbox import attempts, self_test
from chassis.adapters.sandbox.confine import SandboxReport
from chassis.adapters.sandbox.limits import SandboxMode
from chassis.adapters.sandbox.self_test import SandboxState
from chassis.core.settings import StartRefused

ROOT = Path(__file__).parents[4]
WITHOUT_LANDLOCK = ROOT / "tests" / "support" / "without_landlock.py"
REPORT = SandboxReport(landlock=0, seccomp=True, namespaces=True, dies_with_parent=True)
STRONG = SandboxState((), {**REPORT, "landlock": 7})
WEAK = SandboxState(("read_a_file", "write_a_file"), REPORT)
TRY = """
import asyncio, json
from chassis.adapters.sandbox import self_test
async def main():
    states = await asyncio.gather(self_test.state(), self_test.state())
    assert states[0] is states[1] is await self_test.state()
    print(json.dumps([states[0].possible, states[0].report]))
asyncio.run(main())
"""


def _try(*before: str) -> tuple[list[str], SandboxReport]:
    """The self-test of a new process, which `before` starts."""
    command = [*before, sys.executable, "-c", TRY]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    possible, report = json.loads(done.stdout)
    return possible, report


def test_it_finds_everything_denied_where_the_kernel_has_everything() -> None:
    possible, report = _try()
    if not report["landlock"] or not report["seccomp"]:
        pytest.skip("this kernel does not enforce the sandbox: bitmill starts only with SANDBOX=weak here")
    assert possible == []


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock is of Linux")
def test_it_finds_what_is_possible_without_landlock() -> None:
    possible, report = _try(sys.executable, str(WITHOUT_LANDLOCK))
    assert report["landlock"] == 0
    assert set(possible) == set(attempts.NEEDS_LANDLOCK)


def test_a_weak_sandbox_refuses_the_start_and_says_what_to_do() -> None:
    with pytest.raises(StartRefused) as refused:
        self_test.judge(WEAK, "required")
    sentence = str(refused.value)
    assert "could read a file, write a file (Landlock: none, system call filter: yes)" in sentence
    assert "Linux 5.13" in sentence and "SANDBOX=weak" in sentence


def test_a_weak_sandbox_starts_with_a_warning_if_that_is_set() -> None:
    with capture_logs() as logs:
        assert self_test.judge(WEAK, "weak") is WEAK
    assert [(entry["event"], entry["log_level"], entry["possible"]) for entry in logs] == [
        ("sandbox_weak", "warning", ["read_a_file", "write_a_file"])
    ]


@pytest.mark.parametrize("mode", ["required", "weak"])
def test_a_strong_sandbox_starts_in_both_modes(mode: SandboxMode) -> None:
    with capture_logs() as logs:
        assert self_test.judge(STRONG, mode) is STRONG
    assert [(entry["event"], entry["landlock"]) for entry in logs] == [("sandbox_checked", 7)]


async def test_readyz_shows_the_result() -> None:
    assert await WEAK.check() == {"enforced": False, "possible": ["read_a_file", "write_a_file"], **REPORT}
    assert (await STRONG.check())["enforced"] is True


def test_the_summary_is_one_line() -> None:
    assert STRONG.summary() == f"enforced: {len(attempts.ATTEMPTS)} attempts denied (Landlock 7, system call filter)"
    assert WEAK.summary() == "WEAK: input that takes a decoder over could read a file, write a file"
