"""What a confined child cannot do. A test is skipped if this machine does not enforce its protection."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from chassis.adapters.sandbox.confine import SandboxReport
from chassis.adapters.sandbox.limits import Limits
from tests.chassis.adapters.sandbox.support import PYTHON, run


async def test_a_child_reads_only_allowed_paths(protections: SandboxReport, tmp_path: Path) -> None:
    if not protections["landlock"]:
        pytest.skip("this kernel has no Landlock")
    mine, other = tmp_path / "mine.mp4", tmp_path / "other.mp4"
    mine.write_text("mine")
    other.write_text("another tenant's")
    limits = Limits(readable=(*PYTHON, mine))
    assert (await run("import sys; print(open(sys.argv[1]).read())", str(mine), limits=limits)).stdout == b"mine\n"
    for forbidden in (other, Path("/etc/passwd"), Path("/proc/1/environ"), tmp_path):
        finished = await run("import os, sys; os.open(sys.argv[1], os.O_RDONLY)", str(forbidden), limits=limits)
        assert "PermissionError" in finished.stderr_tail, forbidden


async def test_a_child_writes_only_to_allowed_paths(protections: SandboxReport, tmp_path: Path) -> None:
    if not protections["landlock"]:
        pytest.skip("this kernel has no Landlock")
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    limits = Limits(readable=PYTHON, writable=(inside,))
    code = "import sys; open(sys.argv[1] + '/file', 'w').write('x')"
    assert (await run(code, str(inside), limits=limits)).returncode == 0
    assert "PermissionError" in (await run(code, str(outside), limits=limits)).stderr_tail
    link = await run("import os, sys; os.symlink('/etc/passwd', sys.argv[1] + '/link')", str(inside), limits=limits)
    assert "PermissionError" in link.stderr_tail


async def test_a_child_cannot_start_other_programs(protections: SandboxReport) -> None:
    if not protections["landlock"]:
        pytest.skip("this kernel has no Landlock")
    finished = await run("import os; os.execv('/bin/sh', ['sh', '-c', 'echo out'])")
    assert "PermissionError" in finished.stderr_tail


async def test_a_child_cannot_connect_over_tcp(protections: SandboxReport) -> None:
    if not (protections["seccomp"] or protections["namespaces"] or protections["landlock"] >= 4):
        pytest.skip("this machine has no means to block the network")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        finished = await run("import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])))", port)
        assert finished.returncode != 0
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


async def test_a_child_cannot_connect_to_a_unix_socket(protections: SandboxReport, tmp_path: Path) -> None:
    if not protections["seccomp"]:
        pytest.skip("this machine filters no system calls")
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        code = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
        finished = await run(code, path, limits=Limits(readable=PYTHON, writable=(tmp_path,)))
    assert "PermissionError" in finished.stderr_tail


_OPEN = """
import os
def is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
print([number for number in range(256) if is_open(number)])
"""


async def test_a_program_inherits_no_file_descriptor(tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        finished = await run(_OPEN)
    assert finished.stdout == b"[0, 1, 2]\n"


async def test_the_report_has_every_protection(protections: SandboxReport) -> None:
    assert set(protections) == {"landlock", "seccomp", "namespaces", "dies_with_parent"}


def test_the_exec_wrapper_imports_few_modules() -> None:
    """Its imports are most of what a child costs: 20 ms as it is, ten times as much with asyncio."""
    root = str(Path(__file__).parents[4])
    code = f"import sys; sys.path.append({root!r}); import chassis.adapters.sandbox.exec_wrapper; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"asyncio", "pathlib", "dataclasses", "logging"} & set(loaded.split())
