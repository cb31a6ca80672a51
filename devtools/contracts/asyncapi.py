"""One AsyncAPI 3.0 document per service.

FastStream generates what a service receives, from its real handlers. Added here is what FastStream cannot know: events
that leave through the outbox, CloudEvents headers, one message per event type instead of the batch that a handler is
called with, consumer groups, settings of topics, and dead letters.
"""

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from inspect import Parameter, signature
from typing import Any

from faststream.specification import AsyncAPI

from chassis.adapters.kafka import dead_letters
from chassis.adapters.kafka.consumer import ServiceBroker
from devtools.contracts.events import data_schema, example, headers_schema, message_name
from schemas.events import EVENTS, SUBMISSIONS, Submission
from schemas.topics import DEAD_LETTER_PARTITIONS, DEAD_LETTER_RETENTION, TOPICS, Service, Topic

_BINDING = "0.5.0"
_BY_NAME = {topic.name: topic for topic in TOPICS}
_DEAD_LETTER = "DeadLetter"
_DEAD_LETTER_HEADERS = {
    dead_letters.REASON: "What was wrong, in a sentence.",
    dead_letters.REASON_CODE: (
        "The same for programs. Of refused submissions the `kind` that POST responds with: `invalid_input`, "
        "`not_found` (the project), `conflict` (the name is taken), `queue_full` (send it again later). `unreadable`: "
        "not what the topic takes; `unstorable`: a value that cannot be stored; `unexpected`: a failure of ours."
    ),
    dead_letters.SOURCE_TOPIC: "The topic that the record came from.",
    dead_letters.SOURCE_PARTITION: "Its partition.",
    dead_letters.SOURCE_OFFSET: "Its offset.",
    dead_letters.SOURCE_SERVICE: "The service that gave it up.",
}


def document(service: Service) -> dict[str, Any]:
    """The AsyncAPI document of one service."""
    broker = service_broker(service)
    generated = _generated(broker)
    received = received_types(generated)
    groups: dict[str, str | None] = {**consumer_groups(broker)}
    # A broadcast is read outside of consumer groups, which FastStream does not see.
    broadcasts = [topic for topic in TOPICS if topic.broadcast and service in topic.readers]
    operations: dict[str, Any] = {}
    for topic in TOPICS:
        if topic in broadcasts:
            operations |= _receive(topic, topic.types, None)
        elif topic.name in received:
            operations |= _receive(topic, received[topic.name], groups[topic.name])
            operations |= _send(topic.dead_letter, [_DEAD_LETTER])
        if service in topic.writers:
            operations |= _send(topic.name, [message_name(type_) for type_ in topic.types if type_ not in SUBMISSIONS])
    used = {operation["channel"]["$ref"].removeprefix("#/channels/") for operation in operations.values()}
    topics = [topic for topic in TOPICS if topic.name in used]
    return generated | {
        "servers": _SERVERS,
        "channels": {topic.name: _channel(topic) for topic in topics}
        | {topic.dead_letter: _dead_letter_channel(topic) for topic in topics if topic.dead_letter in used},
        "operations": operations,
        "components": _components(topics, with_dead_letters=bool(received)),
    }


def service_broker(service: Service) -> ServiceBroker:
    """The broker of a service with its handlers; nothing is connected."""
    broker = ServiceBroker("127.0.0.1:9092", service)
    # The workers have the same handlers.
    module = "worker.handlers" if service in ("transcoder", "thumbnailer") else f"services.{service}.handlers"
    register = import_module(module).register
    # What the handlers work with is used only once a record arrives, and none will.
    absent = [None for given in list(signature(register).parameters.values())[1:] if given.default is Parameter.empty]
    register(broker, *absent)
    return broker


def consumer_groups(broker: ServiceBroker) -> dict[str, str]:
    """The consumer group of each topic that a broker subscribes to, in the order of `TOPICS`."""
    # FastStream's common type of subscriber has neither topics nor groups; Kafka's has both.
    subscribers: list[Any] = [*broker.subscribers]
    found = {name: subscriber.group_id for subscriber in subscribers for name in subscriber.topic_names}
    return {topic.name: found[topic.name] for topic in TOPICS if topic.name in found}


def received_types(generated: Mapping[str, Any]) -> dict[str, list[str]]:
    """The event types that the handler of each topic takes, from FastStream's document."""
    found = {}
    for operation in generated["operations"].values():
        name = operation["channel"]["$ref"].removeprefix("#/channels/")
        payload = generated["components"]["schemas"][f"{name}:Message:Payload"]
        models = {ref.rpartition("/")[2] for ref in _refs(payload)}
        # A submission may have any submitted type of its topic.
        takes = [
            type_
            for type_ in _BY_NAME[name].types
            if (Submission if type_ in SUBMISSIONS else EVENTS[type_]).__name__ in models
        ]
        found[name] = takes
    return found


def _generated(broker: ServiceBroker) -> dict[str, Any]:
    specification = AsyncAPI(
        broker,
        title=f"bitmill {broker.service}",
        version=version("bitmill"),
        description=(import_module(f"services.{broker.service}").__doc__ or "").strip(),
        license={"name": "Apache-2.0"},
    )
    document: dict[str, Any] = specification.to_specification().to_jsonable()
    return {"asyncapi": document.pop("asyncapi"), **document}


_SERVERS: dict[str, Any] = {
    "kafka": {
        "host": "{bootstrap}",
        "protocol": "kafka",
        "description": "The cluster that KAFKA_BOOTSTRAP_SERVERS names.",
        "variables": {"bootstrap": {"default": "127.0.0.1:9092"}},
    }
}


def _channel(topic: Topic) -> dict[str, Any]:
    # -1 is Kafka's value for "never delete".
    retention = -1 if topic.retention is None else int(topic.retention.total_seconds() * 1000)
    return {
        "address": topic.name,
        "description": f"{topic.description} The key of each record is the {topic.key}.",
        "messages": {
            message_name(type_): {"$ref": f"#/components/messages/{message_name(type_)}"} for type_ in topic.types
        },
        "bindings": _topic_binding(topic.partitions, "compact" if topic.compacted else "delete", retention),
    }


def _dead_letter_channel(topic: Topic) -> dict[str, Any]:
    retention = int(DEAD_LETTER_RETENTION.total_seconds() * 1000)
    return {
        "address": topic.dead_letter,
        "description": f"Records of {topic.name} that a consumer gave up, as they came, with the reason in a header.",
        "messages": {_DEAD_LETTER: {"$ref": f"#/components/messages/{_DEAD_LETTER}"}},
        "bindings": _topic_binding(DEAD_LETTER_PARTITIONS, "delete", retention),
    }


def _topic_binding(partitions: int, cleanup: str, retention_ms: int) -> dict[str, Any]:
    configuration = {"cleanup.policy": [cleanup], "retention.ms": retention_ms}
    return {"kafka": {"partitions": partitions, "topicConfiguration": configuration, "bindingVersion": _BINDING}}


def _receive(topic: Topic, types: Sequence[str], group: str | None) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "messages": _message_refs(topic.name, [message_name(type_) for type_ in types]),
    }
    if group is not None:
        group_schema = {"type": "string", "enum": [group]}
        operation["bindings"] = {"kafka": {"groupId": group_schema, "bindingVersion": _BINDING}}
    return {f"receive.{topic.name}": operation}


def _send(channel: str, messages: Sequence[str]) -> dict[str, Any]:
    operation = {
        "action": "send",
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": _message_refs(channel, messages),
    }
    return {f"send.{channel}": operation}


def _message_refs(channel: str, names: Sequence[str]) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names]


def _components(topics: Sequence[Topic], *, with_dead_letters: bool) -> dict[str, Any]:
    messages: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for type_ in (type_ for topic in topics for type_ in topic.types):
        messages[message_name(type_)] = _message(type_)
        schema = data_schema(type_, "#/components/schemas/{model}")
        schemas |= schema.pop("$defs", {}) | {message_name(type_): schema}
    if with_dead_letters:
        messages[_DEAD_LETTER] = _dead_letter_message()
    return {"messages": messages, "schemas": dict(sorted(schemas.items()))}


def _message(type_: str) -> dict[str, Any]:
    sample = example(type_)
    return {
        "name": type_,
        "title": message_name(type_),
        "contentType": "application/json",
        "headers": headers_schema(type_),
        "payload": {"$ref": f"#/components/schemas/{message_name(type_)}"},
        "bindings": {"kafka": {"key": {"type": "string"}, "bindingVersion": _BINDING}},
        "examples": [{"headers": sample["headers"], "payload": sample["data"]}],
    }


def _dead_letter_message() -> dict[str, Any]:
    properties = {name: {"type": "string", "description": text} for name, text in _DEAD_LETTER_HEADERS.items()}
    return {
        "name": _DEAD_LETTER,
        "title": "A record that a consumer gave up",
        "description": "Key, value and headers are the record's own; the headers below are added to them.",
        # Dead letters of earlier releases have no code.
        "headers": {
            "type": "object",
            "required": [name for name in properties if name != dead_letters.REASON_CODE],
            "properties": properties,
        },
        "payload": {"description": "The value of the record, whatever it is."},
    }


def _refs(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        for key, value in schema.items():
            yield from [value] if key == "$ref" else _refs(value)
    elif isinstance(schema, list):
        for each in schema:
            yield from _refs(each)
