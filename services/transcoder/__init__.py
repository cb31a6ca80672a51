"""The transcoder: video jobs, from the event that asks for one to the event that tells its end.

Writes its own queue and outbox (schema `transcoder`) and outputs in the storage; reads inputs from the storage or
through the egress guard. `encode` is also what the shell calls, without any service.
"""
