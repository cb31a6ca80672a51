"""The chassis has no business terms: services of another domain could use it."""

import re
from pathlib import Path

CHASSIS = Path(__file__).parents[2] / "chassis"
TERMS = re.compile(
    r"job_id|media_id|\bmed_|ittybit|input_|webhook|whsec_|transcod|thumbnail|video|\bimages?\b|audio|ffmpeg|libvips"
    r"|uploader|poster|playlist|\bmedia\b|Media[A-Z]|Job(?:Created|Started|Succeeded|Failed|Cancelled|Progressed|Request)"
    r"|(?-i:JOB_(?!QUEUE)|MEDIA_)",
    re.IGNORECASE,
)
ALLOWED = {
    ("adapters/failure_policy.py", "webhook"): "the docstring lists who uses the policy",
    ("adapters/http/json_body.py", "webhook"): "why the bytes of a body have one producer",
    ("adapters/egress/addresses.py", "media"): "why tunnels are forbidden",
    ("adapters/sandbox/__init__.py", "media"): "says that it is independent of it",
    ("adapters/sandbox/confine.py", "ffmpeg"): "a program that handles SIGXCPU",
    ("adapters/sandbox/system_calls.py", "ffmpeg"): "whose calls were measured",
    ("adapters/sandbox/system_calls.py", "libvips"): "whose calls were measured",
    ("adapters/storage/local.py", "video"): "why the entity tag is no hash",
    ("core/log_events.py", "*"): "the table lists the events of all packages",
    ("core/redact.py", "whsec_"): "a public format of secrets (Standard Webhooks)",
    ("core/redact.py", "webhook"): "the name of that format",
}


def _found() -> set[tuple[str, str]]:
    files = [file for file in CHASSIS.rglob("*") if file.suffix in (".py", ".sql")]
    names = {str(file.relative_to(CHASSIS)): file for file in files}
    return {
        (name, term.lower())
        for name, file in names.items()
        if (name, "*") not in ALLOWED
        for term in TERMS.findall(file.read_text(encoding="utf-8"))
    }


def test_the_chassis_has_no_business_terms_beyond_the_listed_ones() -> None:
    assert _found() - set(ALLOWED) == set()


def test_every_exception_is_still_needed() -> None:
    assert {exception for exception in ALLOWED if exception[1] != "*"} - _found() == set()
