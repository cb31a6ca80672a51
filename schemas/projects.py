"""A project: everything of one customer belongs to it. What other services than its owner, ingest, know of it."""

from typing import Literal

from schemas.base import EventModel, OpenEnum
from schemas.storable import IdText, StoredText, Version

DeliveryMode = Literal["public", "signed"]
"""`public`: whoever knows the address of a file gets it. `signed`: only with a valid signature in the address."""


class Project(EventModel):
    """`version` grows with each change: of two snapshots, the one with the higher version is current.

    `strip`: tags of place and device are removed from files of media items before they are stored.
    A delivery mode of a newer release (`unknown`) counts as `signed`: files are never shown by mistake.
    """

    id: IdText
    name: StoredText
    delivery: OpenEnum[DeliveryMode] = "public"
    strip: bool = False
    version: Version = 1

    @property
    def signed(self) -> bool:
        return self.delivery != "public"
