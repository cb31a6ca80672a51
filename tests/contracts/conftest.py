"""Fixtures of the contract tests."""

from tests.contracts.node_tools import node_modules

__all__ = ["node_modules"]
