"""What more than one service, and the shell, knows about media files: probing, geometry, colour, the ffmpeg child.

May use chassis and schemas. `inside` alone runs in the sandbox and is never called directly. What the two workers
share around their jobs is here as well, from `intake` to `bench`; `station` puts it together, and is the only module
of this floor that opens Kafka and Postgres.
"""
