"""What can go wrong with a store.

StorageError
  StorageUnavailable  it cannot be reached, or answers with an error of its own: try again later
  StorageFull         no room: try again when there is
  InvalidKey          the key is not one: a fault in our code
  ObjectMissing       there is no object of that key
"""


class StorageError(Exception):
    """The store could not do what was asked."""


class StorageUnavailable(StorageError):
    """The store cannot be reached just now."""


class StorageFull(StorageError):
    """The store has no room left."""


class InvalidKey(StorageError, ValueError):
    """A key is names of letters, digits and `. _ -`, separated by single slashes."""


class ObjectMissing(StorageError, LookupError):
    """There is no object of this key."""
