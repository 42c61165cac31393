from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from actors.link.ledger import WEIGHT, Ledger, make_token
from actors.messages import Delivery


def delivery(token, payload=b"x", rx_at=0.0, *, dup=False):
    return Delivery("local.data", token, "a/b", payload, 1, False, dup, True, 1, rx_at)


def filled(*mids, epoch=1, limit=10_000):
    ledger = Ledger(limit)
    ledger.void(epoch)
    for mid in mids:
        assert ledger.add(delivery(make_token(epoch, mid), rx_at=float(mid)))
    return ledger


def test_a_settled_delivery_is_acknowledged_once():
    ledger = filled(5, 6)
    assert ledger.settle([make_token(1, 5), make_token(1, 5)]) == [5]
    assert dict(ledger.ignored) == {"unknown": 1}
    assert len(ledger) == 1


def test_a_token_of_an_earlier_connection_means_nothing():
    ledger = filled(5)
    assert ledger.void(2) == 1
    ledger.add(delivery(make_token(2, 5)))
    assert ledger.settle([make_token(1, 5)]) == []
    assert dict(ledger.ignored) == {"earlier_epoch": 1}
    assert make_token(2, 5) in ledger


def test_an_epoch_has_to_grow():
    with pytest.raises(ValueError, match="does not follow"):
        filled().void(1)


def test_a_delivery_sent_twice_on_one_connection_counts_once():
    ledger = filled(5)
    assert ledger.add(delivery(make_token(1, 5), dup=True)) is None
    assert ledger.bytes == 1 + WEIGHT


def test_a_packet_id_that_is_reused_too_early_is_a_message_of_its_own():
    ledger = filled(5)
    other = ledger.add(delivery(make_token(1, 5), b"other"))
    third = ledger.add(delivery(make_token(1, 5), b"third", dup=True))
    assert [item.payload for item in ledger.unresolved()] == [b"x", b"other", b"third"]
    assert len({make_token(1, 5), other.token, third.token}) == 3
    assert {other.token & 0xFFFF, third.token & 0xFFFF} == {5}


def test_no_delivery_of_a_shared_packet_id_is_acknowledged_before_all_have_ended():
    ledger = filled(5, 6)
    other = ledger.add(delivery(make_token(1, 5), b"other"))
    assert ledger.settle([other.token, make_token(1, 6)]) == [6]
    assert ledger.settle([make_token(1, 5)]) == [5, 5]
    assert ledger.add(delivery(make_token(1, 5), b"next"))
    assert ledger.settle([make_token(1, 5)]) == [5]


def test_the_ledger_is_full_by_bytes_and_relaxed_below_three_quarters():
    ledger = filled(limit=4 * WEIGHT)
    for mid in range(1, 5):
        ledger.add(delivery(make_token(1, mid), b""))
    assert ledger.full
    ledger.settle([make_token(1, 1)])
    assert not ledger.full
    assert not ledger.relaxed
    ledger.settle([make_token(1, 2)])
    assert ledger.relaxed


def test_what_is_unresolved_is_listed_in_the_order_of_receipt():
    ledger = filled(9, 3, 7)
    ledger.settle([make_token(1, 3)])
    assert [item.token & 0xFFFF for item in ledger.unresolved()] == [9, 7]


def test_an_overdue_delivery_is_reported_once():
    ledger = filled(1, 2, 50)
    assert [item.token & 0xFFFF for item in ledger.overdue(62.0)] == [1, 2]
    assert ledger.overdue(63.0) == []
    assert [item.token & 0xFFFF for item in ledger.overdue(110.0)] == [50]


def test_a_replay_gives_new_time():
    ledger = filled(1)
    ledger.replayed(50.0)
    assert ledger.overdue(61.5) == []
    assert len(ledger.overdue(110.0)) == 1


class LedgerMachine(RuleBasedStateMachine):
    """Whatever happens, each delivery ends exactly once: settled or void."""

    tokens = Bundle("tokens")

    def __init__(self):
        super().__init__()
        self.ledger = Ledger(1_000)
        self.epoch = 1
        self.ledger.void(1)
        self.open: dict[int, int] = {}
        self.ended: list[int] = []
        self.added: list[int] = []
        self.acked: list[int] = []
        self.settled: list[int] = []

    @rule(target=tokens, mid=st.integers(1, 20), size=st.integers(0, 50))
    def receive(self, mid, size):
        token = make_token(self.epoch, mid)
        known = self.open.get(token)
        entered = self.ledger.add(delivery(token, b"x" * size, dup=True))
        if known == size:
            assert entered is None or entered.token != token
        if entered is None:
            return token
        self.added.append(entered.token)
        self.open[entered.token] = size
        return entered.token

    @rule(tokens=st.lists(tokens, max_size=5))
    def settle(self, tokens):
        expected = [token for token in dict.fromkeys(tokens) if token in self.open]
        self.acked += self.ledger.settle(tokens)
        for token in expected:
            del self.open[token]
            self.ended.append(token)
            self.settled.append(token & 0xFFFF)
        # An acknowledgement for each delivery that has ended, but for ids that another unresolved one shares.
        shared = {token & 0xFFFF for token in self.open}
        assert sorted(mid for mid in self.acked if mid not in shared) == sorted(
            mid for mid in self.settled if mid not in shared
        )

    @rule()
    def reconnect(self):
        self.epoch += 1
        assert self.ledger.void(self.epoch) == len(self.open)
        self.ended += self.open
        self.open.clear()
        self.acked.clear()
        self.settled.clear()

    @invariant()
    def each_ends_once_and_the_bytes_add_up(self):
        assert sorted(self.added) == sorted([*self.ended, *self.open])
        assert [item.token for item in self.ledger.unresolved()] == list(self.open)
        assert self.ledger.bytes == sum(size + WEIGHT for size in self.open.values())


TestLedgerMachine = LedgerMachine.TestCase


@given(st.lists(st.integers(1, 65535), unique=True, max_size=50))
def test_everything_settled_leaves_nothing(mids):
    ledger = filled(*mids)
    assert ledger.settle([make_token(1, mid) for mid in mids]) == mids
    assert (len(ledger), ledger.bytes) == (0, 0)
