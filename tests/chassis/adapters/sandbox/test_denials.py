"""Each attempt of `attempts` by name, in a real child of each kind: a program, and a fork of the fork server."""

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chassis.adapters.sandbox import attempts, child
from chassis.adapters.sandbox.confine import SandboxReport
from chassis.adapters.sandbox.fork_server import ForkServer
from chassis.adapters.sandbox.limits import Limits

MODULE = "chassis.adapters.sandbox.attempts"
Denied = dict[str, list[str]]
"""By the kind of child, the names of the attempts that were denied."""


@pytest.fixture(scope="module")
async def denied(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Denied]:
    folder = tmp_path_factory.mktemp("outside")
    file = folder / "file"
    file.write_text("another customer's")
    limits = Limits(readable=(Path(sys.base_prefix), Path(attempts.__file__)))
    program = [os.path.realpath(sys.executable), "-I", "-S", attempts.__file__, str(file), str(folder)]
    finished = await child.run(program, limits)
    assert finished.returncode == 0, finished.stderr_tail
    async with ForkServer(MODULE) as server:
        fork = await server.call(f"{MODULE}:denied", {"file": str(file), "folder": str(folder)}, Limits())
    yield {"program": finished.stdout.decode().split(), "fork": fork}


@pytest.mark.parametrize("attempt", attempts.ATTEMPTS)
@pytest.mark.parametrize("kind", ["program", "fork"])
def test_it_is_denied_to(kind: str, attempt: str, denied: Denied, protections: SandboxReport) -> None:
    if attempt in attempts.NEEDS_LANDLOCK and not protections["landlock"]:
        pytest.skip("this kernel has no Landlock: bitmill starts only with SANDBOX=weak here")
    if attempt not in attempts.NEEDS_LANDLOCK and not protections["seccomp"]:
        pytest.skip("this system filters no system calls: bitmill starts only with SANDBOX=weak here")
    assert attempt in denied[kind]


@pytest.mark.parametrize("attempt", attempts.ATTEMPTS)
def test_outside_of_the_sandbox_it_is_possible(attempt: str, tmp_path: Path) -> None:
    """An attempt that always fails would show nothing."""
    if sys.platform != "linux":
        pytest.skip("the attempts are calls of Linux")
    file = tmp_path / "file"
    file.write_text("x")
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            # Executing a program ends this process with status 0 as well.
            status = int(attempt in attempts.denied(str(file), str(tmp_path), names=(attempt,)))
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
