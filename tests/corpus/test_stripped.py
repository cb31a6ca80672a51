"""Each input of the corpus once more, without its tags: what comes out is right. Only formats are refused, and no file
of a format whose tags can be removed."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from media.faults import MediaFault
from media.sandbox_strip.run import STRIPPED
from tests.corpus.case import Case, Refused
from tests.corpus.judge import problems
from tests.corpus.product import Product
from tests.corpus.tables import CASES


def _inputs() -> list[object]:
    usable = [case for case in CASES if not any(isinstance(check, Refused) for check in case.checks)]
    return [pytest.param(case, id=case.name, marks=pytest.mark.media) for case in usable]


@pytest.mark.parametrize("case", _inputs())
async def test_what_comes_out_of_the_original_without_tags_is_right(
    case: Case, product: Product, corpus_input: Callable[[Case], Path], tmp_path: Path
) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    path = Path(shutil.copy(corpus_input(case), alone))
    try:
        format = await product.strip(path)
    except MediaFault as fault:
        assert fault.kind == "input_strip_unsupported"
        assert await product.format_of(path) not in STRIPPED
        return
    assert format in STRIPPED
    check = case.checks[0]
    assert problems(check, await product.run(check, path, tmp_path)) == []
