"""From keys to codes: recordings of scanners, every layout, and streams that no scanner would send."""

from __future__ import annotations

import math

import pytest
from evdev import ecodes
from hypothesis import given
from hypothesis import strategies as st

from edge.scanner import keys
from edge.scanner.decoder import Decoder
from edge.scanner.layouts import LAYOUTS, make_layout
from edge.scanner.tally import Tally
from edge.scans import LONGEST_CODE, check_code
from tests.edge.scanner.recording import EV_KEY, EV_SYN, STREAMS, Recording, Typist

PAUSE = 0.25


def decoder(layout="us", *, end_keys=("enter", "tab"), pause=PAUSE):
    tally = Tally()
    return Decoder(make_layout(layout), end_keys=end_keys, pause=pause, tally=tally), tally


def read(subject, events):
    return [code for event in events for code in subject.feed(*event)]


def press(*names, at=0.0):
    """Keys one after the other; `ctrl+m` holds the first."""
    typist = Typist(make_layout("us"), start=at)
    events = []
    for name in names:
        *modifiers, key = name.split("+")
        events += typist.tap(keys.KEYS[key], *modifiers)
    return events


@pytest.mark.parametrize("name", sorted(path.stem for path in STREAMS.glob("*.evemu")))
def test_a_recording_gives_the_codes_that_were_scanned(name):
    recording = Recording(name)
    subject, tally = decoder(name[-2:] if name[-2:] in LAYOUTS else "us")

    assert read(subject, recording.events) + subject.flush() == recording.expects
    assert tally == Tally()


def test_every_key_has_the_number_that_linux_gives_it():
    assert {name: getattr(ecodes, f"KEY_{name.upper()}") for name in keys.KEYS} == keys.KEYS
    assert (keys.EV_KEY, keys.EV_SYN, keys.SYN_DROPPED) == (ecodes.EV_KEY, ecodes.EV_SYN, ecodes.SYN_DROPPED)


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_a_layout_types_all_of_ascii_that_its_keyboard_has(layout):
    missing = {"it": "`~"}.get(layout, "")  # an Italian keyboard types neither

    typed = Typist(make_layout(layout)).characters

    assert {chr(code) for code in range(32, 127)} - set(typed) == set(missing)


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@given(data=st.data())
def test_a_typed_code_always_comes_out(layout, data):
    typist = Typist(make_layout(layout))
    alphabet = st.sampled_from([*typist.characters, "\x1d"])
    codes = data.draw(st.lists(st.text(alphabet, min_size=1, max_size=30), max_size=4))
    subject, tally = decoder(layout)

    assert read(subject, [event for code in codes for event in typist.type(code)]) == codes
    assert tally == Tally()


_CODES = st.sampled_from(sorted(keys.KEYS.values())) | st.integers(0, 0x2FF)
_EVENTS = st.tuples(st.sampled_from([EV_KEY, EV_KEY, EV_SYN, 4]), _CODES, st.integers(-1, 3), st.floats(0, 10))


@given(st.lists(_EVENTS, max_size=200), st.sampled_from(sorted(LAYOUTS)), st.sampled_from([0.0, PAUSE]))
def test_no_stream_of_events_makes_it_fail_and_every_code_can_be_a_scan(events, layout, pause):
    subject, _ = decoder(layout, pause=pause, end_keys=("enter",))

    for code in read(subject, events) + subject.flush():
        check_code(code)

    assert not subject.pending


@given(st.lists(_EVENTS, max_size=50))
def test_after_any_noise_and_a_pause_the_next_code_comes_out(noise):
    subject, _ = decoder()
    read(subject, noise)
    held = [(EV_KEY, code, keys.UP, 20.0) for code in keys.MODIFIERS]
    caps = sum(kind == EV_KEY and code == keys.CAPS_LOCK and value == keys.DOWN for kind, code, value, _ in noise)

    read(subject, held)
    subject.flush()

    assert read(subject, Typist(make_layout("us")).type("42-%")) == ["42-%"], caps


def test_a_pause_ends_a_code_even_if_nobody_looked_in_between():
    subject, _ = decoder()

    assert read(subject, press("1", "2") + press("3", "enter", at=5.0)) == ["12", "3"]


def test_a_pause_of_zero_ends_nothing():
    subject, _ = decoder(pause=0.0)

    assert read(subject, press("1", "2") + press("3", "enter", at=500.0)) == ["123"]


def test_enter_alone_is_no_code():
    subject, _ = decoder()

    assert read(subject, press("enter", "kpenter", "tab")) + subject.flush() == []


def test_a_tab_that_ends_nothing_is_part_of_the_code():
    subject, _ = decoder(end_keys=("enter",))

    assert read(subject, press("a", "tab", "b", "enter")) == ["a\tb"]


def test_control_with_a_letter_is_the_control_character():
    subject, tally = decoder()

    assert read(subject, press("a", "leftctrl+m", "b", "leftctrl+j", "c", "leftctrl+i")) == ["a", "b", "c"]
    assert read(subject, press("a", "leftctrl+d", "enter")) == ["a\x04"]
    assert read(subject, press("a", "leftctrl+g", "enter")) == ["a"]
    assert tally.unmapped == 1


def test_the_separators_of_iso_15434_are_control_characters_too():
    subject, _ = decoder()
    typist = Typist(make_layout("us"), start=0.0)

    record_separator = typist.tap(keys.KEYS["6"], "leftctrl", "leftshift")

    assert read(subject, [*press("a"), *record_separator, *press("leftctrl+rightbrace", "enter", at=typist.at)]) == [
        "a\x1e\x1d"
    ]


@pytest.mark.parametrize(
    ("digits", "character"),
    [("65", "A"), ("0065", "A"), ("0029", "\x1d"), ("0228", "ä"), ("132", "ä"), ("8364", "€"), ("129", "ü")],
)
def test_alt_and_the_keypad_type_by_number(digits, character):
    subject, _ = decoder()
    alt = [(EV_KEY, keys.ALT, 1, 0.0)], [(EV_KEY, keys.ALT, 0, 0.0)]
    number = press(*(f"kp{digit}" for digit in digits))

    assert read(subject, [*press("x"), *alt[0], *number, *alt[1], *press("enter")]) == [f"x{character}"]


def test_alt_can_type_the_end_of_a_code():
    subject, _ = decoder()

    events = [*press("7"), (EV_KEY, keys.ALT, 1, 0.0), *press("kp0", "kp1", "kp3"), (EV_KEY, keys.ALT, 0, 0.0)]

    assert read(subject, events) == ["7"]


def test_a_dead_key_changes_a_letter_and_stands_alone_before_a_space_and_at_the_end():
    subject, _ = decoder("de")

    assert read(subject, press("equal", "e", "equal", "space", "grave", "1", "grave", "enter")) == ["é\u00b4^1^"]


def test_a_code_that_is_too_long_is_left_out_as_a_whole_and_counted():
    subject, tally = decoder()

    assert read(subject, press(*["1"] * (LONGEST_CODE + 5), "enter", "2", "enter")) == ["2"]
    assert tally.too_long == 1
    assert read(subject, press(*["1"] * LONGEST_CODE, "enter")) == ["1" * LONGEST_CODE]


def test_a_code_that_lost_events_is_left_out_as_a_whole_and_counted():
    subject, tally = decoder()
    dropped = (EV_SYN, keys.SYN_DROPPED, 0, 0.0)

    assert read(subject, [*press("1", "2"), dropped, dropped, *press("3", "enter", "4", "enter")]) == ["4"]
    assert tally.lost == 1
    assert read(subject, [dropped, *press("5", "enter", "6", "enter")]) == ["6"]  # its beginning may be what was lost


def test_a_shift_that_was_held_when_events_were_lost_is_not_held_for_ever():
    subject, _ = decoder()
    dropped = (EV_SYN, keys.SYN_DROPPED, 0, 0.0)

    read(subject, [(EV_KEY, keys.KEYS["leftshift"], 1, 0.0), dropped, *press("enter")])

    assert read(subject, press("a", "enter")) == ["a"]


def test_half_a_code_of_an_unplugged_scanner_is_no_code():
    subject, tally = decoder()
    read(subject, press("1", "2"))

    subject.discard()

    assert subject.flush() == []
    assert tally.lost == 1


def test_keys_that_mean_nothing_are_counted_and_change_nothing():
    subject, tally = decoder()

    assert read(subject, press("1", "f1", "esc", "2", "leftmeta", "numlock", "enter")) == ["12"]
    assert tally.unmapped == 2


def test_a_layout_can_be_changed_key_by_key():
    layout = make_layout("us", keys={"q": ("a", "A"), "kp1": ("x",), "f9": ("\x1d",)}, gs=("f7",))
    subject = Decoder(layout, end_keys=("enter",), pause=0.0, tally=Tally())

    assert read(subject, press("q", "leftshift+q", "f9", "f7", "f8", "enter")) == ["aA\x1d\x1d"]


def test_a_time_that_is_no_number_is_no_pause():
    subject, _ = decoder()

    assert read(subject, [(EV_KEY, keys.KEYS["1"], 1, math.nan), *press("2", "enter")]) == ["12"]
