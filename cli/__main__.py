"""Entry point: parse the command line, run the command, turn `CliError` into a sentence and an exit status."""

import sys
from collections.abc import Sequence

from cli.args import parser
from cli.errors import CliError


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 success, 1 the work failed, 2 wrong command or settings, 130 interrupted."""
    root = parser()
    if not (sys.argv[1:] if argv is None else argv):
        root.print_help(sys.stderr)
        return 2
    arguments = root.parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except CliError as error:
        print(f"bitmill: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has closed the pipe (`| head`): nothing more can be printed.
        sys.stderr.close()
        return 1


if __name__ == "__main__":
    sys.exit(main())
