"""The five services. They never import one another and never read one another's tables: they talk over Kafka."""
