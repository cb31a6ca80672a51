"""What is logged about topics that one broker can lose; that new topics have the cluster's replication."""

from chassis.adapters.kafka.durability import TopicDurability, at_risk


def test_one_replica_is_a_risk_where_there_are_several_brokers() -> None:
    topics = [TopicDurability("single", 1, 1), TopicDurability("three", 3, 2)]
    assert at_risk(3, topics) == (["single"], [])
    assert at_risk(1, topics) == ([], []), "one broker cannot hold more"


def test_replicas_that_need_not_acknowledge_are_a_risk() -> None:
    topics = [TopicDurability("alone", 3, 1), TopicDurability("safe", 3, 2), TopicDurability("not known", 3)]
    assert at_risk(3, topics) == ([], ["alone"])
