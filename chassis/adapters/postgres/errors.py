"""What can go wrong before a query is even asked.

PostgresError
├── PostgresUnavailable
└── MigrationFailed
"""


class PostgresError(Exception):
    """Something about the database stops the start; the message is a sentence for whoever runs the service."""


class PostgresUnavailable(PostgresError):
    """Postgres did not answer in the time allowed."""


class MigrationFailed(PostgresError):
    """A migration was refused by Postgres; nothing of it was kept."""
