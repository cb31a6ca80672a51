"""What more than one service, and the shell, knows about media files: probing, geometry, colour, the ffmpeg child.

May use chassis and schemas. `inside` alone runs in the sandbox and is never called directly. `source` and `worker`
are what the two workers share around one job; nothing else here knows of jobs, storage or the ledger.
"""
