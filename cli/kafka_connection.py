"""The Kafka of a running system, for commands that work on it: its settings, and what its errors mean."""

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from aiokafka.errors import KafkaError, PolicyViolationError, TopicAuthorizationFailedError

from chassis.adapters.kafka.connection import KafkaConnection, configured
from chassis.adapters.kafka.dead_letter_log import DeadLetterLog, open_dead_letters
from chassis.adapters.kafka.errors import KafkaUnavailable
from chassis.core import logs
from chassis.core.kafka_settings import KafkaSettings
from chassis.core.settings import SettingsError, load
from cli.errors import CliError, UsageError
from cli.kafka_client import settings_of

CONNECT_SECONDS = 5.0
T = TypeVar("T")


def kafka_of(arguments: argparse.Namespace) -> KafkaConnection:
    """The connection to the Kafka of `--data`, of the environment, or of the default folder. Raises UsageError."""
    found = settings_of(arguments)
    named = arguments.data is None and os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    try:
        return configured(load(KafkaSettings, **({} if named else of_folder(found))))
    except SettingsError as error:
        raise UsageError(str(error)) from None


def of_folder(found: Mapping[str, str]) -> dict[str, Any]:
    """What the settings of a folder replace in the environment, by the names of KafkaSettings (pure).

    Those of an embedded Kafka are complete. A folder whose Kafka is another one has its address only: the login is in
    the environment, as it was for `bitmill up`.
    """
    named = {name.lower(): value for name, value in found.items()}
    if "kafka_security_protocol" not in named:
        return named
    return {**dict.fromkeys(KafkaSettings.model_fields), "kafka_ssl_check_hostname": True, **named}


def with_dead_letters(arguments: argparse.Namespace, work: Callable[[DeadLetterLog], Awaitable[T]]) -> T:
    """What `work` returns, called with the dead letters of the system. Raises CliError."""
    kafka = kafka_of(arguments)
    logs.configure("auto", "error")

    async def run() -> T:
        async with open_dead_letters(kafka, wait=CONNECT_SECONDS) as opened:
            return await work(opened)

    try:
        return asyncio.run(run())
    except KafkaUnavailable as error:
        raise CliError(f"{error}. Is the system running? Its Kafka is named by --data or KAFKA_…") from None
    except TopicAuthorizationFailedError as error:
        raise CliError(
            f"Kafka refuses this login a right on {error}: `bitmill kafka acls operator` prints what it needs"
        ) from None
    except PolicyViolationError:
        raise CliError(
            "Kafka deletes no records of a topic with cleanup.policy=compact: set cleanup.policy=delete on it"
        ) from None
    except TimeoutError:
        raise CliError(f"Kafka at {kafka.bootstrap} does not respond: try again") from None
    except (KafkaError, OSError) as error:
        raise CliError(f"Kafka at {kafka.bootstrap}: {type(error).__name__} {error}".rstrip()) from None
