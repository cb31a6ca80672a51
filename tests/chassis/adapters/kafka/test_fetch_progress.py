"""A consumer whose fetches get no response is not ready, however much it looks like one that has nothing to read."""

from collections.abc import Sequence

import pytest
from aiokafka import TopicPartition

from chassis.adapters.kafka.admin import ensure_topics
from chassis.adapters.kafka.consumer import ServiceBroker, subscribe
from chassis.adapters.kafka.errors import ConsumerNotReady
from chassis.adapters.kafka.record_handler import HandlerLimits
from chassis.adapters.kafka.subscription import FetchProgress
from schemas.events import JobSucceeded
from tests.chassis.adapters.kafka.examples import topic_of_its_own
from tests.chassis.adapters.kafka.test_consumer import running
from tests.support.waiting import until

A, B = (TopicPartition("job.results", number) for number in range(2))


class Consumer:
    """What aiokafka says of its fetches."""

    def __init__(self) -> None:
        self.fetched: dict[TopicPartition, int | None] = {A: None, B: None}
        self.is_paused: set[TopicPartition] = set()

    def assignment(self) -> set[TopicPartition]:
        return set(self.fetched)

    def paused(self) -> set[TopicPartition]:
        return self.is_paused

    def last_poll_timestamp(self, partition: TopicPartition) -> int | None:
        return self.fetched[partition]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def consumer() -> Consumer:
    return Consumer()


@pytest.fixture
def progress(clock: Clock, consumer: Consumer) -> FetchProgress:
    progress = FetchProgress(clock)
    progress.watch(lambda: consumer)
    return progress


def test_each_response_is_progress(progress: FetchProgress, consumer: Consumer, clock: Clock) -> None:
    for second in range(0, 100, 5):
        clock.now = float(second)
        consumer.fetched = {A: 1000 * second, B: 1000 * second}
        assert progress.stalled_s() == 0


def test_one_partition_without_a_response_is_enough(progress: FetchProgress, consumer: Consumer, clock: Clock) -> None:
    for second in range(0, 100, 5):
        clock.now = float(second)
        consumer.fetched = {A: 1000 * second, B: 7}
        stalled = progress.stalled_s()
    assert stalled == 90, "from when the oldest response was seen for the first time"


def test_a_first_fetch_without_a_response_counts_as_well(progress: FetchProgress, clock: Clock) -> None:
    progress.stalled_s()
    clock.now = 40.0
    assert progress.stalled_s() == 40


def test_nothing_is_fetched_while_a_batch_is_handled_nor_without_partitions(
    progress: FetchProgress, consumer: Consumer, clock: Clock
) -> None:
    consumer.fetched = {A: 5, B: 5}
    progress.stalled_s()
    consumer.is_paused = {A, B}
    clock.now = 50.0
    assert progress.stalled_s() == 0
    consumer.is_paused = set()
    clock.now = 60.0
    assert progress.stalled_s() == 0
    consumer.fetched = {}
    clock.now = 200.0
    assert progress.stalled_s() == 0


def test_a_clock_of_the_system_that_jumps_changes_nothing(
    progress: FetchProgress, consumer: Consumer, clock: Clock
) -> None:
    for second, at in ((0, 10**9), (5, 10**9 - 3_600_000), (10, 10**9 + 7_200_000)):
        clock.now = float(second)
        consumer.fetched = {A: at, B: at}
        assert progress.stalled_s() == 0


async def test_a_consumer_of_a_quiet_topic_is_ready_and_one_without_responses_is_not(kafka_bootstrap: str) -> None:
    topic = topic_of_its_own()
    await ensure_topics(kafka_bootstrap, [topic])
    patient = ServiceBroker(kafka_bootstrap, "catalog")
    # Kafka keeps a fetch for 5 s while there are no records, which is longer than this one allows for.
    impatient = ServiceBroker(kafka_bootstrap, "notifier", limits=HandlerLimits(fetch_stalled_s=0.1))
    for broker in (patient, impatient):

        @subscribe(broker, topic)
        async def on_result(events: Sequence[JobSucceeded]) -> None:
            """Does nothing."""

    def is_stalled() -> bool:
        try:
            impatient.check()
        except ConsumerNotReady as error:
            return "Kafka has not responded to a fetch for" in str(error)
        return False

    async with running(patient), running(impatient):
        await until(is_stalled, within=60, poll=0.05)
        patient.check()
