"""From the command line to a job: its options, its request body, where it runs, whether its output has a place."""

import argparse
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from cli.errors import CliError, UsageError
from schemas.explain import explain
from schemas.options import OPTIONS, ImageFormat, ImageOptions, VideoFormat, VideoOptions

_NAMES = ("format", "quality", "width", "height", "background", "start", "end")
_FORMATS = {"video": get_args(VideoFormat), "image": get_args(ImageFormat)}
_FORMAT_OF_EXTENSION = {"jpg": "jpeg"}


def is_url(text: str) -> bool:
    """Whether an input or output is an address and not a file."""
    return "://" in text


def uses_api(arguments: argparse.Namespace, *, has_key: bool) -> bool:
    """Where the job runs: as `--cloud` or `--local` say; otherwise a URL goes to the API if there is a key."""
    if arguments.cloud or arguments.local:
        return bool(arguments.cloud)
    return is_url(arguments.input) and has_key


def require_output(name: str | None) -> None:
    """Before any work. Raises `CliError` if `--output` names a folder, or a file in a folder that does not exist."""
    if not name:
        return
    target = Path(name)
    try:
        is_folder, has_folder = target.is_dir(), target.absolute().parent.is_dir()
    except OSError as error:
        raise CliError(f"--output {name} cannot be written: {error.strerror}") from None
    if is_folder:
        raise CliError(f"--output {name} is a folder; name a file in it")
    if not has_folder:
        raise CliError(f"--output {name}: there is no such folder")


def option_values(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options as the API takes them; the format follows the output's extension if no format is given."""
    values = {name: getattr(arguments, name) for name in _NAMES if getattr(arguments, name) is not None}
    if values.get("format") in _FORMAT_OF_EXTENSION:
        values["format"] = _FORMAT_OF_EXTENSION[values["format"]]
    extension = Path(arguments.output).suffix.lower().lstrip(".") if arguments.output else ""
    if extension:
        format = _FORMAT_OF_EXTENSION.get(extension, extension)
        if values.setdefault("format", format) != format:
            raise UsageError(f"--output {arguments.output} does not fit --format {values['format']}")
        if format not in (known := _FORMATS[arguments.kind]):
            raise UsageError(f"--output {arguments.output}: its extension must be one of {', '.join(known)}")
    return values


def validated(kind: str, values: dict[str, Any]) -> VideoOptions | ImageOptions:
    """The options as a model. Raises `UsageError` with the API's sentences and the command line's names."""
    try:
        return OPTIONS[kind].model_validate(values)
    except ValidationError as error:
        lines = (f"--{fault.field} {fault.rule} (got {fault.value})" for fault in explain(error))
        raise UsageError("; ".join(lines).replace("--body ", "")) from None


def request_body(arguments: argparse.Namespace, values: dict[str, Any]) -> dict[str, Any]:
    """The body of `POST /jobs` for this command line."""
    if not is_url(arguments.input):
        raise UsageError(f"--cloud needs a URL as --input; {arguments.input} is a file of this machine (use --local)")
    body: dict[str, Any] = {"input": arguments.input, "kind": arguments.kind, "options": values}
    for name in ("webhook_url", "priority"):
        if getattr(arguments, name):
            body[name] = getattr(arguments, name)
    return body
