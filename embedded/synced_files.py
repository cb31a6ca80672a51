"""Files that survive a power cut from the moment that a function returns.

What is only written is in the system's page cache: after a power cut a file of the last half minute may be empty, also
one that has replaced another.
"""

import os
from pathlib import Path


def write_private(file: Path, text: str) -> None:
    """Replace a file atomically; only its owner can read it."""
    temporary = file.with_name(f"{file.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(descriptor)
    temporary.replace(file)
    sync(file.parent)


def sync_tree(folder: Path) -> None:
    """Puts on the disk everything in `folder`, and the folder's own name."""
    for root, _, files in os.walk(folder):
        for name in files:
            sync(Path(root) / name)
        sync(Path(root))
    sync(folder.parent)


def sync(path: Path) -> None:
    """Puts a file's content, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
