"""The command, under two names: `bitmill` and `ittybit`.

It runs the whole system on one machine (`up`), one service of it (`serve`), looks after keys, and does single jobs:
through the API, or here with the workers' own planners and children. The only room that may import every other.
"""
