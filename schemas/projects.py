"""A project: everything of one customer belongs to it. What other services than its owner, ingest, know of it."""

from typing import Literal

from schemas.base import EventModel, OpenEnum
from schemas.storable import Count, IdText, StoredText, Version

DeliveryMode = Literal["public", "signed"]
"""`public`: whoever knows the address of a file gets it. `signed`: only with a valid signature in the address."""


class Project(EventModel):
    """`version` grows with each change: of two snapshots, the one with the higher version is current.

    `strip`: tags of place and device are removed from files of media items before they are stored.
    `rate_limit` and `key_rate_limit` are requests a minute of the project and of each of its keys, those that read and
    those that change something counted apart; 0 is no limit. `max_unfinished_jobs` and `max_unfinished_imports` bound
    its queue, `retain_jobs_s` is how many seconds its ended jobs are kept. None: as the installation's settings say.
    A delivery mode of a newer release (`unknown`) counts as `signed`: files are never shown by mistake.
    """

    id: IdText
    name: StoredText
    delivery: OpenEnum[DeliveryMode] = "public"
    strip: bool = False
    rate_limit: Count | None = None
    key_rate_limit: Count | None = None
    max_unfinished_jobs: Count | None = None
    max_unfinished_imports: Count | None = None
    retain_jobs_s: Count | None = None
    version: Version = 1

    @property
    def signed(self) -> bool:
        return self.delivery != "public"
