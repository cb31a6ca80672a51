"""What can go wrong with the servers of one machine; each message is a sentence that can be shown as it is.

EmbeddedServerError
└── FolderInUse
"""


class EmbeddedServerError(Exception):
    """A server of this machine could not be had, started or kept running."""


class FolderInUse(EmbeddedServerError):
    """Another process runs on this data folder."""
