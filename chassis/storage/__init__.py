"""Where files are kept: one protocol, on a local disk or in S3.

It knows keys and bytes, and nothing of media or customers. It may touch the folder or the bucket of its URL only.
"""
