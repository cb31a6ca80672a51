"""Kafka's jars: resolved and fetched once by `jgo`, which knows the repository, and kept in the user's Maven folder."""

from collections.abc import Callable
from pathlib import Path

from chassis.embedded.errors import EmbeddedServerError

KAFKA_VERSION = "4.3.0"
_ENDPOINT = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"


def fetch(progress: Callable[[str], None]) -> list[Path]:
    """The class path of Kafka. Blocks: 20 s for 45 MB the first time on a machine, nothing later.

    `progress` gets a line when something has to be fetched. `EmbeddedServerError` where that fails.
    """
    try:
        import jgo
        from jgo.config import GlobalSettings
    except ImportError:
        raise EmbeddedServerError(
            "The package jgo is not installed: install the extra bitmill[up], "
            "or set KAFKA_BOOTSTRAP_SERVERS to a Kafka of your own."
        ) from None
    if not _cached(Path(GlobalSettings.load().cache_dir)):
        progress(f"Fetching Apache Kafka {KAFKA_VERSION} (45 MB), once …")
    try:
        environment = jgo.build(_ENDPOINT)
    except Exception as error:
        raise EmbeddedServerError(
            f"Apache Kafka {KAFKA_VERSION} is not on this machine yet and could not be fetched "
            f"({type(error).__name__}): connect to a network for the first start, "
            "or set KAFKA_BOOTSTRAP_SERVERS to a Kafka of your own."
        ) from error
    return [*environment.class_path_jars, *environment.module_path_jars]


def _cached(cache: Path) -> bool:
    return any(cache.glob(f"envs/org/apache/kafka/kafka_2.13/*/jars/kafka_2.13-{KAFKA_VERSION}.jar"))
