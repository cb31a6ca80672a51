"""Metrics: shared by name, labelled by service."""

from chassis.core.metrics import counter, exposition, gauge, histogram


def test_the_same_name_is_the_same_metric() -> None:
    assert counter("bitmill_test_things", "Things.") is counter("bitmill_test_things", "Things.")
    assert gauge("bitmill_test_level", "Level.") is gauge("bitmill_test_level", "Level.")
    assert histogram("bitmill_test_seconds", "Time.") is histogram("bitmill_test_seconds", "Time.")


def test_the_label_service_separates_services() -> None:
    things = counter("bitmill_test_things", "Things.")
    things.labels(service="one").inc()
    things.labels(service="two").inc(2)
    gauge("bitmill_test_level", "Level.").labels(service="one").set_function(lambda: 7)
    text, content_type = exposition()
    assert content_type.startswith("text/plain")
    lines = text.decode().splitlines()
    assert 'bitmill_test_things_total{service="one"} 1.0' in lines
    assert 'bitmill_test_things_total{service="two"} 2.0' in lines
    assert 'bitmill_test_level{service="one"} 7.0' in lines
