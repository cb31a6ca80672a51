"""New ids have the current time and are unique."""

from chassis.core.ids import new_id, now_ms
from schemas.ids import is_id, minted_at_ms


def test_an_id_is_well_formed_and_has_the_current_time() -> None:
    before = now_ms()
    minted = new_id("job")
    assert is_id(minted, "job")
    assert before <= minted_at_ms(minted) <= now_ms()


def test_ids_of_one_millisecond_differ() -> None:
    assert len({new_id("evt") for _ in range(1000)}) == 1000
