"""Checks what came of the accepted work, once the load has drained.

It uses plain clients of HTTP, Kafka and Postgres, ffmpeg, and none of the product's code, so that an error of the
product cannot be in it as well: `test_auditor.py` holds it to that.
"""
