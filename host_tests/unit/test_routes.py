"""Routes: the functions of all filters that match are called, in the order of adding, however many there are."""

from fakes.check import equal, raises
from umqtt.routes import Routes


def called(filters, topic, default=False):
    """The filters whose functions are called for `topic`, "default" for that of none."""
    calls = []

    def note(filter):
        def callback(got_topic, msg, retained):
            equal((got_topic, msg, retained), (topic, b"m", True))
            calls.append(filter)

        return callback

    routes = Routes(note("default") if default else None)
    for filter in filters:
        routes.add(filter, note(filter))
    routes(topic, b"m", True)
    return calls


def matches(filter, topic):
    return called([filter], topic) == [filter]


def by_the_book(filter, topic):
    """Section 4.7 read aloud: the oracle of the random filters."""
    filter_levels, levels = filter.split("/"), topic.split("/")
    if topic[0] == "$" and filter_levels[0] in ("+", "#"):
        return False
    for i in range(len(filter_levels)):
        if filter_levels[i] == "#":
            return i <= len(levels)
        if i >= len(levels) or filter_levels[i] not in ("+", levels[i]):
            return False
    return len(filter_levels) == len(levels)


def test_the_examples_of_section_4_7():
    for filter, topic, yes in (
        ("sport/tennis/player1/#", b"sport/tennis/player1", True),
        ("sport/tennis/player1/#", b"sport/tennis/player1/ranking", True),
        ("sport/tennis/player1/#", b"sport/tennis/player1/score/wimbledon", True),
        ("sport/tennis/player1/#", b"sport/tennis/player2", False),
        ("sport/#", b"sport", True),
        ("#", b"a/b/c", True),
        ("sport/tennis/+", b"sport/tennis/player1", True),
        ("sport/tennis/+", b"sport/tennis/player1/ranking", False),
        ("sport/+", b"sport", False),
        ("sport/+", b"sport/", True),
        ("+/+", b"/finance", True),
        ("/+", b"/finance", True),
        ("+", b"/finance", False),
        ("+/#", b"a", True),
        ("a/+/c", b"a/b/c", True),
        ("a/+/c", b"a/b/d", False),
        ("a//c", b"a//c", True),
        ("a/+/c", b"a//c", True),
    ):
        equal((filter, topic, matches(filter, topic)), (filter, topic, yes))


def test_a_wildcard_in_front_matches_no_topic_that_begins_with_a_dollar():
    for filter in ("#", "+/monitor", "+/#", "+"):
        equal(matches(filter, b"$SYS/monitor"), False)
    equal(matches("+", b"$SYS"), False)
    for filter in ("$SYS/#", "$SYS/+", "$SYS/monitor"):
        equal(matches(filter, b"$SYS/monitor"), True)


def test_every_match_is_called_in_the_order_of_adding():
    filters = ["#", "a/b", "a/+", "+/b", "x", "a/#", "a/b/#", "a/b", "+/+"]
    equal(called(filters, b"a/b"), [filter for filter in filters if filter != "x"])


def test_the_default_is_called_for_what_nothing_matches_and_for_nothing_else():
    equal(called(["a/+"], b"b", True), ["default"])
    equal(called(["a/+"], b"a/b", True), ["a/+"])
    equal(called(["a/b"], b"a/b", True), ["a/b"])
    equal(called(["a/+"], b"b"), [])


def test_a_function_that_adds_a_route_is_heard_from_the_next_message_on():
    routes = Routes()
    calls = []

    def more(topic, msg, retained):
        calls.append("more")
        routes.add("a", lambda *_: calls.append("added"))

    routes.add("a", more)
    routes(b"a", b"", False)
    equal(calls, ["more"])
    routes(b"a", b"", False)
    equal(calls, ["more", "more", "added"])


def test_a_topic_that_holds_wildcards_finds_no_filter_by_them():
    # a broker must not send one, but what it sends must not be taken for a key of ours
    equal(called(["a/+/c", "a/#"], b"a/+/x"), ["a/#"])
    equal(called(["+", "x/y"], b"#"), ["+"])


def test_a_wrong_filter_is_refused_and_nothing_is_added():
    calls = []
    routes = Routes(lambda *_: calls.append("default"))
    for filter in ("", "a#", "a/#/b", "a+/b", 5, b"\xff"):
        raises(ValueError, routes.add, filter, lambda *_: calls.append("refused"))
    routes(b"a", b"", False)
    routes(b"a/b", b"", False)
    equal(calls, ["default", "default"])


def test_filters_and_topics_at_random_agree_with_the_specification():
    seed = 7

    def any(count):
        nonlocal seed
        seed = (seed * 1103515245 + 12345) & 0x3FFFFFFF
        return (seed >> 8) % count

    def levels(words):
        return "/".join([words[any(len(words))] for _ in range(1 + any(4))])

    for _ in range(40):
        filters = [levels(("a", "b", "+", "", "$x")) + ("/#" if any(4) == 0 else "") for _ in range(12)]
        filters = [filter for filter in filters if filter]
        for _ in range(15):
            topic = levels(("a", "b", "c", "", "$x"))
            if topic:
                want = [filter for filter in filters if by_the_book(filter, topic)]
                equal((topic, called(filters, topic.encode())), (topic, want))
