"""API keys: how they look, how they are recognised, how they are stored.

Pure text and hashing. Where keys are kept, and who may make one, is the business of the services.
"""
