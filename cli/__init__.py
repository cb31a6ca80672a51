"""The command line program, installed as `bitmill` and as `ittybit`.

`up` runs the whole system on one machine, `serve` one service, `gateway` a proxy before the services. `keys` creates,
lists and revokes API keys. `video` and `image` do one job: through the API, or in this process with the workers' code.
"""
