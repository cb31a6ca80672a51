"""The catalog: what it reads, keeps and answers."""
