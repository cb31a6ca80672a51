"""The rows of the corpus, a module for each group of kinds (data)."""

from tests.corpus.case import Case
from tests.corpus.tables import broken, colour, containers, geometry, sound, stills, timing, transparency

CASES: tuple[Case, ...] = (
    *timing.CASES,
    *containers.CASES,
    *sound.CASES,
    *geometry.CASES,
    *colour.CASES,
    *transparency.CASES,
    *stills.CASES,
    *broken.CASES,
)
