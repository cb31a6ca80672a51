"""Egress: every request to an address that a customer named goes through the `EgressPolicy` of this package.

It decides which addresses may be contacted, gives HTTP sessions that contact no others, and fetches files.
"""
