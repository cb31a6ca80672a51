"""`bitmill kafka acls`: the calls of Kafka's tool `kafka-acls` that grant each service what its work needs."""

import argparse
import shlex
from collections.abc import Sequence

from schemas.acls import commands, roles

_TOOL = 'kafka-acls --bootstrap-server "$KAFKA_BOOTSTRAP_SERVERS" --command-config admin.properties'


def run(arguments: argparse.Namespace) -> int:
    """Print a script for a shell."""
    chosen = (arguments.role,) if arguments.role else roles()
    print("\n".join(script(chosen, arguments.principal)))
    return 0


def script(chosen: Sequence[str], principal: str) -> list[str]:
    """The lines of the script (pure). `{role}` in `principal` is replaced with the role's name."""
    lines = [
        "# kafka-acls is kafka-acls.sh in Kafka's own archive.",
        "# admin.properties: the login of a user who may alter ACLs (of the cluster: Alter).",
    ]
    for role in chosen:
        lines.append(f"\n# {role}")
        for arguments in commands(role, principal.replace("{role}", role)):
            lines.append(f"{_TOOL} {shlex.join(arguments)}")
    return lines
