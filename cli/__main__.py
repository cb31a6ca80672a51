"""Entry point: parse the command line, run the command, turn `CliError` into a sentence and an exit status."""

import os
import sys
from collections.abc import Sequence

from cli.args import parse, parser
from cli.errors import CliError
from cli.parser import program


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 failed, 2 wrong command or settings, 3 the API cannot be reached, 130 interrupted."""
    words = sys.argv[1:] if argv is None else list(argv)
    if "_ARGCOMPLETE" in os.environ:
        from cli.completion import complete

        complete()
    if not words:
        parser(only="").print_help(sys.stderr)
        return 2
    arguments = parse(words)
    try:
        return int(arguments.run(arguments))
    except CliError as error:
        print(f"{program()}: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has closed the pipe (`| head`): nothing more can be printed.
        sys.stderr.close()
        return 1


if __name__ == "__main__":
    sys.exit(main())
