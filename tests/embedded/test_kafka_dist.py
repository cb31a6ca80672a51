"""Fetching Kafka's jars: what failed is said, breaks are survived, and only the files that are expected are used."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

from embedded import EmbeddedServerError
from embedded.download import RetryPolicy
from embedded.download_errors import from_network
from embedded.kafka_dist import KAFKA_VERSION, Jar, cache_folder, fetch_jars, kafka_jars
from tests.embedded.maven_server import MavenServer, make_certificate, maven_server

_NO_DELAYS = RetryPolicy(delays_seconds=(0.0, 0.0))
_CONTENT = bytes(range(256)) * 4000


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without proxies, and without a local Maven repository."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))


@pytest.fixture
async def repository() -> AsyncIterator[MavenServer]:
    async with maven_server() as server:
        yield server


async def _fetch(base: str, jar: Jar, tmp_path: Path, **environment: str) -> bytes:
    """The jar, fetched from `base` into an empty cache, and what was kept there."""
    variables = {"MAVEN_REPOSITORY_URL": base, "XDG_CACHE_HOME": str(tmp_path / "cache"), **environment}
    (path,) = await fetch_jars(lambda line: None, [jar], environment=variables, policy=_NO_DELAYS)
    return path.read_bytes()


async def _reason(base: str, jar: Jar, tmp_path: Path, **environment: str) -> str:
    """Why the jar cannot be fetched: the sentence without what is the same for every reason."""
    with pytest.raises(EmbeddedServerError) as raised:
        await _fetch(base, jar, tmp_path, **environment)
    before = f"Apache Kafka {KAFKA_VERSION} is not on this machine yet and could not be fetched: "
    after = (
        ". MAVEN_REPOSITORY_URL can name a mirror (a Maven repository), KAFKA_BOOTSTRAP_SERVERS a Kafka of your own."
    )
    message = str(raised.value)
    assert message.startswith(before)
    assert message.endswith(after)
    return message.removeprefix(before).removesuffix(after)


def test_every_jar_of_kafka_has_a_checksum_and_a_size() -> None:
    jars = kafka_jars()
    assert f"org/apache/kafka/kafka_2.13/{KAFKA_VERSION}/kafka_2.13-{KAFKA_VERSION}.jar" in {jar.path for jar in jars}
    assert all(re.fullmatch("[0-9a-f]{64}", jar.sha256) and jar.size > 0 for jar in jars)
    assert len({jar.name for jar in jars}) == len(jars) == 46


async def test_jars_are_fetched_once_from_the_mirror_and_kept(repository: MavenServer, tmp_path: Path) -> None:
    jars = [repository.jar(name, name.encode() * 1000) for name in ("one", "two")]
    environment = {"MAVEN_REPOSITORY_URL": repository.base, "XDG_CACHE_HOME": str(tmp_path)}
    lines: list[str] = []
    for _ in range(2):
        paths = await fetch_jars(lines.append, jars, environment=environment)
        assert [path.read_bytes() for path in paths] == [b"one" * 1000, b"two" * 1000]
    assert len(repository.requests) == 2
    assert lines == [f"Fetching Apache Kafka {KAFKA_VERSION} (0 MB), once …"]


async def test_two_first_starts_at_once_fetch_once(repository: MavenServer, tmp_path: Path) -> None:
    jars = [repository.jar("jar", _CONTENT)]
    environment = {"MAVEN_REPOSITORY_URL": repository.base, "XDG_CACHE_HOME": str(tmp_path)}
    lines: list[str] = []
    starts = (fetch_jars(lines.append, jars, environment=environment) for _ in range(2))
    first, second = await asyncio.gather(*starts)
    assert first == second
    assert len(repository.requests) == 1
    assert "Waiting for another process of this user that fetches Apache Kafka …" in lines


async def test_a_jar_in_the_local_maven_repository_is_taken_from_there_if_it_is_the_right_one(
    repository: MavenServer, tmp_path: Path
) -> None:
    right, wrong = repository.jar("right", b"the jar"), repository.jar("wrong", b"the jar too")
    for jar, content in ((right, b"the jar"), (wrong, b"another one")):
        local = tmp_path / "m2" / jar.path
        local.parent.mkdir(parents=True)
        local.write_bytes(content)
    assert await _fetch("http://127.0.0.1:1", right, tmp_path) == b"the jar"
    assert await _fetch(repository.base, wrong, tmp_path) == b"the jar too"


@pytest.mark.parametrize("ranges", [True, False], ids=["continued", "from the start"])
async def test_a_download_that_breaks_off_goes_on(repository: MavenServer, tmp_path: Path, ranges: bool) -> None:
    jar = repository.jar("large", _CONTENT)
    repository.cuts, repository.cut_after, repository.ranges = 2, 300_000, ranges
    assert await _fetch(repository.base, jar, tmp_path) == _CONTENT
    asked = [range_ for _, range_ in repository.requests]
    assert asked[0] == ""
    assert len(asked) == 3
    assert all(re.fullmatch(r"bytes=\d+-", range_) for range_ in asked[1:])


async def test_the_next_start_continues_what_an_earlier_one_left(repository: MavenServer, tmp_path: Path) -> None:
    jar = repository.jar("large", _CONTENT)
    repository.cuts, repository.cut_after = 3, 200_000
    reason = await _reason(repository.base, jar, tmp_path)
    assert reason.startswith("the connection to 127.0.0.1 broke off (")
    repository.requests.clear()
    assert await _fetch(repository.base, jar, tmp_path) == _CONTENT
    ((_, range_),) = repository.requests
    assert int(range_.removeprefix("bytes=").removesuffix("-")) >= 300_000


async def test_parts_that_do_not_fit_together_are_fetched_again(repository: MavenServer, tmp_path: Path) -> None:
    jar = repository.jar("large", _CONTENT)
    part = cache_folder({"XDG_CACHE_HOME": str(tmp_path / "cache")}) / f"{jar.name}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"of something else")
    assert await _fetch(repository.base, jar, tmp_path) == _CONTENT
    assert not part.exists()


async def test_another_file_than_the_expected_one_is_refused(repository: MavenServer, tmp_path: Path) -> None:
    jar = repository.jar("jar", b"as published")
    repository.content[f"/maven/{jar.path}"] = b"replaced one"
    reason = await _reason(repository.base, jar, tmp_path)
    found = sha256(b"replaced one").hexdigest()[:16]
    assert reason == (
        f"what 127.0.0.1 sent as /maven/{jar.path} is another file (its SHA-256 is {found}… instead of "
        f"{jar.sha256[:16]}…): a proxy or a mirror may have replaced it"
    )
    assert not list(tmp_path.rglob("jar-1.0.jar*"))


@pytest.mark.parametrize(
    ("status", "requests", "expected"),
    [
        (404, 1, "127.0.0.1 has no file {path} (404)"),
        (403, 1, "127.0.0.1 refuses access to {path} (403)"),
        (502, 3, "127.0.0.1 responded to {path} with status 502"),
    ],
)
async def test_a_response_without_the_file_is_reported(
    repository: MavenServer, tmp_path: Path, status: int, requests: int, expected: str
) -> None:
    jar = repository.jar("jar", b"content")
    repository.status = status
    assert await _reason(repository.base, jar, tmp_path) == expected.format(path=f"/maven/{jar.path}")
    assert len(repository.requests) == requests


async def test_an_unknown_authority_is_reported_and_each_usual_setting_makes_it_known(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path / "proxy.pem")
    async with maven_server(certificate) as repository:
        jar = repository.jar("jar", b"content")
        reason = await _reason(repository.base, jar, tmp_path)
        assert re.fullmatch(
            r"the TLS certificate of 127\.0\.0\.1 is not trusted \(self-signed certificate\): if a proxy of yours "
            "signs connections, set SSL_CERT_FILE to the certificate of its authority",
            reason,
        )
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            assert await _fetch(repository.base, jar, tmp_path / name, **{name: str(certificate)}) == b"content"


async def test_a_setting_that_names_no_certificates_is_reported(repository: MavenServer, tmp_path: Path) -> None:
    jar = repository.jar("jar", b"content")
    missing, text = tmp_path / "missing.pem", tmp_path / "text.pem"
    text.write_text("no certificate")
    reason = await _reason(repository.base, jar, tmp_path, SSL_CERT_FILE=str(missing))
    assert reason == f"SSL_CERT_FILE names {missing}, which cannot be used: No such file or directory"
    reason = await _reason(repository.base, jar, tmp_path, REQUESTS_CA_BUNDLE=str(text))
    assert reason == f"REQUESTS_CA_BUNDLE names {text}, which cannot be used: it has no certificates"


async def test_a_server_without_tls_is_reported(repository: MavenServer, tmp_path: Path) -> None:
    jar = repository.jar("jar", b"content")
    reason = await _reason(repository.base.replace("http:", "https:"), jar, tmp_path)
    assert reason.startswith("no TLS connection to 127.0.0.1: ")


async def test_a_refused_connection_is_reported(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    reason = await _reason(f"http://127.0.0.1:{port}", Jar("a/b.jar", "0" * 64, 1), tmp_path)
    assert reason.startswith(f"127.0.0.1:{port} cannot be reached: ")


def test_a_name_that_cannot_be_resolved_is_reported() -> None:
    key = ConnectionKey("repository.example", 443, True, True, None, None, None)
    error = aiohttp.ClientConnectorDNSError(key, OSError(-2, "Name or service not known"))
    reason = str(from_network(error, URL("https://repository.example/maven2/x.jar")))
    assert reason == "the name repository.example cannot be resolved (Name or service not known)"


async def test_proxies_are_used_except_for_the_hosts_of_no_proxy(
    repository: MavenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jar = repository.jar("jar", b"content")
    monkeypatch.setenv("HTTP_PROXY", repository.base.removesuffix("/maven"))
    assert await _fetch("http://repository.example/maven", jar, tmp_path / "proxied") == b"content"
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    reason = await _reason(repository.base, jar, tmp_path / "refused")
    assert reason.startswith("the proxy of HTTP_PROXY or HTTPS_PROXY cannot be reached (")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert await _fetch(repository.base, jar, tmp_path / "direct") == b"content"


async def test_a_proxy_that_asks_for_a_password_is_reported(
    repository: MavenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jar = repository.jar("jar", b"content")
    repository.status = 407
    monkeypatch.setenv("HTTPS_PROXY", repository.base.removesuffix("/maven"))
    reason = await _reason("https://repository.example/maven", jar, tmp_path)
    assert re.fullmatch(r"the proxy refused the connection to repository\.example with status 40\d: .*", reason)


async def test_a_full_disk_is_reported(repository: MavenServer, tmp_path: Path) -> None:
    jar = repository.jar("jar", b"content")
    folder = cache_folder({"XDG_CACHE_HOME": str(tmp_path / "cache")})
    folder.mkdir(parents=True)
    (folder / f"{jar.name}.part").symlink_to("/dev/full")  # every write fails as on a full disk
    reason = await _reason(repository.base, jar, tmp_path)
    assert reason == f"the disk of {folder} is full: free some space, or set XDG_CACHE_HOME to a folder on another disk"


async def test_a_cache_that_is_no_folder_is_reported(repository: MavenServer, tmp_path: Path) -> None:
    jar = repository.jar("jar", b"content")
    (tmp_path / "cache").write_text("a file")
    reason = await _reason(repository.base, jar, tmp_path)
    assert reason.endswith("kafka-4.3.0 cannot be used: Not a directory")


async def test_a_mirror_that_is_no_url_is_reported(tmp_path: Path) -> None:
    reason = await _reason("repository.example", Jar("a/b.jar", "0" * 64, 1), tmp_path)
    assert reason == "MAVEN_REPOSITORY_URL is 'repository.example', which is not the http(s) URL of a repository"
