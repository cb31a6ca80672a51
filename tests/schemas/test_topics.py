"""The table of topics is complete: every event has a topic, every topic its writers and readers."""

import re
from datetime import timedelta

import pytest

from schemas import events
from schemas.events import EVENTS, JOB_ACTION_SUBMITTED, JOB_SUBMITTED, MEDIA_SUBMITTED, Event
from schemas.topics import JOB_RESULTS, SERVICES, TOPIC_OF, TOPICS, Topic, group_id

SUBMITTED = {JOB_SUBMITTED, MEDIA_SUBMITTED, JOB_ACTION_SUBMITTED}
topics = pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)


def _all_events() -> set[type[Event]]:
    found, waiting = set(), [Event]
    while waiting:
        for child in waiting.pop().__subclasses__():
            waiting.append(child)
            if "TYPE" in vars(child) and child.__module__ == events.__name__:
                found.add(child)
    return found


def test_every_event_class_is_in_the_table_of_events() -> None:
    assert set(EVENTS.values()) == _all_events()
    assert all(EVENTS[each.TYPE] is each for each in EVENTS.values())


def test_every_event_has_exactly_one_topic() -> None:
    listed = [type_ for topic in TOPICS for type_ in topic.types]
    assert sorted(listed) == sorted(EVENTS.keys() | SUBMITTED)
    assert {type_: topic.name for type_, topic in TOPIC_OF.items()}.keys() == set(listed)


def test_event_types_carry_a_version() -> None:
    for type_ in TOPIC_OF:
        assert re.fullmatch(r"bitmill\.(job|media|key|project|outbox|queue)\.[a-z_]+\.v[1-9]", type_)


@topics
def test_a_topic_has_a_writer_unless_anybody_may_write_to_it(topic: Topic) -> None:
    assert set(topic.submitted) == set(topic.types) & SUBMITTED
    assert bool(topic.submitted) == (topic.name.endswith(".submitted") or topic.name == "job.control")
    assert bool(topic.writers) == bool(set(topic.types) - SUBMITTED)
    assert set(topic.writers) <= set(SERVICES)


@topics
def test_a_topic_has_readers_and_none_twice(topic: Topic) -> None:
    assert topic.readers
    assert set(topic.readers) <= set(SERVICES)
    assert len(set(topic.readers)) == len(topic.readers)


@topics
def test_a_topic_says_what_it_is_and_how_it_is_keyed(topic: Topic) -> None:
    assert topic.description.endswith(".")
    assert topic.key in {"project id", "media id", "job id", "key id", "service name"}
    assert topic.types
    assert topic.partitions >= 1


@topics
def test_what_is_not_compacted_ends_some_day(topic: Topic) -> None:
    assert (topic.retention is None) == topic.compacted


def test_names_are_unique_dead_letters_included() -> None:
    names = [topic.name for topic in TOPICS] + [topic.dead_letter for topic in TOPICS]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+\.[a-z]+(\.dlq)?", name) for name in names)


def test_every_service_reads_something_and_only_notifier_and_catalog_write_nothing() -> None:
    readers = {reader for topic in TOPICS for reader in topic.readers}
    writers = {writer for topic in TOPICS for writer in topic.writers}
    assert readers == set(SERVICES)
    assert writers == {"ingest", "transcoder", "thumbnailer"}


def test_what_may_be_lost_is_kept_for_an_hour_and_read_by_the_catalog_alone() -> None:
    lossy = {topic.name: (topic.retention, topic.readers) for topic in TOPICS if topic.lossy}
    assert lossy.keys() == {"job.progress", "outbox.watermark", "queue.order"}
    assert set(lossy.values()) == {(timedelta(hours=1), ("catalog",))}


def test_a_consumer_group_is_named_by_service_and_topic() -> None:
    assert group_id("catalog", JOB_RESULTS) == "bitmill.catalog.job.results"
