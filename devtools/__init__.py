"""Tools for developers, in no service image and no wheel: published contracts, demo, sample footage, baseline."""
