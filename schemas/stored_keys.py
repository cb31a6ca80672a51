"""Keys of objects in storage: `<project>/<folder>/<owner>/<file>-<attempt>.<extension>`.

The owner is the job, the media item or the upload that the object was stored for; the folder says which. An output that
a media item took over keeps the key that it has from its job.
"""

from dataclasses import dataclass
from typing import Literal, cast

from schemas.ids import Prefix, is_id

Folder = Literal["jobs", "media", "uploads"]
FOLDERS: dict[Folder, str] = {
    "jobs": "outputs of jobs: as long as the job (RETAIN_JOBS), or as long as the media item that has taken them over",
    "media": "originals of media items: as long as the item",
    "uploads": "uploaded files: RETAIN_UPLOADS, and as long as an unfinished job or import uses them",
}
"""Every folder below that of a project, and how long its objects are kept."""


@dataclass(frozen=True)
class StoredKey:
    """A key and what it says."""

    key: str
    project: str
    folder: Folder
    owner: str


def parse_key(key: str) -> StoredKey | None:
    """The parts of a key; None if it is not of this form: then the object is not one of ours (pure)."""
    parts = key.split("/")
    if len(parts) != 4 or parts[1] not in FOLDERS or not is_id(parts[0], "prj"):
        return None
    project, folder, owner, file = parts
    owners: dict[str, tuple[Prefix, ...]] = {"jobs": ("job", "task"), "media": ("med",), "uploads": ("upl",)}
    named = is_id(owner, *owners[folder])
    if not named or not file.startswith("file_"):
        return None
    return StoredKey(key, project, cast(Folder, folder), owner)
