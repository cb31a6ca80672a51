"""What can go wrong with a record, and with Kafka.

Rejected (chassis.adapters.failure_policy)
├── RecordUnreadable      the codec cannot read the record: dead letter
└── RecordRejected        a handler refuses the record: dead letter
KafkaUnavailable          Kafka did not answer in time
TopicCreationFailed       Kafka refused to create a topic
ConsumerNotReady          a consumer has no assignment, makes no progress, or was stopped: not ready
"""

from chassis.adapters.failure_policy import Rejected


class RecordUnreadable(Rejected):
    """The record is not what its topic declares."""


class RecordRejected(Rejected):
    """The record can be read, but what it asks for is refused."""


class KafkaUnavailable(Exception):
    """Kafka did not answer in the time allowed."""


class TopicCreationFailed(Exception):
    """Kafka refused to create a topic."""


class ConsumerNotReady(Exception):
    """A consumer cannot do its work at the moment; the message says which and why."""
