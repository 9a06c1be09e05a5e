"""When `make cluster` says that a client goes on, and which faults it does in which order."""

from types import SimpleNamespace

from tools.prove import cluster
from tools.prove.cluster import Client, RabbitCluster, Story, plan


def client(ups=(), progress=()):
    return SimpleNamespace(ups=list(ups), progress=list(progress))


STORY = Story(None, client(), client())


def test_each_fault_comes_to_the_publishers_node_then_to_the_subscribers():
    assert plan(RabbitCluster.faults, 6) == [
        ("kill", "pub"), ("stop", "pub"), ("cut off", "pub"), ("kill", "sub"), ("stop", "sub"), ("cut off", "sub"),
    ]  # fmt: skip


def test_a_client_that_was_hit_goes_on_when_its_new_link_carries_something():
    assert STORY.recovered(client(progress=[9.9, 10.2]), 10.0, "kill", True) is None  # under way when it happened
    assert STORY.recovered(client(ups=[9.0], progress=[10.2]), 10.0, "kill", True) is None  # its old link
    assert STORY.recovered(client(ups=[11.0], progress=[10.2, 11.5]), 10.0, "kill", True) == 1.5


def test_a_client_that_was_not_hit_goes_on_with_its_next_message():
    assert STORY.recovered(client(ups=[1.0], progress=[9.9, 10.3]), 10.0, "kill", False) == 10.3 - 10.0


def test_of_a_node_that_was_cut_off_the_first_answers_are_no_progress():
    assert STORY.recovered(client(progress=[10.5]), 10.0, "cut off", True) is None
    assert STORY.recovered(client(progress=[10.5, 14.0]), 10.0, "cut off", True) == 4.0
    assert STORY.recovered(client(ups=[10.4], progress=[10.5]), 10.0, "cut off", True) == 0.5


def test_a_client_that_stays_at_a_spare_when_all_is_well_is_wrong(monkeypatch):
    monkeypatch.setattr(cluster, "BACK_S", 0)
    monkeypatch.setattr(cluster, "CALM_S", 0)

    def at(role, port):
        said = Client.__new__(Client)
        said.role, said.ports, said.at = role, [1883, 1884], port
        return said

    story = Story(None, at("pub", 1883), at("sub", 1884))
    story.way_back()
    assert story.wrong == ["the sub is not back at the first node of its list after 0 s"]
