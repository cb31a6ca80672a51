"""Many tiny jobs, with retentions of seconds: memory, file descriptors, tables and stored objects stay bounded.

`make soak` runs 20,000 jobs (`SOAK_JOBS`), the normal run some hundreds. Five services in a process of their own
(`services`), embedded Kafka and Postgres; `harness` posts the jobs and counts by its own means.
"""
