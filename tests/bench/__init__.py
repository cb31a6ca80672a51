"""Figures, as ratios measured in one run: `make bench` prints the table and writes README.md beside this file."""
