"""`make chaos`: the five services, two processes of each, under load while everything fails; then an audit.

    schedule    which fault happens when: a pure function of the seed
    cluster     the processes, the embedded servers and the disk; `replica`, `servers`, `disk`, `network` are its parts
    faults      makes the faults of a schedule happen
    load        customers: their files, requests and webhooks
    auditor/    checks what came of it, with connections of its own and no code of the product
    report      the table
    run         one run from start to end; `python -m tests.chaos` is the command

See docs/reliability.md.
"""
