"""The only way out: every request to an address that a customer named goes through the guard in this room.

It decides which addresses may be dialled and fetches files. It may open connections to them; it knows no service.
"""
