"""docs/cli.md is that of the argument parser, and every option is in an example that the parser takes."""

import argparse
import shlex

import pytest

from cli.args import parser, with_action
from devtools.cli_examples import EXAMPLES
from devtools.cli_reference import DOCUMENT, actions, document, options

COMMANDS = {name: command for name, command in actions(parser()) if not dict(actions(command))}


def words(example: str) -> list[str]:
    """The words of an example behind the name of the command, without what is the shell's own."""
    line = example.removeprefix('eval "$(').removesuffix(')"').partition(" < ")[0]
    return with_action(shlex.split(line)[1:])


def test_the_document_is_that_of_the_parser() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "run `make contracts`"


def test_every_command_has_examples_and_no_other_has() -> None:
    assert set(EXAMPLES) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_an_example_of_its_command(name: str) -> None:
    given = {word.partition("=")[0] for example in EXAMPLES[name] for word in words(example)}
    missing = [option.option_strings for option in options(COMMANDS[name]) if not shown(option, given)]
    assert missing == []


def shown(option: argparse.Action, given: set[str]) -> bool:
    """Whether an example has the option by one of its long names; arguments without a name are in each."""
    long = {name for name in option.option_strings if name.startswith("--")}
    return not long or bool(long & given)


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_parses(name: str) -> None:
    for example in EXAMPLES[name]:
        given = words(example)
        arguments = parser().parse_args(given)
        assert callable(arguments.run)
        assert given[: len(name.split())] == name.split()
