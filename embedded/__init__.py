"""A real Apache Kafka and a real Postgres as children of this process, for one machine and for the tests.

This room starts, watches and ends servers below a data folder; it knows nothing of topics, tables or services. Nothing
of it is imported by a service: only the command that runs everything on one machine, and the tests, come here.
"""

from embedded.errors import EmbeddedServerError, FolderInUse
from embedded.folder_lock import hold_folder
from embedded.kafka import KafkaServer
from embedded.orphan_reaper import CHILD_ENV_VAR, data_id, reap_orphans
from embedded.postgres import PostgresServer
from embedded.restart_policy import keep_running

__all__ = [
    "CHILD_ENV_VAR",
    "EmbeddedServerError",
    "FolderInUse",
    "KafkaServer",
    "PostgresServer",
    "data_id",
    "hold_folder",
    "keep_running",
    "reap_orphans",
]
