"""`make demo`: an example platform whose users upload videos and photographs, on a bitmill of its own.

Servers, files and webhooks are real. Nothing keeps running afterwards.
"""
