"""Which fault happens when: a pure function of the seed.

Times are seconds since the load began. They stand still during a power cut, which takes as long as a restart.
"""

from dataclasses import dataclass
from random import Random

SERVICES = ("ingest", "transcoder", "thumbnailer", "catalog", "notifier")
REPLICAS = 2
ROUND_SECONDS = 60.0
LEASE_SECONDS = 15.0
NETWORK_MODES = ("refuse", "black_hole", "silent", "slow")
DISK_KINDS = ("disk_full", "power_cut")
"""They need a disk of the run's own, which only root may mount."""
_LONG = ("freeze_at_fetch", "freeze_past_lease")
WAIT_SECONDS = 8.0
"""How long a fault waits for its moment; without one it happens then."""
_RESTART_SECONDS = 6.0
"""A replica that was killed is left alone for so long: one that is starting has no work to lose."""
_LEAD_SECONDS = 6.0
"""All replicas of one service are frozen for so long before a power cut, so that records wait for them on Kafka."""

WORKERS = ("transcoder", "thumbnailer")
_ROUND: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("kill", SERVICES),
    ("kill", SERVICES),
    ("kill_at_fetch", WORKERS),
    ("kill_at_end_commit", WORKERS),
    ("kill_at_postgres_commit", SERVICES),
    ("kill_at_kafka_commit", ("catalog", "notifier")),
    ("kill_at_kafka_commit", SERVICES),
    ("stop", SERVICES),
    ("freeze", SERVICES),
    ("freeze_at_fetch", WORKERS),
    ("freeze_past_lease", ("ingest", *WORKERS, "notifier")),
    ("silent", ("postgres",)),
    ("silent", ("kafka",)),
    ("network", ("postgres", "kafka")),
    ("network", ("postgres", "kafka")),
)
"""Kind and possible targets of the faults of each round, besides one of those that concern everybody."""
_EVERYBODY = ("power_cut", "disk_full", "kill_server")


@dataclass(frozen=True)
class Fault:
    """One fault. `target` is a replica (`catalog-1`), a server (`kafka`), a server as one replica sees it
    (`postgres:catalog-1`), a service, or `disk`; `seconds` is how long it lasts, 0 for a kill.
    """

    at: float
    kind: str
    target: str
    seconds: float = 0.0

    @property
    def end(self) -> float:
        return self.at + self.seconds


def replica_names() -> tuple[str, ...]:
    return tuple(f"{service}-{number}" for service in SERVICES for number in range(REPLICAS))


def make_schedule(seed: int, seconds: float, *, with_disk: bool = True) -> list[Fault]:
    """The faults of a run whose load lasts `seconds`, in the order of their times."""
    random = Random(seed)
    faults: list[Fault] = []
    begin, number = 0.0, random.randrange(len(_EVERYBODY)) if seconds < 2 * ROUND_SECONDS else 0
    while begin < seconds:
        length = min(ROUND_SECONDS, seconds - begin)
        faults += _round(random, begin, length, _EVERYBODY[number % len(_EVERYBODY)], with_disk)
        begin += length
        number += 1
    return sorted(faults, key=lambda fault: fault.at)


def _round(random: Random, begin: float, length: float, everybody: str, with_disk: bool) -> list[Fault]:
    share = length / ROUND_SECONDS
    quiet = 2.0  # at the beginning
    if share < 1 and everybody in DISK_KINDS:
        everybody = "kill_server"
    if everybody in DISK_KINDS and not with_disk:
        everybody = "kill_server"
    last = begin + length - (_LEAD_SECONDS + 2.0 if everybody == "power_cut" else 0.0)
    wanted = [entry for entry in _ROUND if share >= 0.6 or entry[0] not in _LONG]
    wanted = random.sample(wanted, max(1, min(len(wanted), round(len(_ROUND) * share))))
    wanted.sort(key=lambda entry: entry[0] not in _LONG)  # the longest first, while there is room
    made = [_everybody(random, everybody, begin, length)] if share > 0.3 else []
    for kind, targets in wanted:
        for _ in range(50):  # until a time fits
            fault = _fault(random, kind, random.choice(targets), random.uniform(begin + quiet, last - 1))
            if fault.end <= last and not any(_collide(fault, other) for other in made):
                made.append(fault)
                break
    return made


def _everybody(random: Random, kind: str, begin: float, length: float) -> Fault:
    middle = begin + random.uniform(0.3, 0.6) * length
    match kind:
        case "power_cut":
            return Fault(begin + length - _LEAD_SECONDS, kind, random.choice(("catalog", "notifier")), _LEAD_SECONDS)
        case "disk_full":
            return Fault(middle, kind, "disk", random.uniform(8, 15))
        case _:
            return Fault(middle, "kill_server", random.choice(("kafka", "postgres")))


def _fault(random: Random, kind: str, target: str, at: float) -> Fault:
    at = round(at, 2)
    replica = f"{target}-{random.randrange(REPLICAS)}"
    match kind:
        case "kill" | "stop":
            return Fault(at, kind, replica)
        case "kill_at_fetch" | "kill_at_postgres_commit" | "kill_at_end_commit" | "kill_at_kafka_commit":
            return Fault(at, kind, replica, WAIT_SECONDS)
        case "freeze":
            return Fault(at, kind, replica, round(random.uniform(2, 8), 1))
        case "freeze_at_fetch" | "freeze_past_lease":
            return Fault(at, kind, replica, round(random.uniform(LEASE_SECONDS + 5, 24), 1))
        case _:
            mode = random.choice(NETWORK_MODES) if kind == "network" else kind
            everybody = random.random() < 0.5
            server = target if everybody else f"{target}:{random.choice(replica_names())}"
            return Fault(at, mode, server, round(random.uniform(4, 12 if everybody else 24), 1))


def _collide(fault: Fault, other: Fault) -> bool:
    """Whether both concern one replica, one server or one service at the same time."""
    if fault.at > other.end + _RESTART_SECONDS or other.at > fault.end + _RESTART_SECONDS:
        return False
    if "power_cut" in (fault.kind, other.kind):
        return True
    if "disk" in (fault.target, other.target):
        return fault.kind == other.kind or "kafka" in (fault.target, other.target)
    mine, others = _concerned(fault), _concerned(other)
    return bool(mine & others)


def _concerned(fault: Fault) -> set[str]:
    server, _, replica = fault.target.rpartition(":")
    return {part for part in (server, replica) if part} if server else {fault.target}
