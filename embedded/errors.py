"""Errors of the embedded servers. Each message is a sentence that can be shown to the user.

EmbeddedServerError
└── FolderInUse
"""


class EmbeddedServerError(Exception):
    """A server could not be downloaded, started or kept running."""


class FolderInUse(EmbeddedServerError):
    """Another process uses this data folder."""
