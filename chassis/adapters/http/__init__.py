"""The HTTP manners that every service shares: reading bodies, refusing in one voice, health, metrics, access events.

It knows requests and answers, and no business word. It may use `schemas` for fault codes and `chassis.auth` for keys;
routes come from the services' apps.
"""
