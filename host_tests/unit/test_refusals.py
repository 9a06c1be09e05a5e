"""The words for the reason codes of MQTT 5."""

import fakes.shim  # noqa: F401
from fakes.check import equal

SOURCE_FORM_ONLY = "shipped, there are other names"

# [5.0: 2.4]: all from 0x80 to 0xA2, and 0x04 of a DISCONNECT.
OF_THE_STANDARD = {0x04} | set(range(0x80, 0xA3))


def test_each_refusal_of_the_standard_has_words_of_its_own_and_no_other_number_has():
    words = {}
    for code in range(256):
        from umqtt import refusals  # it goes with each use

        fault = refusals.fault(code)
        equal(fault.args[0], code)
        if fault.args[1] != "reason code 0x%02x" % code:
            words[code] = fault.args[1]
    equal(sorted(words), sorted(OF_THE_STANDARD))
    equal(len(set(words.values())), len(words))
    for code, part in (
        (0x80, "unspecified"), (0x83, "own rules"), (0x87, "not authorised"), (0x8A, "banned"), (0x8E, "taken over"),
        (0x90, "topic name"), (0x94, "alias"), (0x97, "quota"), (0x9C, "another server"), (0xA2, "wildcard"),
    ):  # fmt: skip
        assert part in words[code], (code, words[code])


def test_a_refusal_tells_what_it_is_about_and_what_the_broker_says_of_it():
    from umqtt import refusals

    found = {31: "out of tea", 28: "other:1883", 38: "no reason"}
    equal(refusals.fault(0x9C, "t", found).args, (0x9C, "t: use another server: out of tea: other:1883"))
