"""What `bitmill up` prints once everything is ready."""

import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from cli import env_file

READY_LINE = "bitmill is ready."


def print_banner(values: Mapping[str, str], data: Path, sandbox: str, stream: TextIO) -> None:
    """Print it on `stream`; the API key only on a terminal, because logs and journals are kept and read by others."""
    print(banner(values, data, sandbox, show_key=stream.isatty()), file=stream, flush=True)


def banner(values: Mapping[str, str], data: Path, sandbox: str, *, show_key: bool) -> str:
    """Addresses, key, folder, the state of the sandbox, and a first request that works as printed.

    Without `show_key` it says where the key is, and the requests take it from there.
    """
    source = f"source {shlex.quote(str(env_file.path(data)))}"
    if show_key:
        address, key = values["ITTYBIT_API_URL"], values["ITTYBIT_API_KEY"]
        shown, first = key, ""
    else:
        address, key = "$ITTYBIT_API_URL", "$ITTYBIT_API_KEY"
        shown, first = f"ITTYBIT_API_KEY in {env_file.path(data)}, which only its owner can read", f"  {source}\n"
    login = ""
    if "KAFKA_SASL_PASSWORD" in values:
        login = f" with a login: {_command()} kafka client --data {shlex.quote(str(data))}"
    return f"""
{READY_LINE}

  API      {values["ITTYBIT_API_URL"]}
  Key      {shown}
  Kafka    {values["KAFKA_BOOTSTRAP_SERVERS"]}{login}
  Data     {data}
  Sandbox  {sandbox}

A first job (the URL of any public video; private addresses need --allow-net CIDR):

{first}  curl -X POST {address}/jobs \\
    -H "Authorization: Bearer {key}" \\
    -H "Content-Type: application/json" \\
    -d '{{"input": "https://example.com/clip.mov", "kind": "video", "options": {{"width": 1280}}}}'

The jobs so far:

  curl {address}/jobs -H "Authorization: Bearer {key}"

For your shell and programs: {source}
Stop with Ctrl-C; unfinished work continues at the next start.
"""


def _command() -> str:
    """`bitmill` as a shell finds it: after `make up` it is beside the interpreter, and not on the PATH."""
    installed = Path(sys.executable).with_name("bitmill")
    return "bitmill" if shutil.which("bitmill") or not installed.exists() else shlex.quote(str(installed))
