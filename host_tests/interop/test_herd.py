"""Ten thousand boards after an outage, by the firmware's own retry policy in virtual time: no herd, everybody back."""

from tools.prove import herd

BOARDS = 2000


def outage(**named):
    return herd.Outage(boards=BOARDS, **named)


def test_the_firmwares_boards_come_spread_and_all_of_them():
    for away_s in (8, 60, 600):
        h = herd.after_an_outage(outage(away_s=away_s), herd.POLICIES["the firmware"])
        assert len(h.back_s) == BOARDS
        assert h.most_in_100_ms < BOARDS * 0.05, away_s
        assert h.failed_after == 0


def test_a_fixed_pause_is_a_herd_and_a_slow_broker_serves_almost_nobody_of_it():
    slow = outage(away_s=60, logins_per_s=50)
    h = herd.after_an_outage(slow, herd.POLICIES["every 5 s"], give_up_s=60)
    assert h.most_in_100_ms == BOARDS
    assert h.failed_after > len(h.back_s)
    assert len(herd.after_an_outage(slow, herd.POLICIES["the firmware"]).back_s) == BOARDS


def test_a_board_that_never_noticed_is_not_away():
    h = herd.after_an_outage(outage(away_s=20, refused=False), herd.POLICIES["the firmware"])
    assert h.back_s.count(0.0) == BOARDS  # keep-alive 60: nobody notices before 30 s


def test_the_same_seed_gives_the_same_herd():
    a, b = (herd.after_an_outage(outage(), herd.POLICIES["the firmware"], seed=7) for _ in range(2))
    assert a == b


def test_acknowledged_readings_spare_pings_and_qos_0_none():
    assert herd.keep_alive_load(1, 60, 30, 1)["pings"] == 0
    assert herd.keep_alive_load(1, 60, 60, 1)["pings"] == 2 / 60
    assert herd.keep_alive_load(1, 60, 30, 0)["pings"] == 2 / 45
