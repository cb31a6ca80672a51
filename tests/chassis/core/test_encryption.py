"""Encryption at rest: round trips, key rotation, binding to a context, and what is shown of a private address."""

import os
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.adapters.failure_policy import classify
from chassis.core.encryption import DecryptionError, Keyring, parse_keys, protect_url, reveal_url
from chassis.core.redact import has_private_parts, masked_url

OLD, NEW = b"o" * 32, b"n" * 32
SIGNED = "https://bucket.example.com/a.mp4?X-Amz-Signature=deadbeef&X-Amz-Expires=900&flag#t=1"


@given(st.text(), st.text())
def test_a_text_is_decrypted_with_its_context_only(text: str, context: str) -> None:
    keyring = Keyring([NEW])
    encrypted = keyring.encrypt(text, context)
    assert keyring.decrypt(encrypted, context) == text
    with pytest.raises(DecryptionError):
        keyring.decrypt(encrypted, context + "x")


def test_the_same_text_is_encrypted_differently_each_time() -> None:
    keyring = Keyring([NEW])
    assert keyring.encrypt("a", "c") != keyring.encrypt("a", "c")


def test_a_text_of_the_old_key_is_read_after_a_new_one_was_put_before_it() -> None:
    encrypted = Keyring([OLD]).encrypt("secret", "p")
    rotated = Keyring([NEW, OLD])
    assert rotated.decrypt(encrypted, "p") == "secret"
    assert Keyring([NEW]).decrypt(rotated.encrypt("secret", "p"), "p") == "secret"
    with pytest.raises(DecryptionError, match="ENCRYPTION_KEYS"):
        Keyring([NEW]).decrypt(encrypted, "p")


@pytest.mark.parametrize("broken", ["", "v1", "v2.{id}.AAAA", "v1.{id}.", "v1.{id}.AAAA", "v1.00000000.AAAA"])
def test_what_is_no_encrypted_text_is_an_error_of_its_own(broken: str) -> None:
    keyring = Keyring([NEW])
    key_id = keyring.encrypt("", "").split(".")[1]
    with pytest.raises(DecryptionError):
        keyring.decrypt(broken.replace("{id}", key_id), "p")


def test_a_missing_key_counts_as_an_outage_because_it_can_be_configured() -> None:
    assert classify(DecryptionError("no key")) == "outage"


def test_each_purpose_has_a_key_of_its_own() -> None:
    keyring = Keyring([NEW, OLD])
    assert len({*keyring.derive("delivery:prj_a"), *keyring.derive("delivery:prj_b")}) == 4
    assert keyring.derive("delivery:prj_a")[1] == Keyring([OLD]).derive("delivery:prj_a")[0]


@pytest.mark.parametrize("text", ["", "abc", b64encode(b"short").decode(), b64encode(b"x" * 33).decode(), "a,b"])
def test_keys_that_are_not_32_bytes_of_base64_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="base64 of 32 random bytes"):
        parse_keys(text)


def test_several_keys_are_separated_by_commas() -> None:
    keys = [os.urandom(32), os.urandom(32)]
    assert parse_keys(", ".join(b64encode(key).decode() for key in keys)) == keys


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        (SIGNED, "https://bucket.example.com/a.mp4?X-Amz-Signature=***&X-Amz-Expires=***&***"),
        ("https://user:password@h.example.com/a", "https://***@h.example.com/a"),
        ("https://h.example.com/a?", "https://h.example.com/a?"),
        ("https://h.example.com/a?c2VjcmV0LQ==", "https://h.example.com/a?***"),
        ("https://h.example.com/a?c2VjcmV0LWE=&x=1", "https://h.example.com/a?***&x=***"),
        ("https://h.example.com/a?x=1?y=2", "https://h.example.com/a?x=***"),
    ],
)
def test_the_private_parts_of_an_address_are_masked(url: str, masked: str) -> None:
    assert has_private_parts(url)
    assert masked_url(url) == masked
    assert masked_url(masked) == masked


def test_an_address_without_private_parts_is_kept_as_it_is() -> None:
    url = "https://h.example.com/@a/b.mp4"
    assert protect_url(Keyring([NEW]), url, "p") == (url, None)
    assert reveal_url(None, url, None, "p") == url


def test_a_private_address_is_masked_and_comes_back_whole() -> None:
    keyring = Keyring([NEW])
    shown, encrypted = protect_url(keyring, SIGNED, "prj_a:input")
    assert encrypted is not None
    assert "deadbeef" not in shown + encrypted
    assert reveal_url(keyring, shown, encrypted, "prj_a:input") == SIGNED
    with pytest.raises(DecryptionError):
        reveal_url(keyring, shown, encrypted, "prj_b:input")
    with pytest.raises(DecryptionError, match="input is encrypted, and ENCRYPTION_KEYS is not set"):
        reveal_url(None, shown, encrypted, "prj_a:input")


def test_without_keys_an_address_is_kept_as_release_0_1_kept_it() -> None:
    assert protect_url(None, SIGNED, "p") == (SIGNED, None)
