"""Borders: models and pure functions."""
