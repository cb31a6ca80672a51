"""`make demo`: "Darkroom", a platform whose users upload clips and photographs, on a bitmill of its own.

Everything in it is real: the servers, the footage, the webhooks. It leaves nothing running.
"""
