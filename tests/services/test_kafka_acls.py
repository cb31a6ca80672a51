"""A broker with an authorizer and the ACLs that Kafka's own tool has made of the printed commands.

Each service can do its work there, and nothing else.
"""

import asyncio
import io
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError

from chassis.adapters.kafka.admin import ensure_topics
from chassis.adapters.kafka.dead_letter import Position
from chassis.adapters.kafka.dead_letter_log import open_dead_letters
from chassis.adapters.kafka.dead_letters import dead_letter_headers
from chassis.adapters.kafka.errors import TopicCreationFailed
from chassis.core.settings import StartRefused
from chassis.runtime.lifecycle import serve
from cli.__main__ import main
from cli.service_commands import build
from schemas.acls import OPERATOR, PRODUCER, acls_of, roles
from schemas.topics import JOB_RESULTS, KEY_CHANGED, SERVICES, TOPICS, Service, group_id, topics_of
from tests.chassis.adapters.kafka.examples import topic_of_its_own
from tests.services.notifier.support import SECRET
from tests.support import kafka_tools
from tests.support.secured_kafka import ADMIN, SUPER_USERS, SecuredKafka, password_of, plain_login, secured_kafka
from tests.support.servers import Postgres

STRANGER = "stranger"
_AUTHORIZER = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
_PATTERN = re.compile(r"ResourcePattern\(resourceType=(\w+), name=(\S+), patternType=LITERAL\)")
_ENTRY = re.compile(r"\(principal=User:(\S+), host=\*, operation=(\w+), permissionType=ALLOW\)")
"""How `kafka-acls --list` shows them."""


@pytest.fixture(scope="module")
async def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Kafka's tools, and with the file that the printed commands name."""
    folder = tmp_path_factory.mktemp("tools")
    await kafka_tools.install(folder)
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    jaas = f'{module} required username="{ADMIN}" password="{password_of(ADMIN)}";'
    (folder / "admin.properties").write_text(
        f"security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.jaas.config={jaas}\n"
    )
    return folder


@pytest.fixture(scope="module")
async def kafka(tmp_path_factory: pytest.TempPathFactory, tools: Path) -> AsyncIterator[SecuredKafka]:
    """A broker that grants each role what the table says, and everything to the admin."""
    properties = plain_login("SASL_PLAINTEXT", (*roles(), STRANGER)) | {
        "authorizer.class.name": _AUTHORIZER,
        "super.users": SUPER_USERS,
    }
    async with secured_kafka(tmp_path_factory.mktemp("acls"), "SASL_PLAINTEXT", properties) as running:
        # Two at a time: each of their commands starts a Java.
        turns = asyncio.Semaphore(2)
        await asyncio.gather(*(_grant(running, role, tools, turns) for role in roles()))
        yield running


async def _grant(kafka: SecuredKafka, role: str, tools: Path, turns: asyncio.Semaphore) -> None:
    printed = io.StringIO()
    with redirect_stdout(printed):
        assert main(["kafka", "acls", role, "--principal", "User:{role}"]) == 0
    async with turns:
        await _shell(printed.getvalue(), kafka, tools)


async def _shell(script: str, kafka: SecuredKafka, tools: Path) -> str:
    """The output of a script that calls Kafka's tools; it ends at the first that fails."""
    environment = {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap}
    process = await asyncio.create_subprocess_exec(
        *("sh", "-e", "-c", script),
        cwd=tools,
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output = (await asyncio.wait_for(process.communicate(), 300))[0].decode()
    assert process.returncode == 0, output
    return output


def login(user: str) -> dict[str, Any]:
    return {"sasl_username": user, "sasl_password": password_of(user)}


def options(kafka: SecuredKafka, user: str) -> dict[str, Any]:
    return kafka.connection(**login(user)).options


def settings(kafka: SecuredKafka, user: str, database_url: str, folder: Path) -> dict[str, Any]:
    """The settings of a service that connects to the broker as this user."""
    return {
        "kafka_bootstrap_servers": kafka.bootstrap,
        **{f"kafka_{name}": value for name, value in {**kafka.settings, **login(user)}.items()},
        "database_url": database_url,
        "storage_url": (folder / "storage").as_uri(),
        "work_dir": folder / "work",
        "webhook_secret": SECRET,
    }


@asynccontextmanager
async def producer(kafka: SecuredKafka, user: str) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(enable_idempotence=user != STRANGER, acks="all", **options(kafka, user)) as opened:
        yield opened


async def may_write(kafka: SecuredKafka, user: str) -> set[str]:
    """The topics to which the user could send a record."""
    found = set()
    async with producer(kafka, user) as opened:
        for topic in [name for each in TOPICS for name in (each.name, each.dead_letter)]:
            try:
                await opened.send_and_wait(topic, b"a test", key=b"k")
                found.add(topic)
            except TopicAuthorizationFailedError:
                pass
    return found


async def seen_by(kafka: SecuredKafka, user: str) -> set[str]:
    """The topics that Kafka shows to the user. Whoever may read or write a topic also sees it."""
    admin = AIOKafkaAdminClient(**options(kafka, user))
    await admin.start()
    try:
        return {topic["topic"] for topic in await admin.describe_topics()}
    finally:
        await admin.close()


async def may_read(kafka: SecuredKafka, user: str) -> set[str]:
    """The topics from which the user could read a record."""
    seen = await seen_by(kafka, user)
    found = set()
    for topic in [topic.name for topic in TOPICS if topic.name in seen]:
        consumer = AIOKafkaConsumer(auto_offset_reset="earliest", **options(kafka, user))
        await consumer.start()
        try:
            consumer.assign([TopicPartition(topic, 0)])
            async with asyncio.timeout(60):
                await consumer.getone()
            found.add(topic)
        except TopicAuthorizationFailedError:
            pass
        finally:
            await consumer.stop()
    return found


@pytest.fixture(scope="module")
async def all_topics(kafka: SecuredKafka) -> None:
    """All topics, with a record in the first partition of each."""
    await ensure_topics(kafka.connection(**login(ADMIN)))
    async with producer(kafka, ADMIN) as opened:
        for topic in TOPICS:
            await opened.send_and_wait(topic.name, b"a test", key=b"k", partition=0)


async def test_the_tool_has_made_the_published_acls_and_no_others(kafka: SecuredKafka, tools: Path) -> None:
    listed = await _shell(
        'kafka-acls --bootstrap-server "$KAFKA_BOOTSTRAP_SERVERS" --command-config admin.properties --list',
        kafka,
        tools,
    )
    made = set()
    resource: tuple[str, ...] = ()
    for line in listed.splitlines():
        if found := _PATTERN.search(line):
            resource = found.groups()
        elif line.strip():
            entry = _ENTRY.search(line)
            assert entry, line
            made.add((*resource, *entry.groups()))
    assert made == {
        (acl.resource.upper(), acl.name, role, re.sub(r"(?<!^)(?=[A-Z])", "_", operation).upper())
        for role in roles()
        for acl in acls_of(role)
        for operation in acl.operations
    }


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_starts_and_is_ready_with_its_own_rights_alone(
    service: Service, kafka: SecuredKafka, postgres_server: Postgres, tmp_path: Path
) -> None:
    """It creates its topics, joins its groups, opens its producers and measures its lag."""
    app, _ = build(service, settings(kafka, service, await postgres_server.database(), tmp_path))
    stop = asyncio.Event()
    async with asyncio.timeout(120):
        await serve([app], host="127.0.0.1", port=0, stop=stop, ready=stop.set)


@pytest.mark.parametrize("role", [*roles(), STRANGER])
async def test_a_principal_writes_and_reads_what_the_table_says_and_nothing_else(
    role: str, kafka: SecuredKafka, all_topics: None
) -> None:
    writable = {topic.name for topic in TOPICS if role in topic.writers or (role == PRODUCER and topic.submitted)}
    readable = {topic.name for topic in TOPICS if role in topic.readers}
    dead_letters = {topic.dead_letter for topic in TOPICS if role in topic.readers}
    if role == OPERATOR:
        writable = {topic.name for topic in TOPICS if not topic.lossy}
        readable = {topic.name for topic in TOPICS}
        dead_letters = {topic.dead_letter for topic in TOPICS}
    assert await may_write(kafka, role) == writable | dead_letters
    assert await may_read(kafka, role) == readable


async def test_an_operator_replays_and_deletes_dead_letters(kafka: SecuredKafka, all_topics: None) -> None:
    name = JOB_RESULTS.dead_letter
    record = ConsumerRecord(JOB_RESULTS.name, 0, 0, 0, 0, b"k", b"{}", None, 1, 2, ())
    headers = dead_letter_headers(record, "catalog", "refused", "rejected")
    async with producer(kafka, ADMIN) as opened:
        sent = await opened.send_and_wait(name, b"{}", key=b"k", headers=headers)
    async with open_dead_letters(kafka.connection(**login(OPERATOR))) as log:
        letter = await log.at(Position(name, 0, sent.offset))
        assert letter is not None
        assert (await log.replay(letter, JOB_RESULTS)).topic == JOB_RESULTS.name
        (span,) = await log.spans([name])
        assert await log.delete_before(span, span.end) == span.end
    async with open_dead_letters(kafka.connection(**login("catalog"))) as log:
        with pytest.raises(TopicAuthorizationFailedError):
            await log.delete_before(span, span.end)


async def _send_to(kafka: SecuredKafka, user: str, topic: str) -> None:
    async with AIOKafkaProducer(**options(kafka, user)) as opened:
        await opened.send_and_wait(topic, b"forged", key=b"key_1")


@pytest.mark.parametrize("role", [PRODUCER, "notifier", "transcoder", STRANGER])
async def test_a_forged_key_is_refused_by_the_broker(role: str, kafka: SecuredKafka, all_topics: None) -> None:
    """No reader could tell it from a real one: the event holds a hash, not a proof."""
    with pytest.raises(TopicAuthorizationFailedError):
        await _send_to(kafka, role, KEY_CHANGED.name)


async def test_a_service_cannot_join_the_group_of_another(kafka: SecuredKafka, all_topics: None) -> None:
    consumer = AIOKafkaConsumer(
        JOB_RESULTS.name, group_id=group_id("catalog", JOB_RESULTS), **options(kafka, "notifier")
    )
    with pytest.raises(GroupAuthorizationFailedError):
        async with asyncio.timeout(60):
            await consumer.start()
            await consumer.getone()
    await consumer.stop()


async def test_a_service_cannot_create_or_see_topics_of_others(kafka: SecuredKafka, all_topics: None) -> None:
    own = {name for topic in topics_of("notifier") for name in (topic.name, topic.dead_letter)}
    assert await seen_by(kafka, "notifier") == own
    with pytest.raises(TopicCreationFailed, match="TopicAuthorizationFailed"):
        await ensure_topics(kafka.connection(**login("notifier")), [KEY_CHANGED, topic_of_its_own()])


async def test_a_service_with_a_wrong_password_does_not_start_and_says_which_setting_it_is(
    kafka: SecuredKafka, postgres_server: Postgres, tmp_path: Path
) -> None:
    app, _ = build(
        "notifier",
        {
            **settings(kafka, "notifier", await postgres_server.database(), tmp_path),
            "kafka_sasl_password": "wrong",
        },
    )
    with pytest.raises(StartRefused, match="KAFKA_SASL_USERNAME or KAFKA_SASL_PASSWORD is wrong"):
        await serve([app], host="127.0.0.1", port=0, stop=asyncio.Event())
