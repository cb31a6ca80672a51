"""The inputs of a command line, each with the place of its output: patterns expanded, nothing overwritten."""

import argparse
import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from cli.errors import CliError, UsageError
from cli.job_options import extension_of, is_folder, is_s3, is_url
from schemas.ids import is_id


@dataclass(frozen=True)
class JobLine:
    """One input. `output` is the file or s3:// address that was named for it; None: a name is made from the input's.

    `folder` is where such a file goes. With `force` a file that is there is overwritten.
    """

    kind: str
    input: str
    output: str | None = None
    folder: str = ""
    force: bool = False

    @property
    def is_file(self) -> bool:
        """Whether the input is a file of this machine, and not an address or the id of something stored."""
        return not is_url(self.input) and not (is_id(self.input, "med", "file") and not Path(self.input).exists())

    @property
    def stem(self) -> str:
        """The input's name without its extension."""
        path = unquote(urlsplit(self.input).path) if is_url(self.input) else self.input
        return PurePosixPath(path).stem or "output"


def job_lines(arguments: argparse.Namespace) -> list[JobLine]:
    """The lines of `--input` and `--output`. Raises `UsageError` before any work."""
    inputs = [found for text in arguments.input for found in expanded(text)]
    output: str | None = arguments.output
    if output is None or not is_folder(output):
        if output is not None and len(inputs) > 1:
            raise UsageError(
                f"--output {output} is one file, for {len(inputs)} inputs: name a folder, with / at its end"
            )
        lines = [JobLine(arguments.kind, each, output, force=arguments.force) for each in inputs]
    elif is_s3(output):
        lines = [JobLine(arguments.kind, each, output, force=arguments.force) for each in inputs]
    elif len(inputs) == 1 and not output.endswith("/"):
        raise CliError(f"--output {output} is a folder; name a file in it, or write / at its end")
    else:
        lines = [JobLine(arguments.kind, each, None, folder=output, force=arguments.force) for each in inputs]
    _require_different_names(lines)
    return lines


def expanded(text: str) -> Iterator[str]:
    """The files that a pattern means; the text itself where it is a file, an address, or means nothing."""
    path = Path(text)
    found: Sequence[str] = ()
    if not is_url(text) and glob.has_magic(text) and not os.path.lexists(path):
        # Not by `Path.glob`, which takes no absolute pattern.
        found = sorted(each for each in glob.glob(text, recursive=True) if Path(each).is_file())  # noqa: PTH207
    yield from found or (text,)


def require_output(name: str | None) -> None:
    """Before any work. Raises `CliError` if `--output` names a folder, or a file in a folder that does not exist."""
    if not name or is_s3(name):
        return
    target = Path(name)
    try:
        folder_is_there, is_a_folder = target.absolute().parent.is_dir(), target.is_dir()
    except OSError as error:
        raise CliError(f"--output {name} cannot be written: {error.strerror}") from None
    if is_a_folder:
        raise CliError(f"--output {name} is a folder; name a file in it")
    if not folder_is_there:
        raise CliError(f"--output {name}: there is no such folder")


def require_places(lines: Sequence[JobLine]) -> None:
    """As `require_output`, for the outputs of all lines."""
    for line in lines:
        if line.folder and not Path(line.folder).is_dir():
            raise CliError(f"--output {line.folder}: there is no such folder")
        require_output(line.output)


def output_path(line: JobLine, format: str) -> Path:
    """The file that the output goes to. Raises `UsageError` if it is the input, or is there and `force` is not set."""
    if line.output is not None and is_url(line.output):
        raise UsageError(f"--output {line.output} must be a file, or start with s3://")
    target = Path(line.output or Path(line.folder) / f"{line.stem}-{line.kind}.{extension_of(format)}")
    return free_target(target, line)


def free_target(target: Path, line: JobLine) -> Path:
    """The same path. Raises as `output_path` does."""
    source = Path(line.input)
    try:
        if not target.exists():
            return target
        if line.is_file and source.exists() and target.samefile(source):
            raise UsageError(f"--output {target} is the input; choose another name")
    except OSError as error:
        raise CliError(f"--output {target} cannot be written: {error.strerror}") from None
    if not line.force:
        raise UsageError(f"{target} is there already: --force overwrites it, --output names another file")
    return target


def _require_different_names(lines: Sequence[JobLine]) -> None:
    made = Counter((line.folder, line.stem) for line in lines if line.output is None)
    for (_, stem), times in made.items():
        if times > 1:
            raise UsageError(
                f"{times} inputs are named {stem}: their outputs would be one file; work on them one by one"
            )
