"""From the command line to a job: its options, and its request body."""

import argparse
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, get_args
from urllib.parse import urlsplit

from pydantic import ValidationError

from cli.errors import UsageError
from schemas.explain import explain
from schemas.options import OPTIONS, ImageFormat, ImageOptions, VideoFormat, VideoOptions

_NAMES = (
    *("format", "quality", "width", "height", "fit", "background", "start", "end", "codec", "fps", "frames"),
    *("subtitle_url", "target_lufs", "mute", "mute_video"),
)
_FORMATS: dict[str, tuple[str, ...]] = {
    "video": get_args(VideoFormat),
    "image": get_args(ImageFormat),
    "audio": ("mp3", "aac", "ogg", "opus", "wav", "flac"),
    "animation": ("gif", "webp"),
    "adaptive_video": ("hls",),
}
_FORMAT_OF_EXTENSION = {"jpg": "jpeg", "m3u8": "hls"}
_EXTENSION_OF_FORMAT = {"jpeg": "jpg", "hls": "m3u8"}


def is_url(text: str) -> bool:
    """Whether an input or output is an address and not a file."""
    return "://" in text


def is_s3(text: str | None) -> bool:
    """Whether it is an address in a bucket."""
    return text is not None and text.lower().startswith("s3://")


def is_folder(output: str) -> bool:
    """Whether an output is a folder that is there, or has a slash at its end."""
    if is_url(output) or output.endswith("/"):
        return output.endswith("/")
    try:
        return Path(output).is_dir()
    except OSError:  # such as a name that no file can have: said later, with its reason
        return False


def extension_of(format: str) -> str:
    """The usual extension of a format, without the dot."""
    return _EXTENSION_OF_FORMAT.get(format, format)


def option_values(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options as the API takes them; the format follows the output's extension if no format is given."""
    values = {name: value for name in _NAMES if (value := getattr(arguments, name, None)) not in (None, False)}
    if values.get("format") in _FORMAT_OF_EXTENSION:
        values["format"] = _FORMAT_OF_EXTENSION[values["format"]]
    if "target_lufs" in values:
        values["normalize"] = "lufs"
    if getattr(arguments, "subtitle", None):
        label = {"label": arguments.subtitle_label} if arguments.subtitle_label else {}
        values["subtitles"] = [{"url": arguments.subtitle, **label}]
    if getattr(arguments, "encryption", None):
        key = {"key_url": arguments.key_url} if arguments.key_url else {}
        values["encryption"] = {"method": arguments.encryption, **key}
    extension = _extension(arguments.output)
    if extension:
        format = _FORMAT_OF_EXTENSION.get(extension, extension)
        if values.setdefault("format", format) != format:
            raise UsageError(f"--output {arguments.output} does not fit --format {values['format']}")
        if format not in (known := _FORMATS.get(arguments.kind, (format,))):
            raise UsageError(f"--output {arguments.output}: its extension must be one of {', '.join(known)}")
    return values


def validated(kind: str, values: dict[str, Any]) -> VideoOptions | ImageOptions:
    """The options as a model. Raises `UsageError` with the API's sentences and the command line's names."""
    if kind not in OPTIONS:
        raise UsageError(f"{kind} cannot be made on this machine: only {' and '.join(OPTIONS)} can, in this release")
    try:
        return OPTIONS[kind].model_validate(values)
    except ValidationError as error:
        faults = explain(error, model=OPTIONS[kind])
        lines = (f"--{fault.field.replace('_', '-')} {fault.rule} (got {fault.value})" for fault in faults)
        raise UsageError("; ".join(lines).replace("--body ", "")) from None


def request_body(arguments: argparse.Namespace, input: str, output: str | None, values: dict[str, Any]) -> Any:
    """The body of `POST /jobs` for one input, which is an address by now."""
    body: dict[str, Any] = {"input": input, "kind": arguments.kind, "options": values}
    if is_s3(output):
        body["output"] = output
    if metadata := dict(pairs(arguments.metadata)):
        body["metadata"] = metadata
    for name in ("webhook_url", "priority"):
        if getattr(arguments, name):
            body[name] = getattr(arguments, name)
    return body


def pairs(texts: list[str]) -> Iterator[tuple[str, str]]:
    """Keys and values of `--metadata`. Raises `UsageError`."""
    for text in texts:
        name, separator, value = text.partition("=")
        if not name or not separator:
            raise UsageError(f"--metadata must be KEY=VALUE (got {text[:60]!r})")
        yield name, value


def _extension(output: str | None) -> str:
    if not output or is_folder(output):
        return ""
    path = urlsplit(output).path if is_url(output) and not is_s3(output) else output
    extension = PurePosixPath(path).suffix.lower().lstrip(".")
    return "" if "{" in extension or "}" in extension else extension
