"""The program that a child executes: where it is, and which dynamic loader the kernel starts for it."""

import os
import shutil
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from chassis.adapters.sandbox.limits import ChildDied

# The ELF format: header, and the program header that names the loader. https://refspecs.linuxfoundation.org/elf/
_MAGIC_64_BIT = b"\x7fELF\x02"
_INTERPRETER = 3  # PT_INTERP
_MAX_LOADER_BYTES = 4096
_MAX_FILES = 6


@dataclass(frozen=True)
class Program:
    """`path` as found, not resolved: some programs look at the name that they were called by.

    `files` are the files that the kernel executes to start it, resolved: the program and its dynamic loader, for a
    script its interpreter too. A child may execute no other file: a script cannot start further programs.
    """

    path: str
    files: tuple[str, ...]


@lru_cache(maxsize=64)
def find(name: str) -> Program:
    """The program `name` of the search path, or a path. Raises ChildDied if there is none."""
    path = shutil.which(name)
    if path is None:
        raise ChildDied(f"{name} is not a program on this machine")
    path = str(Path(path).absolute())
    files: list[str] = []
    started_by: str | None = path
    while started_by and len(files) < _MAX_FILES:
        files.append(os.path.realpath(started_by))
        try:
            started_by = _started_by(files[-1])
        except OSError as error:
            raise ChildDied(f"{path} cannot be started: {error}") from error
    return Program(path, tuple(files))


def _started_by(path: str) -> str | None:
    """The dynamic loader that an ELF file names, or the interpreter that a script names.

    None for a static program, and for other formats (macOS).
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            header = file.read(64)
            if header.startswith(b"#!"):
                file.seek(2)
                words = file.readline(_MAX_LOADER_BYTES).split()
                return os.fsdecode(words[0]) if words else None
            if not header.startswith(_MAGIC_64_BIT):
                return None
            (table_at,) = struct.unpack_from("<Q", header, 32)
            entry_size, entries = struct.unpack_from("<HH", header, 54)
            for number in range(entries):
                file.seek(table_at + number * entry_size)
                entry = file.read(56)
                kind, _, offset, _, _, size = struct.unpack_from("<IIQQQQ", entry)
                if kind == _INTERPRETER:
                    file.seek(offset)
                    return os.fsdecode(file.read(min(size, _MAX_LOADER_BYTES)).rstrip(b"\0"))
    except (struct.error, ValueError, OverflowError):  # not what it claims to be: the kernel will refuse it
        return None
    return None
