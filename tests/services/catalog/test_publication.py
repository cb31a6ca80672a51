"""What watermarks prove, and what an id of some age requires."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalog.publication import (
    SETTLED_MS,
    Evidence,
    Watermark,
    all_published,
    required_evidence,
)

NOW = 1_800_000_000_000
HOUR_MS = 3_600_000


@pytest.mark.parametrize("wrong_by_ms", [-HOUR_MS, HOUR_MS])
def test_an_id_that_was_minted_by_a_clock_that_is_wrong_by_an_hour_is_not_taken_for_unknown(wrong_by_ms: int) -> None:
    """It has just been accepted, and its event may not be published yet."""
    assert required_evidence(NOW + wrong_by_ms, [Watermark(NOW, NOW, 1)]) is Evidence.PUBLISHED


def test_watermarks_of_before_the_clock_was_set_back_prove_nothing_about_later_times() -> None:
    before, after = Watermark(NOW + HOUR_MS, NOW + HOUR_MS, 9), Watermark(NOW, 0, 10)
    assert not all_published([before, after], 10)
    assert all_published([before, after, Watermark(NOW + 1000, NOW + 1000, 11)], 10)


def test_an_id_that_is_older_than_the_newest_watermark_requires_the_projection_only() -> None:
    marks = [Watermark(NOW - 900, NOW - 2000, None), Watermark(NOW, NOW - 1000, 7)]
    assert required_evidence(NOW - 1000 - SETTLED_MS - 1, marks) is Evidence.PROJECTED
    assert required_evidence(NOW - 1000 - SETTLED_MS, marks) is Evidence.PUBLISHED


def test_without_a_watermark_every_id_requires_that_all_is_published() -> None:
    assert required_evidence(NOW - 10**10, []) is Evidence.PUBLISHED


@pytest.mark.parametrize(
    ("marks", "proven"),
    [
        ([], False),
        # Looked up before the moment, as far as anybody knows: their sends may have been waiting in line.
        ([Watermark(1000, 1000, None), Watermark(2000, 2000, 9)], False),
        # After it, and the outbox was empty.
        ([Watermark(2000, 2000, 10)], True),
        ([Watermark(1000, 1000, 9), Watermark(2000, 2000, 11)], True),
        # After it, and some row was not published yet.
        ([Watermark(2000, 1500, 10)], False),
        ([Watermark(2000, 1500, 10), Watermark(3000, 1999, 11)], False),
        ([Watermark(2000, 1500, 10), Watermark(3000, 2000, 11)], True),
        # The proof may come from another replica's sender, which knows of no earlier watermark.
        ([Watermark(2000, 1500, 10), Watermark(3000, 2500, None)], True),
    ],
)
def test_a_look_up_after_the_moment_has_to_be_published_through(marks: list[Watermark], proven: bool) -> None:
    assert all_published(marks, 10) is proven


@given(
    commits=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 30)), max_size=8),
    looked_up=st.lists(st.integers(0, 90), min_size=1, max_size=12),
    delays=st.lists(st.integers(0, 20), min_size=12, max_size=12),
    moment=st.integers(0, 60),
)
def test_no_history_proves_too_early(
    commits: list[tuple[int, int]], looked_up: list[int], delays: list[int], moment: int
) -> None:
    """A model of the relay: rows are visible from their commit to their acknowledgement, watermarks arrive late."""
    rows = [(committed, committed + lasts) for committed, lasts in commits]
    sent: list[tuple[int, int, int]] = []  # (looked up, appended, published through)
    appended = 0
    for at, delay in zip(sorted(looked_up), delays, strict=False):
        appended = max(appended + 1, at + delay)
        open_rows = [committed for committed, acknowledged in rows if committed <= at < acknowledged]
        sent.append((at, appended, min([at, *open_rows])))
    end_offset = sum(appended <= moment for _, appended, _ in sent)
    for received in range(len(sent) + 1):
        marks = [
            Watermark(
                at, through, max((o for o, (_, done, _) in enumerate(sent[:received]) if done < at), default=None)
            )
            for at, _, through in sent[:received]
        ]
        if all_published(marks, end_offset):
            last_look_up = max(at for at, _, _ in sent[:received])
            late = [row for row in rows if row[0] <= moment and row[1] > last_look_up]
            assert not late
