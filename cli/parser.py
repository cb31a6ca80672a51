"""The argument parser of every command: options with hyphens or underscores, and the nearest option for a mistyped one.

Choices of arguments are not listed here: modules of commands declare them. Nothing heavy is imported, so that
`ittybit --help` starts fast.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

NAMES = ("ittybit", "bitmill")
Run = Callable[[argparse.Namespace], int]
_LAST_PORT = 65535
MAX_COUNT = 100_000


def program() -> str:
    """The name by which the command was called: `ittybit` or `bitmill`, which are the same."""
    name = Path(sys.argv[0]).name
    return name if name in NAMES else "bitmill"


class Parser(argparse.ArgumentParser):
    """An option may be written with hyphens or underscores (`--webhook-url`, `--webhook_url`), and not shortened."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **arguments})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        return super().parse_known_args(with_hyphens(sys.argv[1:] if args is None else args), namespace)

    def error(self, message: str) -> NoReturn:
        super().error(message + suggestion(message, self.option_names()))

    def option_names(self) -> list[str]:
        """The long options of this command and of those below it."""
        names = [name for action in self._actions for name in action.option_strings if name.startswith("--")]
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                names += [name for each in action.choices.values() for name in each.option_names()]
        return names


def with_hyphens(words: Sequence[str]) -> list[str]:
    """The words of a command line with hyphens in the names of options; values stay as they are (pure)."""
    end = list(words).index("--") if "--" in words else len(words)
    return [_hyphened(word) if index < end else word for index, word in enumerate(words)]


def _hyphened(word: str) -> str:
    name, separator, value = word.partition("=")
    return name.replace("_", "-") + separator + value if name.startswith("--") else word


def suggestion(message: str, known: Iterable[str]) -> str:
    """The end of argparse's sentence about an unknown option: the known one that looks most like it (pure)."""
    unknown = message.removeprefix("unrecognized arguments: ")
    if unknown == message or not unknown.startswith("--"):
        return ""
    found = get_close_matches(unknown.split()[0].partition("=")[0], list(known), n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else ""


def lazy(module: str, function: str = "run") -> Run:
    """The function of a module that is imported when the command runs."""

    def run(arguments: argparse.Namespace) -> int:
        return int(getattr(import_module(module), function)(arguments))

    return run


def number(text: str) -> float | int | str:
    """A number, or the text itself: the options' model checks it, so that command line and API refuse it alike."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def count(text: str) -> int:
    """A number from 1 to 100,000."""
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= MAX_COUNT):
        raise argparse.ArgumentTypeError(f"must be a number from 1 to {MAX_COUNT}, not {text[:40]!r}")
    return int(text[:9])


def port(text: str) -> int:
    """The number of a TCP port; 0 takes a free one."""
    if not (text.isascii() and text.isdecimal()) or int(text[:9]) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to {_LAST_PORT}, not {text!r}")
    return int(text)


def output_form(command: argparse.ArgumentParser) -> None:
    """`--json` and `--tty`."""
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="JSON lines on standard output (as when piped)")
    form.add_argument("--tty", action="store_true", help="text, even when piped")
