"""One AsyncAPI 3.0 document per service: what it receives, asked of its handlers; what it sends, from the topics."""

from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from inspect import Parameter, signature
from typing import Any

from chassis.adapters.kafka import dead_letters as dead_letter
from chassis.adapters.kafka.consumer import ServiceBroker
from devtools.contracts.events import data_schema, headers_schema, title
from schemas.topics import DEAD_LETTER_PARTITIONS, DEAD_LETTER_RETENTION, TOPICS, Service, Topic

_BINDING = "0.5.0"
_BY_NAME = {topic.name: topic for topic in TOPICS}
DEAD_LETTER = "DeadLetter"


def document(service: Service) -> dict[str, Any]:
    """The AsyncAPI document of one service."""
    received = subscriptions(service)
    sent = [topic for topic in TOPICS if service in topic.writers]
    spoken = [topic for topic in TOPICS if topic in sent or topic.name in received]
    channels = {topic.name: _channel(topic) for topic in spoken}
    channels |= {topic.dead_letter: _dead_letter_channel(topic) for topic in spoken if topic.name in received}
    operations = dict(_receive(_BY_NAME[name], group) for name, group in received.items())
    operations |= dict(_dead_letter(_BY_NAME[name]) for name in received)
    operations |= dict(_send(topic) for topic in sent)
    return {
        "asyncapi": "3.0.0",
        "info": _info(service),
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "The cluster that KAFKA_BOOTSTRAP_SERVERS names.",
                "variables": {"bootstrap": {"default": "127.0.0.1:9092"}},
            }
        },
        "channels": channels,
        "operations": operations,
        "components": _components(spoken, dead_letters=bool(received)),
    }


def subscriptions(service: Service) -> dict[str, str]:
    """The topics that a service's handlers subscribe to, with the consumer group of each, in the order of `TOPICS`."""
    broker = ServiceBroker("127.0.0.1:9092", service)
    register = import_module(f"services.{service}.handlers").register
    # What the handlers work with is not needed before a record arrives, and none will: nothing is connected.
    absent = [None for given in list(signature(register).parameters.values())[1:] if given.default is Parameter.empty]
    register(broker, *absent)
    # FastStream's common type of subscriber knows neither topics nor groups; Kafka's has both.
    subscribers: list[Any] = [*broker.subscribers]
    found = {name: subscriber.group_id for subscriber in subscribers for name in subscriber.topic_names}
    return {topic.name: found[topic.name] for topic in TOPICS if topic.name in found}


def _info(service: Service) -> dict[str, Any]:
    return {
        "title": f"bitmill {service}",
        "version": version("bitmill"),
        "description": (import_module(f"services.{service}").__doc__ or "").strip(),
        "license": {"name": "Apache-2.0"},
    }


def _channel(topic: Topic) -> dict[str, Any]:
    # Kafka's own word for "for ever" is -1.
    retention = -1 if topic.retention is None else int(topic.retention.total_seconds() * 1000)
    return {
        "address": topic.name,
        "description": f"{topic.description} The key of each record is the {topic.key}.",
        "messages": {title(type_): {"$ref": f"#/components/messages/{title(type_)}"} for type_ in topic.types},
        "bindings": _topic_binding(topic.partitions, "compact" if topic.compacted else "delete", retention),
    }


def _dead_letter_channel(topic: Topic) -> dict[str, Any]:
    retention = int(DEAD_LETTER_RETENTION.total_seconds() * 1000)
    return {
        "address": topic.dead_letter,
        "description": f"Records of {topic.name} that could not be read, as they came, with the reason in a header.",
        "messages": {DEAD_LETTER: {"$ref": f"#/components/messages/{DEAD_LETTER}"}},
        "bindings": _topic_binding(DEAD_LETTER_PARTITIONS, "delete", retention),
    }


def _topic_binding(partitions: int, cleanup: str, retention_ms: int) -> dict[str, Any]:
    configuration = {"cleanup.policy": [cleanup], "retention.ms": retention_ms}
    return {
        "kafka": {"partitions": partitions, "topicConfiguration": configuration, "bindingVersion": _BINDING},
    }


def _receive(topic: Topic, group: str) -> tuple[str, dict[str, Any]]:
    binding = {"groupId": {"type": "string", "enum": [group]}, "bindingVersion": _BINDING}
    return f"receive.{topic.name}", {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "messages": _messages(topic.name, [title(type_) for type_ in topic.types]),
        "bindings": {"kafka": binding},
    }


def _send(topic: Topic) -> tuple[str, dict[str, Any]]:
    return f"send.{topic.name}", {
        "action": "send",
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "messages": _messages(topic.name, [title(type_) for type_ in topic.types]),
    }


def _dead_letter(topic: Topic) -> tuple[str, dict[str, Any]]:
    return f"send.{topic.dead_letter}", {
        "action": "send",
        "channel": {"$ref": f"#/channels/{topic.dead_letter}"},
        "messages": _messages(topic.dead_letter, [DEAD_LETTER]),
    }


def _messages(channel: str, names: list[str]) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names]


def _components(topics: list[Topic], *, dead_letters: bool) -> dict[str, Any]:
    messages: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for type_ in (type_ for topic in topics for type_ in topic.types):
        messages[title(type_)] = _message(type_)
        schemas |= dict(_schemas(type_))
    if dead_letters:
        messages[DEAD_LETTER] = _dead_letter_message()
    return {"messages": messages, "schemas": dict(sorted(schemas.items()))}


def _schemas(type_: str) -> Iterator[tuple[str, Any]]:
    schema = data_schema(type_, "#/components/schemas/{model}")
    yield from schema.pop("$defs", {}).items()
    yield title(type_), schema


def _message(type_: str) -> dict[str, Any]:
    return {
        "name": type_,
        "title": title(type_),
        "contentType": "application/json",
        "headers": headers_schema(type_),
        "payload": {"$ref": f"#/components/schemas/{title(type_)}"},
        "bindings": {"kafka": {"key": {"type": "string"}, "bindingVersion": _BINDING}},
    }


def _dead_letter_message() -> dict[str, Any]:
    told = {
        dead_letter.REASON: "What was wrong, in a sentence.",
        dead_letter.SOURCE_TOPIC: "Where the record came from.",
        dead_letter.SOURCE_PARTITION: "Its partition.",
        dead_letter.SOURCE_OFFSET: "Its offset.",
        dead_letter.SOURCE_SERVICE: "Who could not read it.",
    }
    properties = {name: {"type": "string", "description": about} for name, about in told.items()}
    return {
        "name": DEAD_LETTER,
        "title": "A record that could not be read",
        "description": "Key, value and headers are the record's own; the headers below are added to them.",
        "headers": {"type": "object", "required": [*properties], "properties": properties},
        # Whatever bytes somebody wrote: nothing can be said of them.
        "payload": True,
    }
