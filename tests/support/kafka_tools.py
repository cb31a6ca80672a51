"""Kafka's own command line tools. The embedded Kafka does without them, so that their jar is fetched for tests only."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from embedded import kafka_dist
from embedded.kafka_dist import KAFKA_VERSION, Jar

TOOLS = Jar(
    f"org/apache/kafka/kafka-tools/{KAFKA_VERSION}/kafka-tools-{KAFKA_VERSION}.jar",
    "b88bc6ccc520d648142515526e4042c285612ce94b032434a88e3e936e38b600",
    698592,
)
"""Kept in the cache beside Kafka's jars."""
MAIN_CLASSES: Mapping[str, str] = {"kafka-acls": "org.apache.kafka.tools.AclCommand"}
"""What the scripts of a Kafka installation run."""


async def install(folder: Path) -> None:
    """Writes programs with the names of Kafka's tools into `folder`, for PATH."""
    jars = await kafka_dist.fetch_jars(print, [*kafka_dist.kafka_jars(), TOOLS])
    java = [str(kafka_dist.packaged_java()), "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    java.append("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
    for name, main_class in MAIN_CLASSES.items():
        command = [*java, "-cp", os.pathsep.join(map(str, jars)), main_class]
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        program.chmod(0o755)
