"""Which inputs are files of this installation."""

import pytest

from schemas.ids import typeid, uuid7
from services.ingest.own_addresses import OwnId, OwnPath, own_input

PROJECT = typeid("prj", uuid7(1, b"0123456789"))
MEDIA = typeid("med", uuid7(1, b"0123456789"))
FILE = typeid("file", uuid7(1, b"0123456789"))
PATH = OwnPath(PROJECT, "a/b.mp4")


@pytest.mark.parametrize(
    ("address", "base", "expected"),
    [
        (MEDIA, "", OwnId(MEDIA)),
        (FILE, "", OwnId(FILE)),
        (f"https://cdn.example.com/{PROJECT}/a/b.mp4", "https://cdn.example.com", PATH),
        (f"HTTPS://CDN.example.com.:443/{PROJECT}/a%2Fb.mp4?expiry=1&signature=x", "https://cdn.example.com", PATH),
        (f"http://127.0.0.1:8080/files/{PROJECT}/a/b.mp4#t=1", "http://127.0.0.1:8080/files/", PATH),
        (f"https://cdn.example.com/{PROJECT}/a/b.mp4", "https://example.com", None),
        (f"http://cdn.example.com/{PROJECT}/a/b.mp4", "https://cdn.example.com", None),
        (f"https://cdn.example.com:444/{PROJECT}/a/b.mp4", "https://cdn.example.com", None),
        (f"https://cdn.example.com/{PROJECT}", "https://cdn.example.com", None),
        ("https://cdn.example.com/jobs/a", "https://cdn.example.com", None),
        (f"https://cdn.example.com/{PROJECT}/a/b.mp4", "", None),
        ("https://cdn.example.com:99999/a", "https://cdn.example.com", None),
    ],
)
def test_only_ids_and_addresses_below_the_delivery_address_are_ours(address: str, base: str, expected: object) -> None:
    assert own_input(address, base) == expected
