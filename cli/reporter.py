"""How jobs on the command line report: JSON lines for programs, progress bars and a sentence each for people."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

import orjson

from cli.bar import NoBar, Unit, size_text
from cli.safe_text import printable


class Reporter(Protocol):
    """Receives the progress and the result of one job."""

    def progress(self, step: str, fraction: float | None, total: float | None = None, unit: Unit | None = None) -> None:
        """`fraction` from 0 to 1, or None if it is not known; of `total` bytes, or seconds of media."""

    def result(self, resource: Any, sentence: str) -> None:
        """The end of the job: `resource` for programs, `sentence` for people."""

    def for_input(self, name: str) -> "Reporter":
        """The reporter of one of several jobs, which has a bar of its own."""
        ...


class JsonReporter:
    """JSON lines on standard output: progress events, each percent once, then the resource."""

    def __init__(self, out: TextIO, input: str | None = None) -> None:
        self._out = out
        self._input = {} if input is None else {"input": input}
        self._last: tuple[str, int] | None = None

    def progress(self, step: str, fraction: float | None, total: float | None = None, unit: Unit | None = None) -> None:
        del total, unit  # for people
        current = (step, int((fraction or 0) * 100))
        if current != self._last:
            self._last = current
            rounded = None if fraction is None else round(fraction, 3)
            self._write({"object": "progress", **self._input, "step": step, "progress": rounded})

    def result(self, resource: Any, sentence: str) -> None:
        del sentence  # for people
        self._write(resource)

    def for_input(self, name: str) -> Reporter:
        return JsonReporter(self._out, name)

    def _write(self, value: Any) -> None:
        self._out.write(orjson.dumps(value).decode() + "\n")
        self._out.flush()


class TextReporter:
    """A sentence for each job, written when `flush` is called: bars and text do not mix on one terminal."""

    def __init__(self, out: TextIO, bar: NoBar, waiting: list[str] | None = None) -> None:
        self._out = out
        self._bar = bar
        self._waiting = waiting

    def progress(self, step: str, fraction: float | None, total: float | None = None, unit: Unit | None = None) -> None:
        self._bar.update(step, fraction, total, unit)

    def result(self, resource: Any, sentence: str) -> None:
        self._bar.finish(str(resource.get("status", "done")) if isinstance(resource, dict) else "done")
        if self._waiting is None:
            self._out.write(sentence + "\n")
            self._out.flush()
        else:
            self._waiting.append(sentence)

    def for_input(self, name: str) -> Reporter:
        return TextReporter(self._out, self._bar.another(printable(name)), self._waiting)


@contextmanager
def open_reporter(arguments: argparse.Namespace, out: TextIO, err: TextIO, *, bars: bool = True) -> Iterator[Reporter]:
    """JSON with `--json` or when `out` is a pipe, otherwise text (`--tty` forces it), with bars on a terminal.

    The bars need `rich`, which is in the extra `cli`; service images do not have it and do without.
    """
    if arguments.json or not (arguments.tty or out.isatty()):
        yield JsonReporter(out)
        return
    if not bars or not err.isatty():
        yield TextReporter(out, NoBar())
        return
    try:
        from cli.bars import open_bars
    except ModuleNotFoundError:
        yield TextReporter(out, NoBar())
        return
    sentences: list[str] = []
    try:
        with open_bars(err) as bar:
            yield TextReporter(out, bar, sentences)
    finally:
        # Also of a command that is interrupted: what was made is named.
        for sentence in sentences:
            out.write(sentence + "\n")


def summary(output: dict[str, Any], input_bytes: int | None = None) -> str:
    """Dimensions, duration, size of an output, and its size over that of the input where it is known, in one phrase."""
    parts = []
    if output.get("width"):
        parts.append(f"{output['width']}x{output['height']}")
    if output.get("duration"):
        parts.append(f"{output['duration']:.1f} s")
    filesize = output.get("filesize")
    if filesize is not None:
        parts.append(size_text(filesize))
    if filesize is not None and input_bytes:
        parts.append(f"{filesize / input_bytes:.0%} of the input")
    return ", ".join(parts)
