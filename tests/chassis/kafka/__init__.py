"""Tests of `chassis.kafka`, on a real broker where one is spoken to."""
