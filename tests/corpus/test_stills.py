"""Each image job and poster of the corpus, through the workers' own code; what comes out is decoded and compared."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.corpus.case import Case, Check
from tests.corpus.judge import problems
from tests.corpus.product import Product
from tests.corpus.rows import rows


@pytest.mark.parametrize(("case", "check"), rows("image", "item"))
async def test_what_comes_out_is_right(
    case: Case, check: Check, product: Product, corpus_input: Callable[[Case], Path], tmp_path: Path
) -> None:
    result = await product.run(check, corpus_input(case), tmp_path)
    assert problems(check, result) == []
