"""What a progress bar is told, the bar that shows nothing, and sizes as people read them."""

from typing import Literal

Unit = Literal["bytes", "seconds"]


class NoBar:
    """Where there is no terminal, or `rich` is not installed."""

    def update(self, step: str, fraction: float | None, total: float | None, unit: Unit | None) -> None:
        """Shows nothing."""

    def finish(self, status: str) -> None:
        """Shows nothing."""

    def another(self, name: str) -> "NoBar":
        """The bar of a job of this name: none, either."""
        del name
        return self


def size_text(size: float) -> str:
    """A number of bytes as people read it: `3.4 MB`, in powers of 1000."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
