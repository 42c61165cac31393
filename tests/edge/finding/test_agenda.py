"""When to search next, in virtual time."""

from edge.finding.agenda import APPROVAL, CAP, CAP_DOWN, WIDE_CAP, WIDE_CAP_UP, Agenda


def latest():
    """Chance that always takes the longest wait."""
    return Agenda(lambda: 1.0)


def vain(agenda, now, **changes):
    agenda.vain(now, **{"link_up": False, "link_down": False, "was_wide": False, **changes})


def waits(agenda, times=12, **changes):
    """How long after each of so many vain searches the next one is due."""
    found, now = [], 0.0
    for _ in range(times):
        vain(agenda, now, **changes)
        begin = now
        while not agenda.is_due(now):
            now += 0.5
        found.append(now - begin)
    return found


def test_everything_is_due_at_the_beginning():
    agenda = latest()
    assert agenda.is_due(0.0)
    assert agenda.is_wide(0.0)


def test_vain_searches_become_rare_up_to_a_minute():
    assert waits(latest())[0] <= 1.0
    assert max(waits(latest())) == CAP


def test_while_the_link_is_down_they_stay_frequent():
    assert max(waits(latest(), link_down=True)) == CAP_DOWN


def test_a_fleet_does_not_search_in_step():
    assert waits(Agenda(lambda: 0.1)) != waits(Agenda(lambda: 0.9))


def test_nobody_searches_without_a_pause():
    assert min(waits(Agenda(lambda: 0.0))) >= 0.5


def wide_wait(agenda, **changes):
    for _ in range(20):
        vain(agenda, 0.0, was_wide=True, **changes)
    now = 0.0
    while not agenda.is_wide(now):
        now += 0.5
    return now


def test_the_network_is_asked_less_often_and_hardly_where_the_link_works():
    assert wide_wait(latest()) == WIDE_CAP
    assert wide_wait(latest(), link_up=True) == WIDE_CAP_UP


def test_a_search_that_did_not_ask_the_network_does_not_put_that_off():
    agenda = latest()
    vain(agenda, 0.0, was_wide=False)
    assert agenda.is_wide(0.0)


def test_a_change_makes_everything_due():
    agenda = latest()
    for _ in range(5):
        vain(agenda, 0.0, was_wide=True)
    agenda.hurry()
    assert agenda.is_due(0.0)
    assert agenda.is_wide(0.0)


def test_a_server_that_was_found_ends_the_search():
    agenda = latest()
    agenda.found(0.0, again=False, in_trouble=False)
    assert not agenda.is_due(1e9)


def test_a_configured_server_that_was_away_is_looked_at_again():
    agenda = latest()
    agenda.found(0.0, again=True, in_trouble=False)
    assert not agenda.is_due(40.0)
    assert agenda.is_due(80.0)


def test_trouble_makes_a_search_due_at_once_and_then_now_and_then():
    agenda = latest()
    agenda.found(0.0, again=False, in_trouble=False)
    agenda.note_trouble(True)
    assert agenda.is_due(0.0)

    for _ in range(10):
        agenda.found(100.0, again=False, in_trouble=True)
        agenda.note_trouble(True)
    assert not agenda.is_due(100.0)
    assert agenda.is_due(100.0 + CAP_DOWN)


def test_trouble_that_ends_ends_the_search():
    agenda = latest()
    agenda.note_trouble(True)
    agenda.found(0.0, again=False, in_trouble=True)
    agenda.note_trouble(False)
    assert not agenda.is_due(1e9)


def test_an_operator_is_given_a_quarter_of_a_minute():
    agenda = latest()
    agenda.waiting(0.0)
    assert not agenda.is_due(APPROVAL * 0.7)
    assert agenda.is_due(APPROVAL * 1.3)


def test_a_server_that_gives_nothing_is_asked_less_and_less():
    agenda = latest()
    for _ in range(10):
        agenda.failed(0.0)
    assert not agenda.is_due(CAP - 1)
    assert agenda.is_due(CAP)
