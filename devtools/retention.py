"""`python -m devtools.retention`: writes docs/retention.md, the bound of every table, topic, folder and object.

The tables come from the services' declarations, the topics from `schemas.topics`; a test compares the document with
both, and the declarations with the tables of a migrated Postgres.
"""

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from chassis.runtime.retention import BOOKKEEPING, Kept, Purged, Retention
from cli.migrate import spec_of
from cli.service_commands import settings_class
from schemas.stored_keys import FOLDERS
from schemas.topics import DEAD_LETTER_RETENTION, SERVICES, TOPICS, Service, Topic

DOCUMENT = Path(__file__).parents[1] / "docs" / "retention.md"
_HEAD = """\
# Retention: what is kept, how long, and what bounds it

Written by `make retention` from the declarations in the code; a test compares them, and fails for a table, topic or
folder without a bound.

Rows whose time is over are deleted every `PURGE_INTERVAL`, in batches of at most 1000 rows and 5 seconds, by one
replica of a service at a time; rows that are in use are left for the next pass. Metrics: `bitmill_rows_purged_total`,
`bitmill_purge_failures_total`, `bitmill_table_oldest_seconds` (of rows that are deleted one day), `bitmill_table_rows`,
`bitmill_table_bytes`, `bitmill_outputs_expired_total`; log events `rows_purged` and `purge_failed`. Every replica shows
the gauges as of its own last pass: use `max by (service, table)`.

`RETAIN_JOBS` has to be the same for all services. A job and its output end together, within two passes. A project may
have a shorter retention of its jobs (`bitmill projects set PROJECT --retain-jobs 7d`), and a customer removes a job
that has ended at once with `DELETE /jobs/{id}?purge=true`: ingest deletes its row and publishes `JobPurged`, by which
the catalog forgets the job and its worker deletes the output; metrics `bitmill_jobs_purged_total` and
`bitmill_items_erased_total`. Afterwards `GET /jobs/{id}` and the address of the output respond with 404: an id is not
known for ever, and that of another project looks the same. What a media item has taken over stays with the item. Copies
at the customer's own store or in caches are not touched, and the notifier keeps the webhook for `NOTIFIER_KEEP`.

Media items and their files are kept until they are deleted. Settings shorter than Kafka's retention are refused,
because a record that Kafka still has would bring back what was forgotten; the marks that a purge leaves are kept for
`RETAIN_DELETED_MEDIA`.

`bitmill gc` finds what no row refers to: objects in storage that a killed worker has left, unfinished uploads, scratch
folders. It changes nothing without `--delete`, and is safe while the services work.
"""
_TOPICS_HEAD = """\
Set when a topic is created; change it with `kafka-configs --alter --add-config retention.ms=…`. Kafka deletes segments
of a day, so that a record may stay for a day more; in topics of earlier releases, whose segments last a week, for a
week more (`--add-config segment.ms=86400000` shortens them).
"""
_FOLDERS = (
    (
        "`DATA/logs/*.log` of `bitmill up`",
        "`--max-log-bytes` (16 MiB) for each server, and as much for the file before it",
    ),
    ("`DATA/kafka`", "the retention of the topics"),
    ("`DATA/postgres`", "the retention of the tables; write-ahead log up to Postgres' `max_wal_size`"),
    ("`WORK_DIR/run-*`", "removed with their process; those of killed processes when the next one starts, or by gc"),
    ("`.incoming` of a storage folder", "unfinished files; those of killed processes after 24 hours, or by gc"),
    ("unfinished uploads of an S3 bucket", "aborted by their process; those of killed processes by gc"),
    ("standard error of the services", "belongs to whoever collects it (Docker, Kubernetes, systemd)"),
)


def document() -> str:
    """The whole document."""
    return "\n".join([_HEAD, *_tables(), *_topics(), *_storage(), *_folders()]) + "\n"


def _tables() -> Iterator[str]:
    yield "## Tables\n"
    yield "| schema | table | rows are deleted | setting (default) |"
    yield "|---|---|---|---|"
    for service in SERVICES:
        for each in (*spec_of(service).all_retention, *BOOKKEEPING):
            yield from _table(service, each)
    yield ""


def _table(service: Service, retention: Retention) -> Iterator[str]:
    match retention:
        case Kept(table, bound):
            yield f"| {service} | `{table}` | not by age | {bound} |"
        case Purged():
            note = f": {retention.note}" if retention.note else ""
            when = f"by `{retention.column}`{note}"
            yield f"| {service} | `{retention.table}` | {when} | {_setting(service, retention.setting)} |"
            for each in retention.dependents:
                condition = "" if each.where == "true" else f", where {each.where}"
                yield f"| {service} | `{each.table}` | with their row of `{retention.table}`{condition} | as that |"


def _setting(service: Service, name: str | None) -> str:
    if name is None:
        return "the row's own time"
    default: timedelta = settings_class(service).model_fields[name].get_default()
    return f"`{name.upper()}` ({_duration(default)})"


def _topics() -> Iterator[str]:
    yield "## Topics of Kafka\n"
    yield _TOPICS_HEAD
    yield "| topic | records are kept |"
    yield "|---|---|"
    for topic in TOPICS:
        yield f"| `{topic.name}` | {_topic(topic)} |"
    yield f"| `<topic>.dlq` | {_duration(DEAD_LETTER_RETENTION)} |"
    yield "| `__consumer_offsets` | the newest of each group and partition |"
    yield ""


def _topic(topic: Topic) -> str:
    if topic.retention is not None:
        return _duration(topic.retention)
    if not topic.compacted:
        raise ValueError(f"{topic.name} has no bound")
    return f"the newest of each key ({topic.key})"


def _storage() -> Iterator[str]:
    yield "## Objects in storage\n"
    yield "| prefix | objects are kept |"
    yield "|---|---|"
    for folder, bound in FOLDERS.items():
        yield f"| `<project>/{folder}/` | {bound} |"
    yield ""


def _folders() -> Iterator[str]:
    yield "## Folders and logs\n"
    yield "| what | bound |"
    yield "|---|---|"
    for what, bound in _FOLDERS:
        yield f"| {what} | {bound} |"


def _duration(of: timedelta) -> str:
    hours = of / timedelta(hours=1)
    return f"{hours / 24:g} days" if hours >= 48 else f"{hours:g} h"


def main() -> int:
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(document(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
