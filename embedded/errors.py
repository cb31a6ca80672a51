"""Errors of the embedded servers. Each message is a sentence that can be shown to the user.

EmbeddedServerError
├── FolderInUse
└── DiskFull
"""


class EmbeddedServerError(Exception):
    """A server could not be downloaded, started or kept running."""


class FolderInUse(EmbeddedServerError):
    """Another process uses this data folder."""


class DiskFull(EmbeddedServerError):
    """A server ended, or could not be started, because the disk of its data folder has no space left."""
