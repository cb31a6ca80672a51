"""What a job in the shell shows: a progress bar for people, JSON lines for programs."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

import orjson
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


class Show(Protocol):
    """Where the course of one job goes."""

    def progress(self, step: str, share: float | None) -> None:
        """`share` from 0 to 1, or None where it is not known."""

    def result(self, resource: dict[str, Any], sentence: str) -> None:
        """The end: the resource for programs, the sentence for people."""


class Lines:
    """JSON lines on standard output: progress events, then the resource."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._last: tuple[str, int] | None = None

    def progress(self, step: str, share: float | None) -> None:
        now = (step, int((share or 0) * 100))
        if now != self._last:
            self._last = now
            shown = None if share is None else round(share, 3)
            self._write({"object": "progress", "step": step, "progress": shown})

    def result(self, resource: dict[str, Any], sentence: str) -> None:
        del sentence  # for people
        self._write(resource)

    def _write(self, value: dict[str, Any]) -> None:
        self._out.write(orjson.dumps(value).decode() + "\n")
        self._out.flush()


class Terminal:
    """A bar that moves on a terminal, then one sentence on standard output."""

    def __init__(self, out: TextIO, bar: Progress) -> None:
        self._out = out
        self._bar = bar
        self._task = bar.add_task("starting", total=None)

    def progress(self, step: str, share: float | None) -> None:
        total = None if share is None else 1.0
        self._bar.update(self._task, description=step, total=total, completed=share or 0)

    def result(self, resource: dict[str, Any], sentence: str) -> None:
        del resource  # for programs
        self._bar.stop()
        self._out.write(sentence + "\n")


@contextmanager
def open_show(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> Iterator[Show]:
    """JSON when asked for or piped, text for people otherwise (`--tty` forces it)."""
    if arguments.json or not (arguments.tty or out.isatty()):
        yield Lines(out)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=err), transient=True) as bar:
        yield Terminal(out, bar)
