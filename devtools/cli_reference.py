"""`python -m devtools.cli_reference`: writes docs/cli.md, every command with its options and examples.

The commands come from the argument parser; a test compares the document with it.
"""

import argparse
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from cli.args import COMMANDS, STATUSES, parser
from devtools.cli_examples import EXAMPLES

DOCUMENT = Path(__file__).parents[1] / "docs" / "cli.md"
_HEAD = """\
# The commands

Written by `make contracts` from the code; a test compares them, and parses every example. `ittybit` and `bitmill` are
the same command. Options may be written with hyphens or underscores (`--webhook-url`, `--webhook_url`).

## Where a job runs

Through the API where one is set (`ITTYBIT_API_URL`, `ITTYBIT_API_KEY`; `bitmill up` writes both to its env file) or
saved (`ittybit login`), otherwise in this process without any service. `--cloud` and `--local` say it. The options are
the same; those that need the API are refused without it.

| input | through the API | on this machine |
|---|---|---|
| a file | uploaded first | read |
| `http://`, `https://` | fetched by the installation | fetched |
| `s3://bucket/key` | read with a connection | read with `--connection`, or the environment's AWS credentials |
| the id of a media item or file | found in the project | - |

Several inputs, or a pattern such as `'*.mov'`, are worked on in parallel. Kinds and options that a release lacks
are refused with the API's sentence.

| output | what happens |
|---|---|
| `-o FILE` | written, or downloaded from the API; its extension sets the format |
| `-o FOLDER/` | as without `-o`, in that folder, which has to be there |
| `-o s3://…` | stored there; a prefix with `/` at its end for several inputs |
| no `-o`, a file as input | `INPUT-KIND.EXTENSION` in the current folder: `clip-video.mp4` |
| no `-o`, an address as input, on this machine | the same |
| no `-o`, an address as input, through the API | it stays in the installation; its address is printed |

A file that is there is not overwritten without `--force`. An output appears complete or not at all. Ctrl-C and SIGTERM
cancel the jobs that were made and remove what is unfinished.

## What is printed

On a terminal: a progress bar on standard error, then a line for each output on standard output: its place, dimensions,
duration, size, and its size over that of the input. When piped, or with `--json`: JSON lines.

| line | fields |
|---|---|
| progress | `object` ("progress"), `step`, `progress` (0 to 1, or null); `input` where there are several |
| the end of a job | the job, as the API has it; on this machine `output.path` is the file |
| the end of all | `object` ("summary"), `inputs`, `done`, `failed`: where there are several |
| an upload | the upload; `address` can be the input of jobs and the `url` of media items |

Errors are sentences on standard error. `--debug` shows the commands that run on this machine, and their output.

## Exit status

| status | meaning |
|---|---|
{statuses}

## Files and environment

| name | meaning |
|---|---|
| `~/.ittybit/login.json` | what `ittybit login` saved: address and key, for this user only (mode 0600) |
| `~/.ittybit/connections.json` | connections for jobs on this machine (`connections … --local`), likewise |
| `ITTYBIT_CONFIG_DIR` | another folder for both |
| `ITTYBIT_API_URL`, `ITTYBIT_API_KEY` | the API; they come before what was saved |
| `ITTYBIT_CONNECTION` | the connection where `--connection` names none |
| `ITTYBIT_WEBHOOK_SECRET` | the secret of `webhooks listen` |
| `FFMPEG_BINARY` | the ffmpeg that makes videos on this machine |
"""


def document() -> str:
    """The whole document."""
    rows = [line.strip().split(maxsplit=1) for line in STATUSES.splitlines()[1:]]
    head = _HEAD.format(statuses="\n".join(f"| {status} | {meaning} |" for status, meaning in rows))
    helps = {command.name: command.help for command in COMMANDS}
    parts = [head]
    for name, command in actions(parser()):
        if " " not in name and name in helps:
            parts.append(f"## `{name}`: {helps[name]}\n")
        if not _subparsers(command):
            parts += _section(name, command)
    return "\n".join(parts).rstrip() + "\n"


def actions(root: argparse.ArgumentParser, words: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command and action below `root`, by its words, in their order."""
    for name, command in _subparsers(root).items():
        path = f"{words} {name}".strip()
        yield path, command
        yield from actions(command, path)


def options(command: argparse.ArgumentParser) -> list[argparse.Action]:
    """What a command takes, but for `--help`."""
    skipped = (argparse._HelpAction, argparse._SubParsersAction)
    return [action for action in command._actions if not isinstance(action, skipped)]


def _subparsers(command: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in command._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _section(name: str, command: argparse.ArgumentParser) -> Iterator[str]:
    if " " in name:
        yield f"### `{name}`\n"
    if command.description:
        yield _wrapped(command.description)
    if taken := options(command):
        yield "| argument | meaning |\n|---|---|"
        yield "\n".join(f"| {_names(action)} | {_meaning(action, command)} |" for action in taken)
        yield ""
    yield "```bash\n" + "\n".join(EXAMPLES[name]) + "\n```\n"


def _names(action: argparse.Action) -> str:
    shown = "" if action.nargs == 0 else str(action.metavar or (action.option_strings and action.dest.upper()) or "")
    if not action.option_strings:
        return f"`{action.metavar or action.dest.upper()}`"
    return ", ".join(f"`{each}`" for each in action.option_strings) + (
        f" `{shown}`".replace("|", "\\|") if shown else ""
    )


def _meaning(action: argparse.Action, command: argparse.ArgumentParser) -> str:
    text = (action.help or "") % {**vars(action), "prog": command.prog} if action.help else ""
    if action.choices is not None:
        text = "; ".join(part for part in (text, ", ".join(str(each) for each in action.choices)) if part)
    if action.required and action.option_strings:
        text = f"{text}; required" if text else "required"
    return text.replace("|", "\\|")


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 120) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
    sys.stdout.write(f"{DOCUMENT}\n")
