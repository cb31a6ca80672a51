"""Script: confines itself, then executes a program. `python -I -S exec_wrapper.py SPEC PROGRAM [ARGUMENT]…`.

SPEC is `confine.SandboxSpec` as JSON. Without a program it prints the `confine.SandboxReport` as JSON and exits.
A script and not a function between fork and exec: such a function would run in a copy of a process with threads, where
locks may be held for ever.
"""

import json
import os
import sys

# Isolated mode leaves the project out of the path. Appended, so that nothing shadows the standard library.
sys.path.append(os.path.abspath(__file__).rsplit(os.sep, 4)[0])  # noqa: PTH100

from chassis.adapters.sandbox import confine

NOT_STARTED = 127
"""The exit status if the program cannot be started, as in shells."""


def main(arguments: list[str]) -> None:
    """See the module. Returns only after printing a report."""
    spec: confine.SandboxSpec = json.loads(arguments[0])
    report = confine.apply(spec)
    if len(arguments) == 1:
        sys.stdout.write(json.dumps(report))
        return
    try:
        os.execv(arguments[1], arguments[1:])  # noqa: S606 - a list of arguments, no shell
    except OSError as error:
        sys.stderr.write(f"{arguments[1]} cannot be started: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(NOT_STARTED)


if __name__ == "__main__":
    main(sys.argv[1:])
