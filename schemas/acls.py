"""What each service may do in Kafka, derived from the table of topics (pure).

A service's principal gets what its work needs and nothing else: it reads its topics in its own groups, writes its own
events and dead letters, creates those of these topics that are missing, and reads their settings.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, get_args

from schemas.topics import (
    JOB_CREATED,
    MEDIA_CHANGED,
    MEDIA_CREATED,
    SERVICES,
    TOPICS,
    Service,
    Topic,
    group_id,
    topics_of,
)

Operation = Literal["Create", "Delete", "Describe", "DescribeConfigs", "Read", "Write"]
OPERATIONS: tuple[Operation, ...] = get_args(Operation)
PRODUCER = "producer"
"""The role of programs that submit jobs, media items and actions on jobs. They can do so for every project."""
OPERATOR = "operator"
"""The role of people who use `bitmill dlq`. They can write to the services' topics, and are trusted as the services."""

_AWAITED: dict[Service, tuple[tuple[Service, Topic], ...]] = {
    "ingest": (("catalog", MEDIA_CREATED), ("catalog", MEDIA_CHANGED), ("catalog", JOB_CREATED))
}
"""Groups of other services whose lag a service measures: some requests wait until the catalog shows what they did."""


@dataclass(frozen=True)
class Acl:
    """What a principal may do with one topic or consumer group; the name is literal."""

    resource: Literal["topic", "group"]
    name: str
    operations: tuple[Operation, ...]


def roles() -> tuple[str, ...]:
    """The services, the producers outside, and operators."""
    return (*SERVICES, PRODUCER, OPERATOR)


def acls_of(role: str) -> list[Acl]:
    """All that a role may do, by resource and name. Everything else is refused by a cluster with an authorizer."""
    outside = {PRODUCER: _producer, OPERATOR: _operator}
    grants = outside[role]() if role in outside else _service(next(name for name in SERVICES if name == role))
    return [
        Acl(resource, name, tuple(operation for operation in OPERATIONS if operation in {grant[2] for grant in group}))
        for (resource, name), group in (
            (key, list(found)) for key, found in groupby(sorted(set(grants)), key=lambda grant: grant[:2])
        )
    ]


def _service(service: Service) -> Iterator[tuple[Literal["topic", "group"], str, Operation]]:
    for topic in topics_of(service):
        for name in (topic.name, topic.dead_letter):
            yield "topic", name, "Create"
            yield "topic", name, "Describe"
            yield "topic", name, "DescribeConfigs"
        if service in topic.writers:
            yield "topic", topic.name, "Write"
        if service in topic.readers:
            yield "topic", topic.name, "Read"
            yield "topic", topic.dead_letter, "Write"
            if not topic.broadcast:
                yield "group", group_id(service, topic), "Read"
    for other, topic in _AWAITED.get(service, ()):
        yield "group", group_id(other, topic), "Describe"


def _producer() -> Iterator[tuple[Literal["topic", "group"], str, Operation]]:
    for topic in TOPICS:
        if topic.submitted:
            yield "topic", topic.name, "Describe"
            yield "topic", topic.name, "Write"


def _operator() -> Iterator[tuple[Literal["topic", "group"], str, Operation]]:
    """Dead letters are read, marked and deleted, and their records sent to the topics that they came from.

    Those topics are read as well: a dead letter that would be too large has no value.
    """
    operations: tuple[Operation, ...] = ("Delete", "Describe", "Read", "Write")
    for topic in TOPICS:
        for operation in operations:
            yield "topic", topic.dead_letter, operation
        yield "topic", topic.name, "Describe"
        yield "topic", topic.name, "Read"
        if not topic.lossy:
            yield "topic", topic.name, "Write"


def document() -> dict[str, list[dict[str, object]]]:
    """The ACLs of every role as the published file has them."""
    return {
        role: [
            {"resource": acl.resource, "name": acl.name, "pattern": "literal", "operations": list(acl.operations)}
            for acl in acls_of(role)
        ]
        for role in roles()
    }


def commands(role: str, principal: str) -> Iterator[list[str]]:
    """The arguments of Kafka's tool `kafka-acls` that grant a role to a principal, one call per set of operations."""
    by_grant = sorted(acls_of(role), key=lambda acl: (acl.resource, acl.operations))
    for (resource, operations), group in groupby(by_grant, key=lambda acl: (acl.resource, acl.operations)):
        arguments = ["--add", "--allow-principal", principal]
        for operation in operations:
            arguments += ["--operation", operation]
        for acl in group:
            arguments += [f"--{resource}", acl.name]
        yield arguments
