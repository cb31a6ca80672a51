"""`ittybit completion`: the script by which a shell asks this command for the words that may follow. By argcomplete."""

import argparse
import os
import shlex
import sys

from cli.args import parser
from cli.errors import CliError, missing_package
from cli.parser import NAMES


def run(arguments: argparse.Namespace) -> int:
    """Print the script, or write it to a file."""
    try:
        from argcomplete.shell_integration import shellcode
    except ModuleNotFoundError as error:
        raise missing_package("ittybit completion", "cli", error) from None
    # `fish` has a script for each command; the other shells take a list.
    names = [[name] for name in NAMES] if arguments.shell == "fish" else [[*NAMES]]
    script = "\n".join(shellcode(each, shell=arguments.shell) for each in names)
    if arguments.install is None:
        sys.stdout.write(script)
        return 0
    try:
        arguments.install.parent.mkdir(parents=True, exist_ok=True)
        arguments.install.write_text(script, encoding="utf-8")
    except OSError as error:
        raise CliError(f"--install {arguments.install}: {error.strerror or error}") from None
    print(f"written to {arguments.install}: it is used by the next {arguments.shell}")
    return 0


def complete() -> None:
    """Answers the shell, and ends the process. Does nothing where argcomplete is not installed."""
    try:
        import argcomplete
    except ModuleNotFoundError:
        return
    # The arguments of one command only: declaring all of them takes longer than people wait for a tab.
    words = _words(os.environ.get("COMP_LINE", ""))
    argcomplete.autocomplete(parser(only=words[1] if len(words) > 1 else ""))


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()
