"""Tests of `chassis.adapters.kafka`, on a real broker where one is spoken to."""
