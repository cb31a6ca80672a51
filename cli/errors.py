"""What the command says when it cannot go on."""


class CliError(Exception):
    """A sentence for the person at the terminal, and the exit status that goes with it."""

    status = 1


class UsageError(CliError):
    """The command line or the settings are wrong: nothing was started."""

    status = 2
