"""Kafka's jars: resolved and fetched once by `jgo`, which knows the repository, and kept in the user's Maven folder."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from embedded.errors import EmbeddedServerError

KAFKA_VERSION = "4.3.0"
_LOGGING_VERSION = "1.7.36"
"""Of slf4j, whose interface Kafka's jars bring in this version; without an implementation a broker says nothing."""
_ENDPOINT = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:{_LOGGING_VERSION}"


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
    cache = Path(GlobalSettings.load().cache_dir)
    try:
        with _alone(cache):
            if not _cached(cache):
                progress(f"Fetching Apache Kafka {KAFKA_VERSION} (45 MB), once …")
            environment = jgo.build(_ENDPOINT)
    except Exception as error:  # jgo names none of its errors; all of them mean "not to be had"
        raise EmbeddedServerError(
            f"Apache Kafka {KAFKA_VERSION} is not on this machine yet and could not be fetched "
            f"({type(error).__name__}): connect to a network for the first start, "
            "or set KAFKA_BOOTSTRAP_SERVERS to a Kafka of your own."
        ) from error
    return [*environment.class_path_jars, *environment.module_path_jars]


def _cached(cache: Path) -> bool:
    return any(cache.glob(f"envs/org/apache/kafka/kafka_2.13/*/*/slf4j-simple-{_LOGGING_VERSION}.jar"))


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """One process at a time: two first starts would write the same files."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "bitmill.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
