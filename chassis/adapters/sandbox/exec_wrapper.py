"""Script: confines itself as told and becomes another program. `python -I -S exec_wrapper.py SPEC PROGRAM [ARGUMENT]…`.

SPEC is `confine.SandboxSpec` as JSON. Without a program it prints the `confine.SandboxReport` as JSON and exits.
A program rather than a function run between fork and exec: such a function would run in a copy of a process that
has threads, where locks may be held for ever.
"""

import json
import os
import sys

# Isolated mode leaves the script's own surroundings out; at the end, so that nothing hides the standard library.
sys.path.append(os.path.abspath(__file__).rsplit(os.sep, 4)[0])  # noqa: PTH100

from chassis.adapters.sandbox import confine

NOT_STARTED = 127
"""The exit status when the program could not be started, as shells have it."""


def main(arguments: list[str]) -> None:
    """Does what the module's docstring says; returns only after printing a report."""
    order: confine.SandboxSpec = json.loads(arguments[0])
    report = confine.apply(order)
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
