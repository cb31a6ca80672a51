"""Which service a request goes to."""

import pytest

from cli.gateway import Settings, upstream

SETTINGS = Settings(ingest_url="http://ingest", catalog_url="http://catalog", notifier_url="http://notifier")


@pytest.mark.parametrize(
    ("method", "path", "service"),
    [
        ("GET", "/jobs", "catalog"),
        ("HEAD", "/prj_1/a.mp4", "catalog"),
        ("OPTIONS", "/prj_1/a.mp4", "catalog"),
        ("POST", "/jobs", "ingest"),
        ("PATCH", "/media/med_1", "ingest"),
        ("DELETE", "/media/med_1", "ingest"),
        ("GET", "/webhooks/endpoints", "notifier"),
        ("POST", "/webhooks", "notifier"),
        ("GET", "/webhooksx", "catalog"),
    ],
)
def test_a_request_goes_to_the_service_of_its_method(method: str, path: str, service: str) -> None:
    assert upstream(SETTINGS, method, path) == f"http://{service}"
