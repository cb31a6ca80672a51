"""The two manners of model: closed for what customers write, open for what services read from each other."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

_SURROGATE = re.compile("[\ud800-\udfff]")


def _storable(text: str) -> str:
    # Postgres refuses U+0000 in text and jsonb, and UTF-8 has no lone surrogates: say so here, not as a 500 later.
    if "\x00" in text:
        raise ValueError("must not contain the character U+0000")
    if _SURROGATE.search(text):
        raise ValueError("must be valid Unicode, without lone surrogates")
    return text


Text = Annotated[str, AfterValidator(_storable)]
"""A string that can be stored: valid Unicode without U+0000."""


class Request(BaseModel):
    """What a customer sends: closed and strict, so that a typing error is an answer and not a silence."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Record(BaseModel):
    """What services tell each other: a reader ignores fields it does not know, so that events can grow."""

    model_config = ConfigDict(extra="ignore", frozen=True)
