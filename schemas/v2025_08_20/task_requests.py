"""The body of `POST /tasks` in version 2025-08-20: flat, where today's has its options in an object of their own.

`url` or `file_id` is today's `input`, `ref` is `label`, the kind `ingest` is `import`, a `quality` from 0 to 100 is one
of five words; every field that today's body does not have is an option.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired, get_args

from pydantic import ConfigDict, Field, JsonValue, with_config
from typing_extensions import TypedDict

from schemas.api import HttpUrl, Metadata, WebhookUrl
from schemas.explain import render_value
from schemas.faults import FieldFault
from schemas.options import Quality

_INPUTS = ("url", "file_id", "input")
_RENAMED: Mapping[str, str] = {"url": "input", "file_id": "input", "ref": "label"}
_NOT_HERE = "is not available here: the output gets an address of its own, or that in `output`"


_EXAMPLE: dict[str, JsonValue] = {"url": "https://example.com/clip.mov", "kind": "image", "width": 320, "format": "png"}


@with_config(ConfigDict(json_schema_extra={"additionalProperties": True, "examples": [_EXAMPLE]}))
class TaskRequest20250820(TypedDict):
    """Body of `POST /tasks` of version 2025-08-20: `url` or `file_id`, and the options of the kind beside it."""

    kind: Annotated[str, Field(examples=["image"])]
    url: NotRequired[HttpUrl]
    file_id: NotRequired[Annotated[str, Field(examples=["file_01h455vb4pex5vsknk084sn02q"])]]
    ref: NotRequired[Annotated[str, Field(examples=["thumbnail"])]]
    webhook_url: NotRequired[WebhookUrl]
    metadata: NotRequired[Metadata]


@dataclass(frozen=True)
class TodaysBody:
    """The same request in today's shape.

    `faults` are what only this version can see. `sent` gives the names of fields as they were sent, by today's.
    """

    data: Any
    faults: Sequence[FieldFault]
    sent: Mapping[str, str]

    def as_sent(self, faults: Iterable[FieldFault]) -> list[FieldFault]:
        """Faults of today's body, with the names of fields that were sent."""
        return [fault.model_copy(update={"field": self._sent(fault.field)}) for fault in faults]

    def _sent(self, field: str) -> str:
        first, dot, rest = field.partition(".")
        if first == "options" and dot:
            return rest
        return self.sent.get(first, first) + dot + rest


def todays_body(data: Any, outer: Iterable[str]) -> TodaysBody:
    """The body in today's shape. `outer` are the fields of today's body beside `options`."""
    if not isinstance(data, dict):
        return TodaysBody(data, (), {})
    known = {*outer, *_RENAMED}
    body: dict[str, Any] = {}
    given = data.get("options")
    options: dict[str, Any] = dict(given) if isinstance(given, dict) else {}
    sent: dict[str, str] = {}
    for name, value in data.items():
        if name == "options" and isinstance(given, dict):
            continue
        if name in known or name == "options":
            todays = _RENAMED.get(name, name)
            body[todays] = value
            sent[todays] = name
        elif name not in ("filename", "folder"):
            options[name] = value
    if "label" in body and "media_id" not in body:
        # It names the output within a media item: of one that joins none it says nothing.
        del body["label"]
    if "quality" in options:
        options["quality"] = _quality(options["quality"])
    if body.get("kind") == "ingest":
        body["kind"] = "import"
    if body.get("kind") == "import" and isinstance(body.get("input"), str):
        body["input"] = {"url": body["input"]}
    if options:
        body["options"] = options
    return TodaysBody(body, _faults(data), sent)


def _faults(data: Mapping[str, Any]) -> list[FieldFault]:
    faults = [_fault(name, _NOT_HERE, data[name]) for name in ("filename", "folder") if name in data]
    inputs = [name for name in _INPUTS if name in data]
    if len(inputs) > 1:
        faults += [_fault(name, f"must not be given beside {inputs[0]}", data[name]) for name in inputs[1:]]
    elif not inputs:
        faults.append(FieldFault(field="url", rule="is required, or file_id", value="(absent)"))
    return faults


def _quality(value: Any) -> Any:
    """A number from 0 to 100 as one of the words, which stand for a fifth of it each; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 100:
        return value
    words = get_args(Quality)
    return words[min(value * len(words) // 100, len(words) - 1)]


def _fault(field: str, rule: str, value: Any) -> FieldFault:
    return FieldFault(field=field, rule=rule, value=render_value(value))
