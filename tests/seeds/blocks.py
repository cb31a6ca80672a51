"""Code blocks of the documents, repaired so that a shell or interpreter can run them.

The documents were saved as text: some lost their fences, their line continuations or an import. Nothing else is
repaired; names of hosts and of the key are replaced.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Language = Literal["bash", "typescript", "python", "json"]
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_STARTS: tuple[tuple[Language, str], ...] = (
    ("bash", "ittybit video"),
    ("typescript", "const task ="),
    ("python", "import requests"),
    ("bash", "TASK='"),
)


@dataclass(frozen=True)
class Block:
    """One code block of one document."""

    document: str
    number: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document[:3]}-{self.number}-{self.language}"


def fenced(path: Path) -> list[Block]:
    """The blocks of a document that has its fences."""
    found = _FENCE.findall(path.read_text())
    return [Block(path.name, number, language, text) for number, (language, text) in enumerate(found)]


def run_together(path: Path) -> list[Block]:
    """The blocks of a document that lost its fences: four languages in one text, each recognised by its first words."""
    text = path.read_text()
    places = [text.index(start) for _, start in _STARTS]
    ends = [*places[1:], text.index("The metadata object is returned")]
    return [
        Block(path.name, number, language, text[begin:end].strip())
        for number, ((language, _), begin, end) in enumerate(zip(_STARTS, places, ends, strict=True))
    ]


def webhook_of(path: Path) -> list[Block]:
    """The webhook at the end of a document that lost its fences."""
    text = path.read_text()
    begin = text.index('{\n"id": "')
    return [Block(path.name, len(_STARTS), "json", text[begin:].strip())]


def curls(path: Path) -> list[Block]:
    """The curl commands of the reference, whose lines lost the backslashes at their ends."""
    found: list[Block] = []
    lines = path.read_text().splitlines()
    for index, line in enumerate(lines):
        if not line.startswith("curl "):
            continue
        command = [line]
        for following in lines[index + 1 :]:
            if not following.strip():
                break
            command.append(following)
        text = "\n".join(command)
        # Inside the quoted JSON a line break is only white space: joining all lines by spaces changes nothing.
        found.append(Block(path.name, len(found), "bash", " ".join(text.split("\n"))))
    return found


def fetches(path: Path) -> list[Block]:
    """The JavaScript examples of the reference that are complete programs: those with only a URL and a key."""
    text = path.read_text()
    examples = re.findall(
        r"^const response = await fetch\(`[^`]+`, \{\n  headers: \{\n    Auth.*?^\}\);", text, re.M | re.S
    )
    return [Block(path.name, number, "typescript", example) for number, example in enumerate(examples)]
