"""ACLs from the table of topics."""

from schemas.acls import OPERATOR, PRODUCER, acls_of, commands, roles
from schemas.topics import SERVICES, TOPICS

WITHOUT_OPERATORS = [role for role in roles() if role != OPERATOR]


def granted(role: str) -> set[tuple[str, str, str]]:
    return {(acl.resource, acl.name, operation) for acl in acls_of(role) for operation in acl.operations}


def test_only_the_writers_of_a_topic_may_write_to_it() -> None:
    for topic in TOPICS:
        writers = {role for role in WITHOUT_OPERATORS if ("topic", topic.name, "Write") in granted(role)}
        assert writers == {*topic.writers, *([PRODUCER] if topic.submitted else [])}


def test_only_the_readers_of_a_topic_may_read_it_and_write_its_dead_letters() -> None:
    for topic in TOPICS:
        readers = {role for role in WITHOUT_OPERATORS if ("topic", topic.name, "Read") in granted(role)}
        assert readers == set(topic.readers)
        assert readers == {role for role in WITHOUT_OPERATORS if ("topic", topic.dead_letter, "Write") in granted(role)}


def test_a_service_joins_only_groups_of_its_own() -> None:
    for service in SERVICES:
        joined = {name for kind, name, operation in granted(service) if kind == "group" and operation == "Read"}
        assert joined and all(name.startswith(f"bitmill.{service}.") for name in joined)


def test_a_producer_outside_can_submit_and_nothing_else() -> None:
    topics = ("job.submitted", "media.submitted", "job.control")
    assert {(name, operation) for _, name, operation in granted(PRODUCER)} == {
        (topic, operation) for topic in topics for operation in ("Describe", "Write")
    }


def test_an_operator_works_on_dead_letters_and_sends_their_records_to_their_topics_again() -> None:
    rights = granted(OPERATOR)
    for topic in TOPICS:
        on_dead_letters = {operation for _, name, operation in rights if name == topic.dead_letter}
        assert on_dead_letters == {"Delete", "Describe", "Read", "Write"}
        on_topic = {operation for _, name, operation in rights if name == topic.name}
        assert on_topic == {"Describe", "Read"} | (set() if topic.lossy else {"Write"})
    assert {kind for kind, _, _ in rights} == {"topic"}


def test_the_commands_grant_what_the_table_says() -> None:
    for role in roles():
        found = set()
        for arguments in commands(role, "User:x"):
            assert arguments[:3] == ["--add", "--allow-principal", "User:x"]
            pairs = list(zip(arguments[3::2], arguments[4::2], strict=True))
            operations = [value for name, value in pairs if name == "--operation"]
            found |= {
                (name.removeprefix("--"), value, operation)
                for name, value in pairs
                if name != "--operation"
                for operation in operations
            }
        assert found == granted(role)
