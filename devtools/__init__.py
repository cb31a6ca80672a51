"""What developers and the demonstration use and no service image holds: published contracts, demo, sample footage."""
