"""Forward-only migrations of the schema `notifier`; the ledger's and the outbox's tables come from their own."""
