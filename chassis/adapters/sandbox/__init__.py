"""Sandboxed child processes for untrusted bytes: limits, confinement, killing. Independent of media.

`child` runs one program; `fork_server` keeps expensive modules loaded and forks one confined child per call, which
`fork_call` talks to.
`exec_wrapper` and `fork_server_main` are the scripts that run in the child processes; `confine`, `capabilities`,
`landlock` and `seccomp` are what they apply. `watchdog` and `usage` decide when a running child is killed. `self_test`
tries at start whether all that holds. The children import this package, so that it must import nothing itself.
"""
