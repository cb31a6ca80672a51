"""The AsyncAPI 3 document of a service: what it reads, from its handlers; what it writes, from the table of topics."""

from functools import reduce
from operator import or_
from typing import Any

from faststream.kafka import KafkaBroker
from faststream.specification import AsyncAPI

from schemas.events import EVENTS
from schemas.topics import TOPICS, Topic


def document(broker: KafkaBroker, service: str, *, version: str, description: str = "") -> dict[str, Any]:
    """The document of `service`, whose handlers are registered on `broker`; nothing is connected.

    To be called once per broker: the topics that the service writes are added to it.
    """
    for topic in TOPICS:
        if service in topic.writers:
            broker.publisher(topic.name, schema=_payload(topic), title=topic.name, description=topic.description)
    specification = AsyncAPI(title=f"bitmill {service}", version=version, description=description)
    specification.add_broker(broker)
    return dict(specification.to_specification().to_jsonable())


def _payload(topic: Topic) -> Any:
    return reduce(or_, (EVENTS[type_] for type_ in topic.types))
