"""Migrations of the schema `notifier`, forward only. The previous release must work with each of them."""
