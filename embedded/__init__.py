"""A real Apache Kafka and a real Postgres as child processes, for `bitmill up` and for the tests.

The package starts, watches, restarts and stops servers whose data lies in one data folder. It is
independent of topics, tables and services; no service imports it, and service images do not contain it.
"""

from embedded.data_folder import data_id, hold_folder, reap_orphans
from embedded.errors import EmbeddedServerError, FolderInUse
from embedded.kafka import KafkaServer
from embedded.kafka_login import KafkaLogin
from embedded.log_rotation import keep_logs_bounded
from embedded.postgres import PostgresServer
from embedded.restarts import keep_running
from embedded.server import EmbeddedServer

__all__ = [
    "EmbeddedServer",
    "EmbeddedServerError",
    "FolderInUse",
    "KafkaLogin",
    "KafkaServer",
    "PostgresServer",
    "data_id",
    "hold_folder",
    "keep_logs_bounded",
    "keep_running",
    "reap_orphans",
]
