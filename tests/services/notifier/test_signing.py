"""Signatures: the published vector, an independent verifier, and every way of tampering."""

import hmac
import time
from base64 import b64encode
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from schemas.ids import derived
from services.notifier.signing import InvalidSecret, body_signature, hmac_key, signed_headers, standard_signature

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
JOB = "job_01h455vb4pex5vsknk084sn02q"
MESSAGE = derived("msg", JOB, "https://example.com/webhooks")


def test_the_published_standard_webhooks_vector() -> None:
    signature = standard_signature(
        hmac_key(SECRET), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_ittybit_signature_is_hex_hmac_of_the_body_keyed_by_the_secret_as_printed() -> None:
    body = b'{"id":"job_abc123"}'
    assert body_signature(SECRET, body) == hmac.new(SECRET.encode(), body, sha256).hexdigest()


@given(body=st.text(st.characters(exclude_categories=["Cs"])), timestamp=st.integers(0, 2**33))
def test_the_reference_verifier_makes_the_same_signature(body: str, timestamp: int) -> None:
    from datetime import UTC, datetime

    theirs = Webhook(SECRET).sign(MESSAGE, datetime.fromtimestamp(timestamp, UTC), body)
    assert standard_signature(hmac_key(SECRET), MESSAGE, timestamp, body.encode()) == theirs


BODIES = ['{"name":"Zoë 🎬"}', '{"n":1e400}', '{"a":1,"a":2}', '{"a":1}   \n', ""]


@pytest.mark.parametrize("body", BODIES)
def test_what_is_sent_verifies(body: str) -> None:
    headers = signed_headers([SECRET], MESSAGE, int(time.time()), body.encode())
    Webhook(SECRET).verify(body, headers, json_parse=False)


@pytest.mark.parametrize("part", ["webhook-id", "webhook-timestamp", "webhook-signature", "body"])
def test_one_changed_byte_fails_verification(part: str) -> None:
    body = '{"id":"job_1"}'
    headers = signed_headers([SECRET], MESSAGE, int(time.time()), body.encode())
    if part == "body":
        body = body.replace("1", "2")
    else:
        # Not the last character before the padding: two of its bits mean nothing.
        last = {"webhook-signature": -3}.get(part, -1)
        text = headers[part]
        changed = "1" if text[last] != "1" else "2"
        headers[part] = text[:last] + changed + text[last:][1:]
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body, headers)


def test_an_id_with_a_dot_is_refused_and_ours_has_none() -> None:
    assert "." not in MESSAGE
    assert MESSAGE.startswith("msg_")
    with pytest.raises(ValueError, match="dot"):
        standard_signature(b"k" * 24, "a.1", 2, b"x")


def test_a_retry_has_the_same_id_another_time_and_another_signature() -> None:
    first = signed_headers([SECRET], MESSAGE, 1000, b"{}")
    second = signed_headers([SECRET], MESSAGE, 1005, b"{}")
    assert first["webhook-id"] == second["webhook-id"]
    assert first["webhook-timestamp"] == "1000"
    assert second["webhook-timestamp"] == "1005"
    assert first["webhook-signature"] != second["webhook-signature"]
    assert first["Ittybit-Signature"] == second["Ittybit-Signature"]


def test_two_secrets_sign_differently() -> None:
    other = "whsec_" + b64encode(b"o" * 32).decode()
    assert signed_headers([SECRET], MESSAGE, 1, b"{}") != signed_headers([other], MESSAGE, 1, b"{}")


def test_a_secret_without_the_prefix_is_used_as_it_stands() -> None:
    assert hmac_key("correct horse") == b"correct horse"


def test_an_unpadded_secret_means_the_same_as_a_padded_one() -> None:
    padded = "whsec_" + b64encode(b"k" * 25).decode()
    assert padded.endswith("=")
    assert hmac_key(padded.rstrip("=")) == hmac_key(padded) == b"k" * 25


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_!!!!", "whsec_c2hvcnQ=", "whsec_" + b64encode(b"l" * 65).decode()]
)
def test_a_secret_that_cannot_sign_is_refused(secret: str) -> None:
    with pytest.raises(InvalidSecret):
        hmac_key(secret)


def test_during_a_rotation_receivers_with_the_old_and_with_the_new_secret_both_verify() -> None:
    new = "whsec_" + b64encode(b"n" * 32).decode()
    headers = signed_headers([new, SECRET], MESSAGE, int(time.time()), b"{}")
    for secret in (new, SECRET):
        Webhook(secret).verify("{}", headers)
    assert headers["Ittybit-Signature"] == hmac.new(SECRET.encode(), b"{}", sha256).hexdigest()
