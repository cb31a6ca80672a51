"""What can go wrong here that is an exception. A receiver that fails is none: it is an `Answer`.

ValueError
  BadSecret
"""


class BadSecret(ValueError):
    """The webhook secret is empty, or starts with whsec_ and is not base64 of 24 to 64 bytes."""
