"""Child processes that touch untrusted bytes: limits, confinement, killing. Knows nothing of media, Kafka or Postgres.

`child` runs one program; `warm` keeps a server with expensive modules loaded and forks one confined child per call.
`launch` and `serve` are scripts that run on the other side; `confine`, `landlock` and `seccomp` are what they apply.
"""
