"""README, CONTRIBUTING, ARCHITECTURE and .env.example agree with the code."""

import re
from pathlib import Path

from cli.args import parser
from cli.service_commands import collect_settings
from schemas.faults import FAULTS
from schemas.topics import SERVICES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_readme_lists_every_failure_with_its_sentence() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", README, re.MULTILINE))
    assert {kind: sentence for kind, sentence in rows.items() if kind in FAULTS} == FAULTS


def test_every_make_target_in_the_documents_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    text = README + (ROOT / "CONTRIBUTING.md").read_text() + (ROOT / "ARCHITECTURE.md").read_text()
    named = set(re.findall(r"\bmake ([a-z-]+)\b(?= +#|`)", text))
    assert named
    assert named <= targets


def test_every_command_line_of_the_readme_parses() -> None:
    lines = re.findall(r"^(?:bitmill|ittybit) (.+?)(?:\s+#.*)?$", README, re.MULTILINE)
    assert len(lines) >= 7
    for line in lines:
        words = line.replace('"', "").split()
        if words != ["settings"]:
            assert parser().parse_args(words).run


def test_every_name_in_the_example_environment_is_a_setting() -> None:
    names = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert names
    assert names <= set(collect_settings(SERVICES))


def test_ci_runs_the_readmes_test_command() -> None:
    assert "make test" in README
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith("\nmake test")


def test_every_path_that_the_documents_name_exists() -> None:
    text = README + (ROOT / "ARCHITECTURE.md").read_text() + (ROOT / "CONTRIBUTING.md").read_text()
    packages = "schemas|chassis|media|worker|services|cli|embedded|devtools|deploy|decisions|tests"
    named = set(re.findall(rf"`((?:{packages})/[\w./-]*)`", text))
    assert len(named) > 10
    assert {path for path in named if not (ROOT / path).exists()} == set()


def test_no_line_of_the_documents_is_longer_than_those_of_the_code() -> None:
    """Rows of tables cannot be broken."""
    documents = [*ROOT.glob("*.md"), *(ROOT / "decisions").glob("*.md"), *(ROOT / "docs").glob("*.md")]
    documents.append(ROOT / "deploy" / "README.md")
    lines = [(path.name, line) for path in documents for line in path.read_text().splitlines()]
    assert [found for found in lines if len(found[1]) > 120 and not found[1].startswith("|")] == []
