"""Errors of records and of Kafka.

Rejected (chassis.adapters.failure_policy)
├── RecordUnreadable      the codec cannot read the record: dead letter
└── RecordRejected        a handler refuses the record: dead letter
KafkaUnavailable          Kafka did not answer in time
└── KafkaRefused          Kafka answers and refuses this client: another setting is needed, not time
TopicCreationFailed       Kafka refused to create a topic
ConsumerNotReady          a consumer has no assignment, makes no progress, or was stopped: not ready
"""

from chassis.adapters.failure_policy import Rejected
from chassis.core.settings import StartRefused


class RecordUnreadable(Rejected):
    """The record does not have the format that its topic declares."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, "unreadable")


class RecordRejected(Rejected):
    """The record can be read, but the requested action is refused."""


class KafkaUnavailable(Exception):
    """Kafka did not answer in the time allowed."""


class KafkaRefused(KafkaUnavailable, StartRefused):
    """Kafka, or its certificate, does not fit the settings; the message names them. Waiting does not help."""


class TopicCreationFailed(Exception):
    """Kafka refused to create a topic."""


class ConsumerNotReady(Exception):
    """A consumer does not handle records at the moment; the message says which one and why."""
