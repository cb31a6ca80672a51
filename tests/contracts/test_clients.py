"""Clients that others generate from the OpenAPI document compile, and make a real job."""

import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from devtools.contracts import events
from tests.contracts.node_tools import run
from tests.support.file_server import FileServer
from tests.support.system import BitmillUp

CLIENTS = Path(__file__).parent / "clients"
OPENAPI = events.PUBLISHED / "openapi.json"
TSCONFIG = {
    "compilerOptions": {
        "target": "es2022",
        "module": "nodenext",
        "strict": True,
        "exactOptionalPropertyTypes": True,
        "noUncheckedIndexedAccess": True,
        "noEmitOnError": True,
        "types": [],
    },
    "files": ["make_job.ts", "schema.d.ts"],
}


async def assert_makes_a_job(command: tuple[str, str], client: str, up: BitmillUp, uploads: FileServer) -> None:
    """Runs a client with the address, a key and an input; it prints the finished job."""
    arguments = (up.api.address, up.env["ITTYBIT_API_KEY"], uploads.url("photo.png"))
    # In a thread, because the input is served by this event loop.
    output = await asyncio.to_thread(run, *command, *arguments)
    job: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    assert job["status"] == "succeeded", job
    assert (job["output"]["format"], job["output"]["width"]) == ("png", 64)
    assert job["metadata"] == {"client": client}


async def test_a_generated_python_client_makes_a_job(up: BitmillUp, uploads: FileServer, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"package_name_override": "bitmill_client", "post_hooks": []}))
    run(
        *(sys.executable, "-m", "openapi_python_client", "generate", "--path", OPENAPI, "--config", config),
        *("--meta", "none", "--output-path", tmp_path / "bitmill_client", "--fail-on-warning"),
    )
    program = shutil.copy(CLIENTS / "make_job.py", tmp_path)
    run(sys.executable, "-m", "compileall", "-q", tmp_path)
    run(sys.executable, "-m", "mypy", "--no-incremental", "--config-file", "", "make_job.py", cwd=tmp_path)
    await assert_makes_a_job((sys.executable, str(program)), "python", up, uploads)


async def test_a_generated_typescript_client_makes_a_job(
    up: BitmillUp, uploads: FileServer, tmp_path: Path, node_modules: Path
) -> None:
    (tmp_path / "node_modules").symlink_to(node_modules)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "tsconfig.json").write_text(json.dumps(TSCONFIG))
    program = shutil.copy(CLIENTS / "make_job.ts", tmp_path)
    tools = node_modules / ".bin"
    # Fields of requests that have a default need not be sent.
    run(tools / "openapi-typescript", OPENAPI, "--output", "schema.d.ts", "--default-non-nullable=false", cwd=tmp_path)
    run(tools / "tsc", "--project", tmp_path, cwd=tmp_path)
    await assert_makes_a_job(("node", str(Path(program).with_suffix(".js"))), "typescript", up, uploads)
