"""Version 2025-08-20 of the API: what its clients send and read, from and to the shapes of today (pure).

Its source is the published client `ittybit` 1.0.0 for Python, whose models declare the responses.
"""
