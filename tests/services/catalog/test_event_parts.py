"""The parts of streams of events without a server: what is in memory, who may listen, what is sent."""

import pytest

from chassis.core.ids import new_id
from schemas.delivery import DeliveryUrls
from schemas.events import QueueOrdered
from schemas.job_resource import job_resource
from services.catalog.event_buffers import BUFFER_EVENTS, EventBuffer
from services.catalog.event_log import RecordedEvent
from services.catalog.event_stream import Wanted
from services.catalog.event_text import StreamEvent, event_text, position_text, retry_text, stream_event
from services.catalog.listeners import Listener, Listeners, TooManyListeners
from services.catalog.queue_positions import QueuePositions
from tests.services.catalog import factories

MANY_BYTES = 1_000_000


def event(position: int, *, size: int = 10, **fields: str) -> StreamEvent:
    given = {"job_id": "job_1", "kind": "video", "status": "queued", "name": "queued"} | fields
    return StreamEvent(position, **given, text=b"x" * size)


def positions(events: list[StreamEvent] | None) -> list[int] | None:
    return None if events is None else [each.position for each in events]


def test_an_event_is_sent_with_its_id_and_one_line_of_json() -> None:
    text = event_text("job.queued", {"text": "two\nlines", "sign": "é"}, 7)
    assert text == b'id: 7\nevent: job.queued\ndata: {"text":"two\\nlines","sign":"\xc3\xa9"}\n\n'
    assert position_text(9) == b"id: 9\n\n"
    assert retry_text(1500, "the server stops") == b": the server stops\nretry: 1500\n\n"


def test_a_change_is_shown_as_get_shows_the_job() -> None:
    job = factories.snapshots(factories.queued(new_id("prj")))[-1]
    urls = DeliveryUrls("https://cdn.example.com")
    recorded = RecordedEvent(job.project, 3, job.id, "video", "succeeded", "succeeded", job.model_dump_json())
    assert stream_event(recorded, urls).text == event_text("job.succeeded", job_resource(job, urls), 3)
    progress = RecordedEvent(job.project, 4, job.id, "video", "processing", "progress", '{"progress":0.5}')
    assert stream_event(progress, urls).text == event_text("job.progress", {"progress": 0.5}, 4)


def test_a_buffer_gives_what_it_has_and_says_what_it_has_not() -> None:
    buffer = EventBuffer("prj", 4)
    assert positions(buffer.after(4, 10)) == [] and buffer.after(3, 10) is None
    assert positions(buffer.after(9, 10)) == [], "another replica may be ahead"
    buffer.add([event(5), event(6), event(7)], MANY_BYTES)
    assert positions(buffer.after(4, 2)) == [5, 6]
    assert positions(buffer.after(6, 10)) == [7]
    assert buffer.after(3, 10) is None


def test_a_buffer_is_bounded_in_bytes_and_in_events() -> None:
    buffer = EventBuffer("prj", 0)
    buffer.add([event(position, size=100) for position in range(1, 11)], 350)
    assert positions(buffer.after(7, 10)) == [8, 9, 10] and buffer.after(6, 10) is None
    buffer.add([event(11, size=1000)], 350)
    assert buffer.after(10, 10) is None, "an event beyond the bound is read from the tables"
    many = EventBuffer("prj", 0)
    many.add([event(position) for position in range(1, BUFFER_EVENTS + 11)], MANY_BYTES)
    assert many.after(9, 1) is None and positions(many.after(10, 1)) == [11]


def test_a_buffer_begins_anew_behind_a_hole_and_wakes_its_listeners() -> None:
    buffer, listener = EventBuffer("prj", 0), Listener("prj", "key")
    buffer.listeners.add(listener)
    buffer.add([event(1)], MANY_BYTES)
    assert listener.wake.is_set()
    buffer.add([event(5)], MANY_BYTES)
    assert buffer.after(1, 10) is None and positions(buffer.after(4, 10)) == [5]


def test_the_listeners_of_a_project_and_of_the_process_are_bounded() -> None:
    listeners = Listeners(total=3, per_project=2)
    with listeners.admit("a", "k"), listeners.admit("a", "k"):
        with pytest.raises(TooManyListeners) as found, listeners.admit("a", "k"):
            pass
        assert (found.value.bound, found.value.limit) == ("project", 2)
        with listeners.admit("b", "k"), pytest.raises(TooManyListeners) as all_found, listeners.admit("c", "k"):
            pass
        assert (all_found.value.bound, all_found.value.limit) == ("process", 3)
    with listeners.admit("a", "k"), listeners.admit("a", "k"), listeners.admit("b", "k"):
        pass  # their places are free again


def test_a_revoked_key_ends_its_listeners_and_a_stopping_process_all() -> None:
    listeners = Listeners(total=9, per_project=9)
    with listeners.admit("a", "key_1") as one, listeners.admit("a", "key_2") as two:
        listeners.revoke(["key_1", "key_3"])
        assert (one.ended, two.ended) == ("revoked", None)
        assert one.wake.is_set() and not two.wake.is_set()
        listeners.stop()
        assert (one.ended, two.ended) == ("revoked", "stopping")
        with listeners.admit("b", "key_4") as late:
            assert late.ended == "stopping"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), True),
        (Wanted(job_id="job_1"), True),
        (Wanted(job_id="job_2"), False),
        (Wanted(kind="video", status="queued"), True),
        (Wanted(kind="image"), False),
        (Wanted(status="failed"), False),
    ],
)
def test_a_listener_gets_what_it_wants(wanted: Wanted, found: bool) -> None:
    assert (event(1) in wanted) is found


def test_the_place_in_the_queue_is_that_of_the_last_report_while_it_is_new() -> None:
    now = 100.0
    places = QueuePositions(clock=lambda: now, trusted_s=10)
    places.keep(QueueOrdered(service="transcoder", at=1, job_ids=["job_a", "job_b"]))
    places.keep(QueueOrdered(service="thumbnailer", at=1, job_ids=["job_c"]))
    assert [places.find(id) for id in ("job_a", "job_b", "job_c", "job_d")] == [0, 1, 0, None]
    now = 109.0
    places.keep(QueueOrdered(service="transcoder", at=2, job_ids=["job_b"]))
    assert [places.find(id) for id in ("job_a", "job_b", "job_c")] == [None, 0, 0]
    now = 111.0
    assert [places.find(id) for id in ("job_b", "job_c")] == [0, None], "the other service has not reported for long"
