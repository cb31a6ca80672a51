"""Work that must not be lost: rows claimed by lease, fair between projects, every write fenced by (worker, attempt).

The room knows the tables `ledger` and `ledger_cancel` in the schema of whoever uses it, and the outbox. What the work
is, only the functions know that a service gives to the `Runner`.
"""

from chassis.ledger.item import Counts, Done, FinalState, Item, Later, LeaseLost, Outcome
from chassis.ledger.ledger import Ledger
from chassis.ledger.runner import Runner

__all__ = ["Counts", "Done", "FinalState", "Item", "Later", "LeaseLost", "Ledger", "Outcome", "Runner"]
