"""Forward-only migrations of the schema `notifier`; the queue's and the outbox's tables come from their own."""
