"""Dead letters as text and JSON: safe on a terminal whatever they hold, and without secrets."""

import json
from base64 import b64decode

import pytest

from chassis.adapters.kafka.dead_letter import DeadLetter, Position, ReplayMark, Summary
from cli.dlq_text import (
    PRETTY_BYTES,
    SHOWN_BYTES,
    letter_fields,
    letter_text,
    list_table,
    summary_fields,
    value_lines,
)
from cli.kafka_connection import of_folder
from cli.safe_text import json_line, printable, printable_lines, time

AT = Position("job.submitted.dlq", 0, 17)
NASTY = "\x1b[2J\x07\r\n\u202etxt\x9b31m\x7f\x00"
SIGNED = "https://bucket.example/a.mov?X-Amz-Signature=do-not-show"


def letter(value: bytes | None = b"{}", reason: str = "refused", key: bytes | None = b"prj_1") -> DeadLetter:
    headers = [
        ("reason", reason.encode()),
        ("reason_code", b"invalid_input"),
        ("source_topic", b"job.submitted"),
        ("source_partition", b"3"),
        ("source_offset", b"41"),
        ("source_service", b"ingest"),
        ("ce_type", NASTY.encode()),
        (f"x{NASTY}", b"\xff\xfe"),
        ("authorization", b"Bearer do-not-show"),
    ]
    return DeadLetter(AT, 1_700_000_000_000, key, value, headers)


def is_safe(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


def test_nothing_that_is_not_visible_reaches_the_terminal() -> None:
    assert printable(NASTY) == r"\x1b[2J\x07\r\n\u202etxt\x9b31m\x7f\x00"
    assert printable_lines("a\n\x1bb") == "a\n\\x1bb"
    assert printable("ä 漢 🎬") == "ä 漢 🎬"


def test_a_time_that_no_calendar_has_is_shown_as_it_is() -> None:
    assert time(1_700_000_000_999) == "2023-11-14 22:13:20"
    assert time(10**18) == str(10**18)


@pytest.mark.parametrize("value", [NASTY.encode(), b"\xff\x1b[31m", json.dumps({NASTY: NASTY}).encode(), None, b""])
@pytest.mark.parametrize("masked", [True, False])
def test_one_dead_letter_is_safe_on_a_terminal(value: bytes | None, masked: bool) -> None:
    shown = letter(value, reason=NASTY, key=NASTY.encode())
    mark = ReplayMark(17, 1_700_000_000_000, NASTY)
    assert is_safe(letter_text(shown, mark, masked=masked))
    line = json_line(letter_fields(shown, mark, masked=masked))
    assert line.isascii() and line.isprintable()


def test_a_list_has_one_safe_line_for_each() -> None:
    found = Summary(
        AT, 1_700_000_000_000, NASTY, NASTY, f"{NASTY} {SIGNED}" + "r" * 400, NASTY, NASTY, "job.submitted/3/41"
    )
    lines = list_table([found, found]).split("\n")
    assert len(lines) == 3 and all(line.isprintable() for line in lines)
    assert "do-not-show" not in "".join(lines) + json_line(summary_fields(found))


def test_what_a_dead_letter_says_is_shown() -> None:
    text = letter_text(letter(b'{"kind": "image", "input": "x"}'), None, masked=True)
    assert "Position  job.submitted.dlq/0/17\nGiven up  2023-11-14 22:13:20\nBy        ingest\n" in text
    assert "Code      invalid_input\nReason    refused\n" in text
    assert "Original  job.submitted/3/41\nReplayed  no\nKey       prj_1" in text
    assert text.endswith('Value     31 bytes\n{\n  "kind": "image",\n  "input": "x"\n}')


def test_secrets_and_signed_addresses_are_masked_unless_they_are_asked_for() -> None:
    shown = letter(json.dumps({"input": SIGNED, "api_key": "do-not-show"}).encode(), reason=f"cannot fetch {SIGNED}")
    assert "do-not-show" not in letter_text(shown, None, masked=True)
    assert "do-not-show" not in json_line(letter_fields(shown, None, masked=True))
    assert SIGNED in letter_text(shown, None, masked=False)
    fields = letter_fields(shown, None, masked=False)
    assert fields["value"]["input"] == SIGNED
    assert b64decode(fields["value_base64"]) == shown.value


@pytest.mark.parametrize("depth", [100, 300, 5000])
def test_a_deeply_nested_value_is_shown_and_takes_bounded_memory(depth: int) -> None:
    value = b"[" * depth + b"]" * depth
    text = "".join(value_lines(value, masked=True))
    assert "".join(text.split()) == value.decode()


def test_a_large_value_is_cut_and_its_end_is_counted() -> None:
    large = b"[" + b"1," * SHOWN_BYTES + b"1]"
    shown = value_lines(large, masked=True)
    assert shown[0] == large[:SHOWN_BYTES].decode()
    assert shown[1] == f"({len(large) - SHOWN_BYTES} further bytes: --json shows all)"
    assert value_lines(b" " * PRETTY_BYTES + b"[1]", masked=True) == [" " * PRETTY_BYTES + "[1]"]


def test_the_login_of_an_embedded_kafka_is_complete_and_that_of_another_is_in_the_environment() -> None:
    embedded = of_folder({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"})
    assert embedded["kafka_security_protocol"] == "SASL_PLAINTEXT"
    assert embedded["kafka_ssl_ca_file"] is None and "kafka_sasl_password_file" in embedded
    assert of_folder({"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092"}) == {"kafka_bootstrap_servers": "kafka:9092"}
