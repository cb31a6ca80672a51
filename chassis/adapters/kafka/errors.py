"""What can go wrong with a record, and with Kafka.

Refused                   the record goes to the dead-letter topic, and the consumer goes on
├── Unreadable            found by the codec
└── Rejected              said by a handler, on purpose
KafkaUnavailable          Kafka did not answer in time
TopicRefused              Kafka would not create a topic
NotAssigned               a consumer is not (yet) a member of its group
Redelivered               a handler failed; the record comes again. Never leaves this room
"""


class Refused(Exception):
    """A record that no repetition will make good; `reason` is a sentence for whoever wrote it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Unreadable(Refused):
    """The record is not what its topic promises."""


class Rejected(Refused):
    """The record can be read, but what it asks for is refused."""


class KafkaUnavailable(Exception):
    """Kafka did not answer in the time allowed."""


class TopicRefused(Exception):
    """Kafka would not create a topic."""


class NotAssigned(Exception):
    """A consumer has not been through an assignment of its group."""


class Redelivered(Exception):
    """Stands for a handler's own exception once that has been logged and waited for."""
