"""How long the rows of each table are kept, as data: purging, its metrics and the documentation derive from it.

Every table of a service has one declaration. Rows of a `Purged` table are deleted once they are older than a setting;
for a `Kept` table the declaration says what else bounds it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias
from uuid import UUID

from schemas.ids import minted_at_ms, typeid

Clock = Literal["timestamp", "milliseconds", "id"]
"""What a column holds: a `timestamptz`, Unix milliseconds, or the 26 time-ordered characters of an id."""
Cutoff: TypeAlias = datetime | int | str


@dataclass(frozen=True)
class Dependent:
    """Rows of another table that are deleted together with a row of a purged table: those whose `column` has its key.

    `cascades`: by the foreign key itself.
    """

    table: str
    column: str
    where: str = "true"
    cascades: bool = False


@dataclass(frozen=True)
class Purged:
    """Rows are deleted once `column` is older than the setting named `setting` (None: as soon as it has passed).

    `where` is a further condition; `{cutoff_ms}` in it stands for the cutoff in Unix milliseconds. `column` and `where`
    need an index that begins with `column`. `key` is a unique column, or several. `note` is for the documentation.
    """

    table: str
    column: str
    setting: str | None
    clock: Clock = "timestamp"
    where: str = "true"
    key: tuple[str, ...] = ("id",)
    dependents: tuple[Dependent, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Kept:
    """Rows are not deleted by their age; `bound` says for people what bounds the table."""

    table: str
    bound: str


Retention: TypeAlias = Purged | Kept

BOOKKEEPING = (Kept("_yoyo_*, yoyo_lock, migration_checksums", "a row for each migration"),)

RATE_WINDOWS = Kept("rate_windows", "a row for each project and each key with a rate limit of its own")


def outbox_retention() -> tuple[Retention, ...]:
    """The tables of `chassis.runtime.outbox`."""
    return (
        Kept("outbox", "a row is deleted once Kafka has acknowledged its event"),
        Purged(
            "outbox_quarantine",
            "quarantined_at",
            "retain_quarantined_events",
            note="events that Kafka refuses as too large",
        ),
        Kept("outbox_watermark", "one row"),
        Kept("gauge_leader", "one row"),
    )


def queue_retention(setting: str) -> tuple[Retention, ...]:
    """The tables of `chassis.runtime.job_queue`, whose ended items are kept for `setting`."""
    return (
        Purged("job_queue", "finished_at", setting, note="items that have ended"),
        Purged("job_queue_cancellations", "created_at", setting, note="of items that never came"),
        Kept("job_queue_clock", "one row"),
        Kept("job_queue_order", "one row"),
        Kept("job_queue_projects", "a row for each project that has work in the queue"),
    )


def tables(retention: Sequence[Retention]) -> list[str]:
    """Every table that a declaration names, dependents included (pure)."""
    named = [each.table for each in retention]
    return named + [dependent.table for each in retention if isinstance(each, Purged) for dependent in each.dependents]


def cutoff(purged: Purged, at: datetime) -> Cutoff:
    """`at` in the form of the column (pure)."""
    match purged.clock:
        case "timestamp":
            return at
        case "milliseconds":
            return milliseconds(at)
        case "id":
            return typeid("evt", UUID(int=max(0, milliseconds(at)) << 80)).removeprefix("evt_")


def milliseconds(at: datetime) -> int:
    """Unix milliseconds (pure)."""
    return int(at.timestamp() * 1000)


def age_s(oldest: Cutoff, now: datetime) -> float:
    """The age in seconds of a value of the column (pure)."""
    match oldest:
        case datetime():
            then = oldest
        case int():
            then = datetime.fromtimestamp(oldest / 1000, UTC)
        case str():
            then = datetime.fromtimestamp(minted_at_ms(f"evt_{oldest}") / 1000, UTC)
    return (now - then).total_seconds()


def select_statement(purged: Purged, columns: Sequence[str]) -> str:
    """The key columns and `columns` of at most $2 rows before the cutoff $1, oldest first (pure)."""
    return f"SELECT {', '.join([*purged.key, *columns])} {_due(purged)}"


def delete_statement(purged: Purged, *, of_keys: bool = False) -> str:
    """Deletes at most $2 rows before the cutoff $1 with their dependents; one column with the count for each table.

    Rows that others have locked are left for the next time, so that nobody waits for this statement longer than it
    takes. With `of_keys` only rows whose key is in the array $4 (pure).
    """
    key = ", ".join(purged.key)
    among = f" AND {purged.key[0]} = ANY ($4::text[])" if of_keys else ""
    old = f"SELECT {key} {_due(purged, among)} FOR UPDATE SKIP LOCKED"
    parts, counts = [f"old AS ({old})"], []
    for number, each in enumerate(each for each in purged.dependents if not each.cascades):
        parts.append(
            f"dependent_{number} AS (DELETE FROM {each.table} USING old "  # noqa: S608
            f"WHERE {each.table}.{each.column} = old.{purged.key[0]} AND ({each.where}) RETURNING 1)"
        )
        counts.append(f"(SELECT count(*) FROM dependent_{number}) AS {each.table}")  # noqa: S608
    same = " AND ".join(f"{purged.table}.{column} = old.{column}" for column in purged.key)
    parts.append(f"deleted AS (DELETE FROM {purged.table} USING old WHERE {same} RETURNING 1)")  # noqa: S608
    counts.insert(0, f"(SELECT count(*) FROM deleted) AS {purged.table}")  # noqa: S608
    return f"WITH {', '.join(parts)} SELECT {', '.join(counts)}"


def oldest_statement(purged: Purged) -> str:
    """The column of the oldest row that is purged one day (pure)."""
    where = purged.where.replace("{cutoff_ms}", str(2**62))
    return (
        f"SELECT {purged.column} FROM {purged.table} "  # noqa: S608
        f"WHERE {purged.column} IS NOT NULL AND ({where}) ORDER BY {purged.column} LIMIT 1"
    )


def _due(purged: Purged, among: str = "") -> str:
    # $3 is always used, so that all statements have the same parameters.
    where = purged.where.replace("{cutoff_ms}", "$3::bigint")
    return (
        f"FROM {purged.table} WHERE {purged.column} < $1 AND ({where}) AND $3::bigint IS NOT NULL{among} "
        f"ORDER BY {purged.column} LIMIT $2"
    )
