"""What a run may not leave behind: objects that no row names, scratch folders, child processes."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg

from tests.chaos.auditor.records import Audit, Target

INCOMING = ".incoming"


async def check_objects(target: Target, audit: Audit) -> None:
    """Objects in storage, after `bitmill gc`. Unfinished uploads, which it keeps for a day, are only counted."""
    keys = [str(path.relative_to(target.storage)) for path in target.storage.rglob("*") if path.is_file()]
    connection = await asyncpg.connect(target.dsn)
    try:
        named = {row["key"] for row in await connection.fetch("SELECT DISTINCT key FROM catalog.files")}
        texts = await connection.fetch(
            "SELECT item::text AS text FROM ingest.media UNION ALL SELECT job::text FROM catalog.jobs"
        )
    finally:
        await connection.close()
    all_text = "\n".join(row["text"] for row in texts)
    orphans = [key for key in keys if key not in named and key not in all_text]
    unfinished = {key for key in orphans if key.startswith(INCOMING)}
    audit.counts["unfinished uploads"] = len(unfinished)
    audit.report("orphan objects", sorted(set(orphans) - unfinished), "objects that no row names, after bitmill gc")


def check_folders(target: Target, audit: Audit) -> None:
    """After the services have stopped."""
    left = [str(path.relative_to(target.work)) for path in target.work.glob("*/run-*")]
    audit.report("scratch folders", left, "left in the work folders after all services have stopped")


def check_processes(target: Target, audit: Audit) -> None:
    """After the services have stopped: processes of the run, by their environment, folder or command (Linux)."""
    left = [f"{pid} {command}" for pid, command in _processes(target) if pid != os.getpid()]
    audit.report("orphan processes", left, "still running after all services have stopped")


def _processes(target: Target) -> Iterator[tuple[int, str]]:
    marks = (f"{target.run_variable}={target.run_id}".encode(), str(target.work).encode())
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
            content = (folder / "environ").read_bytes() + command + os.readlink(folder / "cwd").encode()
            if command and any(mark in content for mark in marks):
                yield int(folder.name), command.decode(errors="replace")[:200]
