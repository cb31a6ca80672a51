"""A program that answers as an ffmpeg with some features would; it cannot encode."""

import os
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

from media.ffmpeg import binary

ARGUMENTS = ("-version", "-codecs", "-formats", "-filters")
Change = Callable[[str, str], str]
"""Makes the output for an argument of `ARGUMENTS` from that of the real ffmpeg."""


@cache
def real_output(argument: str) -> str:
    """What the ffmpeg that is shipped answers."""
    command = [str(binary()), "-hide_banner", argument]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def fake_ffmpeg(folder: Path, change: Change) -> Path:
    """The program. Its shell and `cat` are beside it, because the sandbox lets it execute nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    for tool in ("sh", "cat"):
        shutil.copy(os.path.realpath(f"/bin/{tool}"), folder / tool)
    for argument in ARGUMENTS:
        (folder / f"output{argument}").write_text(change(argument, real_output(argument)))
    return program(folder, f'exec "{folder}/cat" "{folder}/output$2"')


def program(folder: Path, body: str) -> Path:
    """A shell script named ffmpeg."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "sh").exists():
        shutil.copy(os.path.realpath("/bin/sh"), folder / "sh")
    script = folder / "ffmpeg"
    script.write_text(f"#!{folder}/sh\n{body}\n")
    script.chmod(0o755)
    return script
