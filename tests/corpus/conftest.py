"""Inputs are made once a session, and the tools of the workers are opened once."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.corpus.case import Case
from tests.corpus.product import Product, open_product
from tests.corpus.workshop import Workshop


@pytest.fixture(scope="session")
def corpus_input(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case], Path]:
    """The input of a case."""
    folder = tmp_path_factory.mktemp("corpus")

    def input_of(case: Case) -> Path:
        path = folder / case.name
        if not path.exists():
            parts = tmp_path_factory.mktemp("parts")
            scratch = parts / case.name
            case.make(Workshop(scratch, parts))
            scratch.rename(path)
        return path

    return input_of


@pytest.fixture(scope="package")
async def product(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Product]:
    """The workers' own code."""
    async with open_product(tmp_path_factory.mktemp("tools")) as opened:
        yield opened
