"""What runs a service: outbox and relay, job queue and runner, process life cycle, service app. Top layer."""
