"""A real Apache Kafka and a real Postgres as children of this process, for one machine and for the tests.

This room starts, watches and ends servers below a data folder; it knows nothing of topics, tables or services. Nothing
of it is imported by a service: only the command that runs everything on one machine, and the tests, come here.
"""

from chassis.embedded.errors import EmbeddedServerError, FolderInUse
from chassis.embedded.kafka import KafkaServer
from chassis.embedded.keeping import keep_running
from chassis.embedded.lock import hold_folder
from chassis.embedded.orphans import CHILD_MARK, data_id, reap_orphans
from chassis.embedded.postgres import PostgresServer

__all__ = [
    "CHILD_MARK",
    "EmbeddedServerError",
    "FolderInUse",
    "KafkaServer",
    "PostgresServer",
    "data_id",
    "hold_folder",
    "keep_running",
    "reap_orphans",
]
