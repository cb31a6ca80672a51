"""Errors that end a command with a sentence instead of a traceback.

CliError (status 1)
├── UsageError (status 2)
└── Unreachable (status 3)
"""


class CliError(Exception):
    """A sentence for the user, and the exit status that goes with it."""

    status = 1


class UsageError(CliError):
    """The command line, the settings or the installation are wrong: nothing was started."""

    status = 2


class Unreachable(CliError):
    """The API does not respond."""

    status = 3


def missing_package(command: str, extra: str, error: ModuleNotFoundError) -> UsageError:
    """The error for a command whose packages are in an extra that is not installed."""
    return UsageError(f"{command} needs the package {error.name}: install the extra bitmill[{extra}]")
