"""The text of a key: its shape, its checksum, its hash."""

import re
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.keys import BODY_CHARS, CHECKSUM_CHARS, KEY_PREFIX, RANDOM_BYTES, generate, hash_key, hint, well_formed

KEY = generate(bytes(range(RANDOM_BYTES)))
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
random_bytes = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)


def test_the_shape_never_changes() -> None:
    """Keys are in people's configuration: the same bytes make the same key in every release."""
    assert KEY == "ittybit_live_00A7dl5PEW67zZCpFU9uKaHnGgOvQKAR0qDC7Q"


@given(random_bytes)
def test_every_key_has_one_shape_and_is_well_formed(random: bytes) -> None:
    key = generate(random)
    assert re.fullmatch(rf"ittybit_live_[0-9A-Za-z]{{{BODY_CHARS + CHECKSUM_CHARS}}}", key)
    assert well_formed(key)


@given(random_bytes, st.data())
def test_one_wrong_character_is_always_seen(random: bytes, data: st.DataObject) -> None:
    key = generate(random)
    position = data.draw(st.integers(len(KEY_PREFIX), len(key) - 1))
    other = data.draw(st.sampled_from(BASE62.replace(key[position], "")))
    assert not well_formed(key[:position] + other + key[position + 1 :])


@given(random_bytes, st.integers(len(KEY_PREFIX), len(KEY) - 2))
def test_two_swapped_neighbours_are_always_seen(random: bytes, position: int) -> None:
    key = generate(random)
    swapped = key[:position] + key[position + 1] + key[position] + key[position + 2 :]
    assert swapped == key or not well_formed(swapped)


@pytest.mark.parametrize(
    "text",
    [
        *("", "ittybit_live_", KEY[:-1], KEY + "0", KEY + "\n", " " + KEY, KEY.upper(), KEY.replace("live", "test")),
        *(KEY[:20], "x" * len(KEY), KEY[:-1] + "é", KEY[:-1] + "٣", "ittybit_live_" + "0" * 38),
    ],
)
def test_other_texts_are_not(text: str) -> None:
    assert not well_formed(text)


@given(st.text(st.characters(exclude_categories=())))
def test_no_text_does_worse_than_not_be_a_key(text: str) -> None:
    assert not well_formed(text)
    assert not well_formed(KEY_PREFIX + text)


def test_190_bits_come_from_the_randomness() -> None:
    assert 62**BODY_CHARS > 2**190
    assert len({generate(number.to_bytes(RANDOM_BYTES, "big")) for number in range(1000)}) == 1000


@pytest.mark.parametrize("count", [0, 16, 23, 25, 32])
def test_another_number_of_random_bytes_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="24 random bytes"):
        generate(bytes(count))


def test_what_is_stored_is_the_hash_and_a_hint() -> None:
    assert hash_key(KEY) == sha256(KEY.encode()).hexdigest()
    assert hint(KEY) == KEY[-10:-6]
    assert hint(KEY) not in hash_key(KEY)
