"""What `bitmill up` prints once it is ready: one screen, with a command that works as printed."""

from collections.abc import Mapping
from pathlib import Path

from cli import envfile

READY_LINE = "bitmill is ready."


def banner(values: Mapping[str, str], data: Path) -> str:
    """Address, key, folder, Kafka, and a first request."""
    address, key = values["ITTYBIT_API_URL"], values["ITTYBIT_API_KEY"]
    return f"""
{READY_LINE}

  API      {address}
  Key      {key}
  Kafka    {values["KAFKA_BOOTSTRAP_SERVERS"]}
  Data     {data}

A first job (any video that this machine can reach):

  curl -X POST {address}/jobs \\
    -H "Authorization: Bearer {key}" \\
    -H "Content-Type: application/json" \\
    -d '{{"input": "https://example.com/clip.mov", "kind": "video", "options": {{"width": 1280}}}}'

What there is already:

  curl {address}/jobs -H "Authorization: Bearer {key}"

For your shell and programs: source {envfile.path(data)}
Stop with Ctrl-C; what is under way goes on at the next start.
"""
