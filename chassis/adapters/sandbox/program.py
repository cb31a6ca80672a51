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


@dataclass(frozen=True)
class Program:
    """`path` as found, not resolved: some programs look at the name that they were called by.

    `files` are the files that the kernel executes, resolved: the program and its dynamic loader. A sandbox that may
    execute these may execute nothing else.
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
    real = os.path.realpath(path)
    loader = _loader(real)
    return Program(path, (real, os.path.realpath(loader)) if loader else (real,))


def _loader(path: str) -> str | None:
    """The dynamic loader that an ELF file names; None for a static program, and for other formats (macOS)."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            header = file.read(64)
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
    except (OSError, struct.error) as error:
        raise ChildDied(f"{path} cannot be read: {error}") from error
    return None
