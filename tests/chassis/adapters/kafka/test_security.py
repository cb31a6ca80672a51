"""TLS and logins on real brokers: every client connects by the same settings, and a wrong one is named."""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from chassis.adapters.kafka.admin import ensure_topics, wait_for_kafka
from chassis.adapters.kafka.connection import KafkaConnection
from chassis.adapters.kafka.consumer import ServiceBroker, subscribe
from chassis.adapters.kafka.errors import KafkaRefused, KafkaUnavailable
from chassis.adapters.kafka.lag import GroupLag
from chassis.adapters.kafka.producer import replaceable_producer
from schemas.events import JobSucceeded
from tests.chassis.adapters.kafka.examples import eventually, read, record, succeeded, topic_of_its_own
from tests.support.certificates import Authority
from tests.support.secured_kafka import SecuredKafka, password_of, plain_login, secured_kafka, tls

USER = "catalog"
SHORT_SECONDS = 3.0
"""For attempts that are to fail; a success takes less than a tenth of it, a failure that is certain too."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
async def login(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SecuredKafka]:
    """TLS and a login: a password, or a token."""
    properties = tls(authority) | plain_login("SASL_SSL", (USER,), mechanisms="PLAIN,OAUTHBEARER")
    async with secured_kafka(
        tmp_path_factory.mktemp("login"),
        "SASL_SSL",
        properties,
        ssl_ca_file=authority.file,
        sasl_username=USER,
        sasl_password=password_of(USER),
    ) as kafka:
        yield kafka


@pytest.fixture(scope="module")
async def mutual(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SecuredKafka]:
    """TLS where the client has a certificate as well."""
    client = authority.sign("catalog")
    async with secured_kafka(
        tmp_path_factory.mktemp("mutual"),
        "SSL",
        tls(authority, client_auth="required"),
        ssl_ca_file=authority.file,
        ssl_certificate_file=client.certificate,
        ssl_key_file=client.key,
    ) as kafka:
        yield kafka


async def assert_every_client_works(kafka: KafkaConnection) -> None:
    """Topics, producer, consumer, dead letters and lag, as a service uses them."""
    topic = topic_of_its_own()
    await ensure_topics(kafka, [topic])
    broker = ServiceBroker(kafka, "catalog")
    seen: list[str] = []

    @subscribe(broker, topic)
    async def on_result(events: Sequence[JobSucceeded]) -> None:
        seen.extend(event.job.input for event in events)

    await broker.start()
    lag = GroupLag(kafka, "tests.lag")
    try:
        async with replaceable_producer(kafka, "tests") as reopen:
            producer = await reopen()
            sent = record(succeeded("one"))
            await producer.send_and_wait(topic.name, b"not an event", key=b"k")
            await producer.send_and_wait(topic.name, sent.value, key=sent.key, headers=sent.headers)

        async def handled() -> bool:
            return seen == ["one"] and (await lag.measure("catalog", [topic]))[topic.name].records == 0

        await eventually(handled)
        await lag.ping()
        (letter,) = await read(kafka, topic.dead_letter, 1)
        assert letter.value == b"not an event"
    finally:
        await lag.close()
        await broker.stop()


async def refused(kafka: KafkaConnection) -> str:
    """The sentence of a failure that is certain at once."""
    with pytest.raises(KafkaRefused) as raised:
        await wait_for_kafka(kafka, timeout=60.0)
    return str(raised.value)


async def unavailable(kafka: KafkaConnection) -> str:
    with pytest.raises(KafkaUnavailable) as raised:
        await wait_for_kafka(kafka, timeout=SHORT_SECONDS)
    return str(raised.value)


def unsigned_token(user: str, seconds: int = 600) -> str:
    """A token that Kafka's validator for development accepts (RFC 7519, 6.1)."""
    claims = {"sub": user, "iat": int(time.time()), "exp": int(time.time()) + seconds}
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    return ".".join(urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


async def test_every_client_works_with_tls_and_a_password_from_a_file(login: SecuredKafka, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{password_of(USER)}\n")
    (tmp_path / "user").write_text(USER)
    files = {"sasl_username_file": tmp_path / "user", "sasl_password_file": tmp_path / "password"}
    await assert_every_client_works(login.connection(sasl_username=None, sasl_password=None, **files))


async def test_every_client_works_with_a_certificate_of_its_own(mutual: SecuredKafka) -> None:
    await assert_every_client_works(mutual.connection())


async def test_every_client_works_with_a_token_from_a_file(login: SecuredKafka, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(unsigned_token(USER))
    await assert_every_client_works(login.connection(sasl_mechanism="OAUTHBEARER", oauth_token_file=file))


async def test_a_token_that_has_expired_is_refused_by_name(login: SecuredKafka, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(unsigned_token(USER, seconds=-600))
    sentence = await refused(login.connection(sasl_mechanism="OAUTHBEARER", oauth_token_file=file))
    assert "refuses the token: check KAFKA_OAUTH_TOKEN_FILE or KAFKA_OAUTH_TOKEN_URL" in sentence


async def test_a_wrong_password_is_refused_by_name(login: SecuredKafka) -> None:
    sentence = await refused(login.connection(sasl_password="wrong"))
    assert "KAFKA_SASL_USERNAME or KAFKA_SASL_PASSWORD is wrong for the mechanism PLAIN" in sentence
    assert "wrong." not in sentence.replace("is wrong for", ""), "the password itself is not shown"


async def test_a_mechanism_that_is_not_offered_is_refused_by_name(login: SecuredKafka) -> None:
    sentence = await refused(login.connection(sasl_mechanism="SCRAM-SHA-512"))
    assert "does not offer the login SCRAM-SHA-512: set KAFKA_SASL_MECHANISM" in sentence


async def test_a_broker_of_an_untrusted_authority_is_refused_by_name(login: SecuredKafka, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    sentence = await refused(login.connection(ssl_ca_file=other.file))
    assert "not trusted" in sentence and "KAFKA_SSL_CA_FILE" in sentence
    assert "not trusted" in await refused(login.connection(ssl_ca_file=None)), "the system's authorities"


async def test_a_certificate_for_another_name_is_refused_unless_names_are_not_checked(login: SecuredKafka) -> None:
    other = SecuredKafka(login.bootstrap.replace("127.0.0.1", "localhost"), login.settings)
    sentence = await refused(other.connection())
    assert "is for another name" in sentence and "KAFKA_SSL_CHECK_HOSTNAME" in sentence
    await wait_for_kafka(other.connection(ssl_check_hostname=False))


async def test_a_missing_or_foreign_client_certificate_is_refused_by_name(mutual: SecuredKafka, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "other").sign("stranger")
    for certificate, key in ((None, None), (stranger.certificate, stranger.key)):
        sentence = await refused(mutual.connection(ssl_certificate_file=certificate, ssl_key_file=key))
        assert "refuses this client's certificate" in sentence
        assert "KAFKA_SSL_CERTIFICATE_FILE must name one that it trusts" in sentence


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SASL_PLAINTEXT"])
async def test_a_client_without_tls_is_told_which_setting_it_is(login: SecuredKafka, protocol: str) -> None:
    user = {} if protocol == "SASL_PLAINTEXT" else {"sasl_username": None, "sasl_password": None}
    sentence = await unavailable(login.connection(security_protocol=protocol, ssl_ca_file=None, **user))
    assert f"KAFKA_SECURITY_PROTOCOL is {protocol}, and this listener may want TLS" in sentence


async def test_a_client_with_tls_at_a_port_without_is_told_which_setting_it_is(
    kafka_bootstrap: str, authority: Authority
) -> None:
    kafka = SecuredKafka(kafka_bootstrap, {"security_protocol": "SSL", "ssl_ca_file": authority.file})
    sentence = await unavailable(kafka.connection())
    assert "no TLS handshake is possible" in sentence
    assert "KAFKA_SECURITY_PROTOCOL is SSL, and this port may not be TLS" in sentence


async def test_a_client_with_a_login_at_a_listener_without_is_told_which_setting_it_is(kafka_bootstrap: str) -> None:
    kafka = SecuredKafka(
        kafka_bootstrap, {"security_protocol": "SASL_PLAINTEXT", "sasl_username": "a", "sasl_password": "b"}
    )
    sentence = await refused(kafka.connection())
    assert "KAFKA_SECURITY_PROTOCOL is SASL_PLAINTEXT: set it to PLAINTEXT" in sentence
