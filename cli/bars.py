"""Progress bars of jobs on a terminal: the step, how far, how fast, how long still. Needs `rich`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TaskProgressColumn, TextColumn
from rich.progress import TimeRemainingColumn as TimeLeft
from rich.table import Column
from rich.text import Text

from cli.bar import NoBar, Unit, size_text

_NAME_WIDTH = 32


class SpeedColumn(ProgressColumn):
    """Bytes a second, seconds of media for each second, or percent a second where neither is known."""

    def render(self, task: Task) -> Text:
        return Text(speed_text(task.speed, task.fields.get("unit")), style="progress.data.speed")


def speed_text(speed: float | None, unit: Unit | None) -> str:
    """`speed` in the unit's amount for each second, or as a share of all where the unit is None (pure)."""
    if speed is None:
        return ""
    match unit:
        case "bytes":
            return f"{size_text(speed)}/s"
        case "seconds":
            return f"{speed:.1f}x"
        case _:
            return f"{speed * 100:.0f} %/s"


class Bar(NoBar):
    """One bar; the first job takes the one that is there before its name is known."""

    def __init__(self, progress: Progress, task: TaskID | None = None) -> None:
        self._progress = progress
        self._task = task
        self._step = ""

    def update(self, step: str, fraction: float | None, total: float | None, unit: Unit | None) -> None:
        if self._task is None:
            self._task = self._progress.add_task("", total=None, step=step)
        amount = None if fraction is None else total or 1.0
        if step != self._step:
            # The speed is that of a step: the one before was of bytes, perhaps.
            self._progress.reset(self._task, total=amount)
            self._step = step
        done = (fraction or 0.0) * (amount or 0.0)
        self._progress.update(self._task, total=amount, completed=done, step=step, unit=unit)

    def finish(self, status: str) -> None:
        if self._task is not None:
            self._progress.update(self._task, total=1.0, completed=1.0, step=status, unit=None)
            self._progress.stop_task(self._task)

    def another(self, name: str) -> "Bar":
        shown = name if len(name) <= _NAME_WIDTH else f"…{name[1 - _NAME_WIDTH :]}"
        return Bar(self._progress, self._progress.add_task(shown, total=None, step="waiting", unit=None))


@contextmanager
def open_bars(err: TextIO) -> Iterator[Bar]:
    """Bars on `err`, which are removed at the end."""
    columns = (
        TextColumn("{task.description}", markup=False, table_column=Column(max_width=_NAME_WIDTH, no_wrap=True)),
        TextColumn("{task.fields[step]}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        SpeedColumn(),
        TimeLeft(compact=True),
    )
    with Progress(*columns, console=Console(file=err), transient=True) as progress:
        yield Bar(progress)
