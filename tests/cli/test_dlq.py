"""`bitmill dlq` on a real Kafka: what it shows, replays and deletes, and what it refuses."""

import asyncio
import io
import json
import socket
import sys
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord

from chassis.adapters.kafka import codec
from chassis.adapters.kafka.admin import ensure_topics
from chassis.adapters.kafka.dead_letter import Position
from chassis.adapters.kafka.dead_letter_log import open_dead_letters
from chassis.adapters.kafka.dead_letters import KafkaDeadLetters
from chassis.adapters.kafka.record_reader import open_reader
from chassis.core.ids import new_id
from cli.__main__ import main
from schemas.events import ProjectChanged
from schemas.projects import Project
from schemas.topics import PROJECT_CHANGED

DLQ = PROJECT_CHANGED.dead_letter


@dataclass(frozen=True)
class Output:
    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


class Dlq:
    """Runs the command on the tests' Kafka, and fails records of `project.changed`: each is a valid event."""

    def __init__(self, bootstrap: str, capsys: pytest.CaptureFixture[str]) -> None:
        self._bootstrap = bootstrap
        self._capsys = capsys

    async def __call__(self, *arguments: str) -> Output:
        self._capsys.readouterr()
        status = await asyncio.to_thread(_main, ["dlq", *arguments])
        return Output(status, *self._capsys.readouterr())

    async def add(self, count: int = 1) -> list[str]:
        """The positions of dead letters."""
        letters = KafkaDeadLetters(self._bootstrap, "catalog")
        positions = []
        async with AIOKafkaProducer(bootstrap_servers=self._bootstrap) as producer:
            for number in range(count):
                event = ProjectChanged(project=Project(id=new_id("prj"), name=f"p{number}"))
                sending = codec.encode(event, id=new_id("evt"), source="/bitmill/ingest", time_ms=1)
                sent = await producer.send_and_wait(
                    sending.topic, sending.value, key=sending.key, headers=sending.headers
                )
                record = await self.record(f"{sent.topic}/{sent.partition}/{sent.offset}")
                await letters.write(PROJECT_CHANGED, record, "refused", "rejected")
                positions.append(f"{DLQ}/0/{await self._last()}")
        await letters.close()
        return positions

    async def record(self, text: str) -> ConsumerRecord:
        position = Position.parse(text)
        async with open_reader(self._bootstrap, "test") as reader:
            found = await reader.record(position.topic, position.partition, position.offset)
        assert found is not None
        return found

    async def _last(self) -> int:
        async with open_dead_letters(self._bootstrap) as log:
            return (await log.spans([DLQ]))[0].end - 1


def _main(arguments: list[str]) -> int:
    try:
        return main(arguments)
    except SystemExit as refused:  # by argparse
        return int(refused.code or 0)


@pytest.fixture
async def dlq(kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Dlq:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka_bootstrap)
    await ensure_topics(kafka_bootstrap, [PROJECT_CHANGED])
    made = Dlq(kafka_bootstrap, capsys)
    await made("drop", "--topic", "project.changed", "--all", "--yes")
    return made


async def test_a_list_is_a_table_for_people_and_json_lines_for_programs(dlq: Dlq) -> None:
    assert (await dlq("list", "--topic", "project.changed")).out == "There are no dead letters.\n"
    first, second = await dlq.add(2)
    listed = (await dlq("list", "--json", "--topic", "project.changed", "--since", "1h")).lines
    assert [each["position"] for each in listed] == [first, second]
    assert {(each["type"], each["code"], each["reason"], each["service"]) for each in listed} == {
        ("bitmill.project.changed.v1", "rejected", "refused", "catalog")
    }
    shown = await dlq("list", "--topic", DLQ, "--limit", "1")
    assert shown.out.splitlines()[0].split() == [
        "Position",
        "Given",
        "up",
        "Type",
        "Subject",
        "By",
        "Replayed",
        "Code",
        "Reason",
    ]
    assert shown.out.splitlines()[1].split()[0] == second and len(shown.out.splitlines()) == 2
    assert "raise --limit" in shown.err


async def test_one_is_shown_with_its_headers_and_its_value(dlq: Dlq) -> None:
    (position,) = await dlq.add()
    shown = await dlq("show", position)
    assert "Reason    refused" in shown.out and "  ce_type: bitmill.project.changed.v1" in shown.out
    assert '    "name": "p0",' in shown.out
    assert (await dlq("show", position, "--json")).lines[0]["value"]["project"]["name"] == "p0"


async def test_a_dead_letter_is_replayed_once_unless_it_is_asked_for_again(dlq: Dlq) -> None:
    (position,) = await dlq.add()
    source = (await dlq("show", position, "--json")).lines[0]["source"]
    done = (await dlq("replay", position, "--json")).lines[0]
    assert done["replayed"] == position
    sent, original = await dlq.record(done["to"]), await dlq.record(source)
    assert (sent.key, sent.value) == (original.key, original.value)
    assert list(sent.headers) == [*original.headers, ("replayed_from", position.encode())]
    refused = await dlq("replay", position)
    assert refused.status == 1 and f"to {done['to']}: --again repeats it" in refused.err and refused.out == ""
    assert (await dlq("list", "--json", "--topic", DLQ)).lines[0]["replayed"]["to"] == done["to"]
    assert (await dlq("replay", position, "--again")).out.startswith(f"{position} -> project.changed/")


async def test_all_of_a_topic_are_replayed_but_those_that_were(dlq: Dlq) -> None:
    positions = await dlq.add(4)
    assert (await dlq("replay", positions[1])).status == 0
    first = await dlq("replay", "--topic", "project.changed", "--all", "--yes", "--json", "--limit", "1")
    assert [each["replayed"] for each in first.lines] == positions[:1]
    rest = await dlq("replay", "--topic", "project.changed", "--all", "--yes", "--json")
    assert [each["replayed"] for each in rest.lines] == positions[2:]
    assert "2 replayed, 0 could not be." in rest.err
    nothing = await dlq("replay", "--topic", "project.changed", "--all")
    assert (nothing.status, nothing.out) == (0, "") and "no dead letter that was not replayed" in nothing.err


async def test_records_are_deleted_up_to_a_position(dlq: Dlq) -> None:
    positions = await dlq.add(3)
    assert (await dlq("replay", positions[0])).status == 0
    done = await dlq("drop", positions[1], "--yes", "--json")
    assert [each["deleted"] for each in done.lines] == [2]
    assert [each["position"] for each in (await dlq("list", "--json", "--topic", DLQ)).lines] == positions[2:]
    again = await dlq("drop", positions[1], "--yes")
    assert again.status == 1 and "there is nothing at" in again.err and "the partition has offsets" in again.err


@pytest.mark.parametrize("action", ["replay", "drop"])
async def test_without_consent_nothing_is_done(dlq: Dlq, action: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (position,) = await dlq.add()
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    refused = await dlq(action, "--topic", "project.changed", "--all")
    assert refused.status == 2 and "say --yes" in refused.err

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal("\n"))
    declined = await dlq(action, "--topic", "project.changed", "--all")
    assert declined.status == 1 and "[y/N] bitmill: nothing was changed" in declined.err
    left = (await dlq("list", "--json", "--topic", DLQ)).lines
    assert [(each["position"], each["replayed"]) for each in left] == [(position, None)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["list", "--topic", "job.craeted"], "--topic must be one of media.submitted, "),
        (["list", "--since", "yesterday"], "--since must be a duration such as"),
        (["list", "--limit", "0"], "must be a number from 1 to 100000, not '0'"),
        (["show", "job.created.dlq"], "POSITION must be TOPIC/PARTITION/OFFSET"),
        (["show", "job.created/0/1"], "POSITION must be in a dead-letter topic, not job.created"),
        (["replay"], "name one dead letter by its POSITION, or all of a topic"),
        (["replay", "--topic", "job.created"], "name one dead letter by its POSITION, or all of a topic"),
        (["drop", "job.created.dlq/0/1", "--all"], "name one dead letter by its POSITION, or all of a topic"),
    ],
)
async def test_a_wrong_command_says_what_is_right(
    arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    assert await asyncio.to_thread(_main, ["dlq", *arguments]) == 2
    assert says in capsys.readouterr().err


async def test_what_is_not_there_is_said(dlq: Dlq) -> None:
    for action in ("show", "replay"):
        refused = await dlq(action, f"{DLQ}/0/999999")
        assert refused.status == 1 and f"there is no dead letter at {DLQ}/0/999999" in refused.err


async def test_a_kafka_that_is_away_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", f"127.0.0.1:{taken.getsockname()[1]}")
        assert await asyncio.to_thread(_main, ["dlq", "list"]) == 1
    assert "did not answer within 5 s" in capsys.readouterr().err
