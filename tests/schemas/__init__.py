"""Models and pure functions of what crosses a process boundary."""
