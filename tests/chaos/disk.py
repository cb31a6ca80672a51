"""The disk of a run: a file with a file system in it, which can be full, and copied as a power cut would leave it.

What a power cut leaves is what the disk has at that moment, without the page cache: exactly what is in the file.
"""

import os
import shutil
import subprocess
from pathlib import Path

DISK_BYTES = 4 * 1024**3
"""The file is sparse: it takes what is written."""
_BALLAST = "ballast"


class Disk:
    """Mounted at `folder`; a plain folder where the user may not mount."""

    def __init__(self, base: Path) -> None:
        self.folder = base / "disk"
        self.mounted = False
        self._base = base
        self._image = base / "disk-0.img"
        self._copies = 0

    def open(self) -> None:
        self.folder.mkdir()
        if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
            return
        with self._image.open("wb") as file:
            file.truncate(DISK_BYTES)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(self._image)], check=True)
        self.mounted = self._mount()

    def close(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)
            self.mounted = False
        for image in self._base.glob("disk-*.img"):
            image.unlink()

    def fill(self) -> None:
        """Takes all space that is left."""
        with (self.folder / _BALLAST).open("ab") as ballast:
            for size in (2**20, 2**12):
                while True:
                    free = os.statvfs(self.folder).f_bavail * os.statvfs(self.folder).f_frsize
                    if free < size:
                        break
                    try:
                        at = os.fstat(ballast.fileno()).st_size
                        os.posix_fallocate(ballast.fileno(), at, free // size * size)
                    except OSError:
                        break

    def free_space(self) -> None:
        (self.folder / _BALLAST).unlink(missing_ok=True)

    def copy(self) -> None:
        """Copies the disk as it is. Whoever writes to it has to be suspended."""
        self._copies += 1
        source, self._image = self._image, self._base / f"disk-{self._copies}.img"
        subprocess.run(["cp", "--sparse=always", str(source), str(self._image)], check=True)

    def change_to_copy(self) -> None:
        """Mounts the copy in the place of the disk. Nobody may use the folder."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)
        (self._base / f"disk-{self._copies - 1}.img").unlink()
        if not self._mount():
            raise RuntimeError("the copy of the disk cannot be mounted")
        self.free_space()

    def _mount(self) -> bool:
        command = ["mount", "-o", "loop", str(self._image), str(self.folder)]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
