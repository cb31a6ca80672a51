"""Events as JSON Schema 2020-12, the CloudEvents attributes in their headers, and an example of each."""

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

import schemas
from schemas.events import EVENTS, SUBMISSIONS, Event, OutboxAdvanced, QueueOrdered
from schemas.topics import TOPIC_OF

DIALECT = "https://json-schema.org/draft/2020-12/schema"
PUBLISHED = Path(schemas.__file__).parent / "published"
EXAMPLES = PUBLISHED / "examples"
"""One record of each event type, written by hand and never generated anew: what was published stays readable."""
TYPES: tuple[str, ...] = (*EVENTS, *SUBMISSIONS)
_ID = "^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$"


def identifier(type_: str) -> str:
    """The `$id` of an event's schema: a name, not an address."""
    return f"urn:bitmill:schema:{type_}"


def schema(type_: str) -> dict[str, Any]:
    """The JSON Schema of one event type's data.

    Written for readers: what has a default may be absent, because events published before it existed have not got it.
    """
    topic = TOPIC_OF[type_]
    return {
        "$schema": DIALECT,
        "$id": identifier(type_),
        "title": message_name(type_),
        "x-ce-type": type_,
        "x-topic": topic.name,
        "x-key": topic.key,
        **{key: value for key, value in data_schema(type_, "#/$defs/{model}").items() if key != "title"},
    }


def message_name(type_: str) -> str:
    """The name of an event type in documents: `JobCreated`; `JobSubmitted` for what any producer may send."""
    event: type[Event] | None = EVENTS.get(type_)
    if event is not None:
        return event.__name__
    return "".join(word.capitalize() for word in type_.replace("_", ".").split(".")[1:-1])


def data_schema(type_: str, ref_template: str) -> dict[str, Any]:
    """The schema of the data alone; its `$defs` are referred to as `ref_template` says."""
    adapter = SUBMISSIONS.get(type_) or TypeAdapter(EVENTS[type_])
    schema = adapter.json_schema(ref_template=ref_template)
    # A keyword of OpenAPI, which JSON Schema does not have, and AsyncAPI has with another meaning.
    schema.pop("discriminator", None)
    return schema


def headers_schema(type_: str) -> dict[str, Any]:
    """The record's headers: CloudEvents 1.0 in binary mode, Kafka protocol binding. All values are UTF-8 text."""
    properties: dict[str, Any] = {
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_id": {"type": "string", "description": "Names the event: the same id is the same event, sent again."},
        "ce_type": {"type": "string", "const": type_},
        "ce_source": {"type": "string", "examples": ["/bitmill/ingest"]},
        "ce_time": {"type": "string", "format": "date-time"},
        "ce_subject": {"type": "string", "description": f"The record's key: {TOPIC_OF[type_].key}."},
        "ce_project": {"type": "string", "pattern": _ID.format(prefix="prj")},
        "content-type": {"type": "string", "const": "application/json"},
        "traceparent": {"type": "string", "description": "W3C Trace Context, where the work is traced."},
    }
    optional = {"traceparent"}
    if type_ in (OutboxAdvanced.TYPE, QueueOrdered.TYPE):
        del properties["ce_project"]  # it belongs to no project
    if type_ in SUBMISSIONS:
        # One submitted type a topic: a producer needs to name nothing but the project.
        optional = {*properties} - {"ce_project"}
        properties["ce_id"]["description"] = "Sent twice, accepted once. Without it, topic, partition and offset count."
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": properties}


def example(type_: str) -> dict[str, Any]:
    """A record of this type: `topic`, `key`, `headers`, `data`."""
    record: dict[str, Any] = json.loads((EXAMPLES / f"{type_}.json").read_bytes())
    return record
