"""Ids, against the vectors of the TypeID specification 0.3.0 and RFC 9562."""

from hashlib import sha256
from typing import get_args
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import InvalidId, Prefix, derived, is_id, log_field, mint, minted_at_ms, parse, typeid, uuid7

times = st.integers(0, 2**48 - 1)
randoms = st.binary(min_size=10, max_size=10)

# RFC 9562, appendix A.6: Unix milliseconds, the random bits as they stand in the id, the id.
RFC_MS, RFC_UUID = 0x017F22E279B0, UUID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")


def test_the_example_of_rfc_9562_comes_out() -> None:
    assert uuid7(RFC_MS, bytes.fromhex("0cc318c4dc0c0c07398f")) == RFC_UUID


@pytest.mark.parametrize(
    ("text", "uuid"),
    [
        ("00000000000000000000000000", "00000000-0000-0000-0000-000000000000"),
        ("00000000000000000000000001", "00000000-0000-0000-0000-000000000001"),
        ("0000000000000000000000000a", "00000000-0000-0000-0000-00000000000a"),
        ("0000000000000000000000000g", "00000000-0000-0000-0000-000000000010"),
        ("00000000000000000000000010", "00000000-0000-0000-0000-000000000020"),
        ("7zzzzzzzzzzzzzzzzzzzzzzzzz", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
        ("0123456789abcdefghjkmnpqrs", "0110c853-1d09-52d8-d73e-1194e95b5f19"),
        ("01h455vb4pex5vsknk084sn02q", "01890a5d-ac96-774b-bcce-b302099a8057"),
    ],
)
def test_the_vectors_of_the_typeid_specification_hold_both_ways(text: str, uuid: str) -> None:
    assert typeid("job", UUID(uuid)) == f"job_{text}"
    assert parse(f"job_{text}") == ("job", UUID(uuid))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "job",
        "job_",
        "_01h455vb4pex5vsknk084sn02q",
        "01h455vb4pex5vsknk084sn02q",
        "job_01h455vb4pex5vsknk084sn02",
        "job_01h455vb4pex5vsknk084sn02q0",
        "job_8zzzzzzzzzzzzzzzzzzzzzzzzz",
        "job_01H455VB4PEX5VSKNK084SN02Q",
        "job_01h455vb4pex5vsknk084sn0il",
        "job_01h455vb4pex5vsknk084sn0 q",
        "job_01h455vb4pex5vsknk084sn02\n",
    ],
)
def test_what_is_not_an_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidId):
        parse(text)
    assert not is_id(text, "job")


def test_an_id_of_another_kind_is_not_one_of_these() -> None:
    minted = typeid("med", RFC_UUID)
    assert is_id(minted, "job", "med")
    assert not is_id(minted, "job")
    assert not is_id(minted)


@given(times, randoms)
def test_an_id_remembers_its_moment_and_is_a_valid_uuid7(at: int, random: bytes) -> None:
    uuid = uuid7(at, random)
    assert (uuid.version, uuid.variant) == (7, "specified in RFC 4122")
    for prefix in get_args(Prefix):
        assert minted_at_ms(typeid(prefix, uuid)) == at
        assert mint(prefix, at, random) == typeid(prefix, uuid)


@given(times, times, randoms, randoms)
def test_ids_sort_as_text_by_their_moments(first: int, second: int, one: bytes, other: bytes) -> None:
    earlier, later = sorted((first, second))
    if earlier < later:
        assert typeid("job", uuid7(earlier, one)) < typeid("job", uuid7(later, other))


@pytest.mark.parametrize("random", [b"", b"x" * 9, b"x" * 11])
def test_randomness_of_another_length_is_refused(random: bytes) -> None:
    with pytest.raises(ValueError, match="10 random bytes"):
        uuid7(0, random)
    with pytest.raises(ValueError, match="10 random bytes"):
        mint("job", 0, random)


def test_a_derived_id_is_the_same_each_time_and_differs_by_name_and_parent() -> None:
    parent, other = typeid("job", uuid7(5, b"a" * 10)), typeid("job", uuid7(5, b"b" * 10))
    output = derived("file", parent, "output")
    assert output == derived("file", parent, "output")
    assert len({output, derived("file", parent, "other"), derived("file", other, "output")}) == 3
    assert is_id(output, "file")
    assert minted_at_ms(output) == 5


@pytest.mark.parametrize(
    ("id", "field"),
    [
        ("job_01h455vb4pex5vsknk084sn02q", "job_id"),
        ("task_01h455vb4pex5vsknk084sn02q", "job_id"),
        ("med_01h455vb4pex5vsknk084sn02q", "media_id"),
        ("msg_01h455vb4pex5vsknk084sn02q", "webhook_delivery_id"),
        ("file_01h455vb4pex5vsknk084sn02q", "item_id"),
        ("seven", "item_id"),
        ("", "item_id"),
    ],
)
def test_log_lines_name_an_id_by_its_kind(id: str, field: str) -> None:
    assert log_field(id) == field


def test_a_derived_id_has_the_time_of_its_parent_and_the_random_bits_of_its_name() -> None:
    parent = typeid("job", RFC_UUID)
    digest = sha256(f"{parent}/probe".encode()).digest()[:10]
    assert derived("task", parent, "probe") == typeid("task", uuid7(RFC_MS, digest))
    with pytest.raises(InvalidId):
        derived("task", "job_none", "probe")
