"""Which files a child may execute: its program and what the kernel starts for it."""

import os
import sys
from pathlib import Path

import pytest

from chassis.adapters.sandbox import child
from chassis.adapters.sandbox.limits import ChildDied
from chassis.adapters.sandbox.program import find
from tests.chassis.adapters.sandbox.support import LIMITS

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the loader of ELF files is one of Linux")


@linux_only
def test_a_program_and_its_loader() -> None:
    program = find(sys.executable)
    assert program.path == sys.executable
    assert program.files[0] == os.path.realpath(sys.executable)
    assert len(program.files) == 2 and "ld" in Path(program.files[1]).name


@linux_only
def test_a_script_its_interpreter_and_the_loader_of_that(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh -e\nexit 0\n")
    script.chmod(0o755)
    files = find(str(script)).files
    assert files[:2] == (str(script), os.path.realpath("/bin/sh")) and len(files) == 3


def test_a_missing_program_is_named() -> None:
    with pytest.raises(ChildDied, match="no-such-program is not a program"):
        find("no-such-program")


@pytest.mark.parametrize("content", [b"\x7fELF\x02", b"\x7fELF\x02" + b"\xff" * 60, b"#!", b"", b"#! /nonexistent\n"])
def test_a_damaged_program_is_no_crash(tmp_path: Path, content: bytes) -> None:
    program = tmp_path / "program"
    program.write_bytes(content)
    program.chmod(0o755)
    try:
        assert find(str(program)).files[0] == str(program)
    except ChildDied as error:
        assert str(program) in str(error)


async def test_a_script_runs_but_starts_no_program(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\necho started\nexec /bin/ls /\n")
    script.chmod(0o755)
    finished = await child.run([str(script)], LIMITS)
    assert finished.stdout == b"started\n"
    assert finished.returncode == 126  # of the shell: a command that cannot be executed
