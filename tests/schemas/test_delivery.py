"""Addresses of files and their signatures."""

from datetime import timedelta
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from schemas.delivery import DeliverySigner, SignatureFault, signed_query
from schemas.projects import Project

PROJECT = "prj_01kg75gs80ebfsgf8txjabsyef"
OTHER = "prj_01kg75gs80ebfsgf8txjabsyeg"
NOW = 1_772_272_800
PATH = "folder/ä b.mp4"


def signer(*keys: str, now: float = NOW) -> DeliverySigner:
    derive = (lambda purpose: [f"{key}/{purpose}".encode() for key in keys]) if keys else None
    return DeliverySigner("https://cdn.example.com/", derive, timedelta(hours=1), lambda: now)


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def test_a_public_address_has_no_query() -> None:
    url = signer("k").urls(PROJECT, signed=False).url(PROJECT, PATH)
    assert url == f"https://cdn.example.com/{PROJECT}/folder/%C3%A4%20b.mp4"


def test_a_signed_address_names_path_expiry_and_method_and_is_accepted() -> None:
    url = signer("k").urls(PROJECT, signed=True).url(PROJECT, PATH)
    assert unquote(urlsplit(url).path) == f"/{PROJECT}/{PATH}"
    assert list(query_of(url)) == ["expiry", "method", "signature"]
    assert query_of(url)["expiry"] == str(NOW + 3600)
    assert signer("k").fault(PROJECT, PATH, query_of(url)) is None


def test_the_signature_is_base64url_of_hmac_sha256_over_path_expiry_and_method() -> None:
    # Computed with: printf '%s' '/p/a.mp4?expiry=1&method=get' | openssl dgst -sha256 -hmac key -binary | base64
    signature = "xlvcXkQexV3V1l5SW72W_aowFuLUYwy8r9YRH4OvSvE"
    assert signed_query(b"key", "/p/a.mp4", 1) == f"expiry=1&method=get&signature={signature}"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"signature": None}, "signature_missing"),
        ({"expiry": None}, "signature_missing"),
        ({"signature": "x" * 43}, "signature_invalid"),
        ({"signature": "é"}, "signature_invalid"),
        ({"signature": ""}, "signature_invalid"),
        ({"expiry": str(NOW + 9999)}, "signature_invalid"),
        ({"expiry": "+1"}, "signature_invalid"),
        ({"expiry": "٣"}, "signature_invalid"),
        ({"expiry": "9" * 5000}, "signature_invalid"),
        ({"method": "put"}, "signature_invalid"),
    ],
)
def test_a_changed_query_is_refused(change: dict[str, str | None], fault: SignatureFault) -> None:
    query = query_of(signer("k").urls(PROJECT, signed=True).url(PROJECT, PATH))
    changed = {name: value for name, value in {**query, **change}.items() if value is not None}
    assert signer("k").fault(PROJECT, PATH, changed) == fault


def test_a_signature_is_for_one_file_of_one_project() -> None:
    query = query_of(signer("k").urls(PROJECT, signed=True).url(PROJECT, PATH))
    assert signer("k").fault(PROJECT, "folder/other.mp4", query) == "signature_invalid"
    assert signer("k").fault(OTHER, PATH, query) == "signature_invalid"


def test_a_signature_expires() -> None:
    query = query_of(signer("k").urls(PROJECT, signed=True).url(PROJECT, PATH))
    assert signer("k", now=NOW + 3600).fault(PROJECT, PATH, query) is None
    assert signer("k", now=NOW + 3601).fault(PROJECT, PATH, query) == "signature_expired"


def test_a_signature_of_the_previous_key_is_accepted_while_that_key_is_configured() -> None:
    query = query_of(signer("old").urls(PROJECT, signed=True).url(PROJECT, PATH))
    assert signer("new", "old").fault(PROJECT, PATH, query) is None
    assert signer("new").fault(PROJECT, PATH, query) == "signature_invalid"


def test_without_keys_no_signature_is_valid() -> None:
    query = query_of(signer("k").urls(PROJECT, signed=True).url(PROJECT, PATH))
    assert signer().fault(PROJECT, PATH, query) == "signature_invalid"


def test_a_delivery_mode_of_a_newer_release_counts_as_signed() -> None:
    project = Project.model_validate({"id": PROJECT, "name": "shop", "delivery": "members_only"})
    assert project.signed
