"""How a job on the command line reports: JSON lines for programs, a progress bar and one sentence for people."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TextIO

import orjson

if TYPE_CHECKING:
    from rich.progress import Progress


class Reporter(Protocol):
    """Receives the progress and the result of one job."""

    def progress(self, step: str, fraction: float | None) -> None:
        """`fraction` from 0 to 1, or None if it is not known."""

    def result(self, resource: dict[str, Any], sentence: str) -> None:
        """The end of the job: `resource` for programs, `sentence` for people."""


class JsonReporter:
    """JSON lines on standard output: progress events, each percent once, then the resource."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._last: tuple[str, int] | None = None

    def progress(self, step: str, fraction: float | None) -> None:
        current = (step, int((fraction or 0) * 100))
        if current != self._last:
            self._last = current
            rounded = None if fraction is None else round(fraction, 3)
            self._write({"object": "progress", "step": step, "progress": rounded})

    def result(self, resource: dict[str, Any], sentence: str) -> None:
        del sentence  # for people
        self._write(resource)

    def _write(self, value: dict[str, Any]) -> None:
        self._out.write(orjson.dumps(value).decode() + "\n")
        self._out.flush()


class TextReporter:
    """One sentence on standard output, after a progress bar if there is one."""

    def __init__(self, out: TextIO, bar: "Progress | None") -> None:
        self._out = out
        self._bar = bar
        self._task = bar.add_task("starting", total=None) if bar else None

    def progress(self, step: str, fraction: float | None) -> None:
        if self._bar is not None and self._task is not None:
            total = None if fraction is None else 1.0
            self._bar.update(self._task, description=step, total=total, completed=fraction or 0)

    def result(self, resource: dict[str, Any], sentence: str) -> None:
        del resource  # for programs
        if self._bar is not None:
            self._bar.stop()
        self._out.write(sentence + "\n")


@contextmanager
def open_reporter(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> Iterator[Reporter]:
    """JSON with `--json` or when `out` is a pipe, otherwise text (`--tty` forces it).

    The bar needs `rich`, which is in the extra `cli`; service images do not have it and do without a bar.
    """
    if arguments.json or not (arguments.tty or out.isatty()):
        yield JsonReporter(out)
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
    except ModuleNotFoundError:
        yield TextReporter(out, None)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=err), transient=True) as bar:
        yield TextReporter(out, bar)


def summary(output: dict[str, Any]) -> str:
    """Dimensions, duration and size of an output in one phrase."""
    parts = []
    if output.get("width"):
        parts.append(f"{output['width']}x{output['height']}")
    if output.get("duration"):
        parts.append(f"{output['duration']:.1f} s")
    parts.append(f"{output['filesize'] / 1000:,.0f} kB")
    return ", ".join(parts)
