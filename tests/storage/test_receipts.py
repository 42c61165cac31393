"""Readings that their identity cannot recognise: by a key of the sender's own."""

from __future__ import annotations

from actors.storage.receipts import needs_receipt
from tests.storage.build import NOON, analysed, device, digest, reading, station

HOUR = 3_600_000_000


def posted(serial="A1", at=0, key="k-1", **fields):
    """A reading over HTTP; by default without a timestamp."""
    return reading(
        serial, at, idempotency_key=key, **({"source": "http", "stamped": True, "rx_us": NOON + at} | fields)
    )


def identified(serial="A1", at=0, sender_id="m-1", **fields):
    """A message with an id and no timestamp; its digest is that of the id."""
    told = {"stamped": True, "sender_id": sender_id, "digest": digest(sender_id), "rx_us": NOON + at}
    return reading(serial, at, **(told | fields))


def test_known_readings_are_told_beside_the_new_ones(store):
    first, second = reading(), reading(at=1)
    store.commit([device(), first])
    result = store.commit([first, second, second])
    assert (result.new, result.known) == ([second], [first, second])
    assert result.duplicates == 2


def test_a_request_that_comes_again_with_its_key_is_known(make_store, look):
    first, again = posted(), posted(at=5)
    assert make_store().commit([device(), first]).new == [first]
    result = make_store().commit([again])
    assert (result.new, result.known) == ([], [again])
    assert look.column("SELECT ts_us FROM reading") == [NOON]


def test_a_request_that_comes_twice_in_one_batch_is_stored_once(store, look):
    result = store.commit([device(), posted(), posted(at=1), posted(at=2)])
    assert (len(result.new), len(result.known)) == (1, 2)
    assert look.column("SELECT COUNT(*) FROM reading") == [1]


def test_a_key_holds_even_if_the_sender_has_made_a_new_timestamp(store):
    store.commit([device(), posted(stamped=False)])
    assert store.commit([posted(at=60_000_000, stamped=False)]).duplicates == 1


def test_another_key_another_device_or_another_body_is_another_reading(store):
    store.commit([device("A1"), device("B2"), posted()])
    others = [posted(at=1, key="k-2"), posted("B2", at=2), posted(at=3, body='{"t":2}'), reading(at=4, stamped=True)]
    assert store.commit(others).new == others


def test_a_message_with_an_id_and_no_timestamp_is_known_however_it_comes_again(store):
    first = identified(link="a.data", token=77)
    store.commit([device(), first])
    result = store.commit(
        [
            identified(at=1, link="a.data", token=78, dup=True),  # another packet id
            identified(at=2, link="b.data", token=5),  # another link, and no redelivery
            identified(at=3, source="http"),
        ]
    )
    assert (len(result.new), len(result.known)) == (0, 3)
    assert result.settled == {"a.data": [78], "b.data": [5]}


def test_the_same_id_of_another_device_or_channel_is_another_message(store):
    store.commit([device("A1"), device("B2"), identified()])
    assert len(store.commit([identified("B2"), identified(at=1, channel="output", digest=digest("o"))]).new) == 2


def test_an_id_with_a_timestamp_needs_no_receipt(store, look):
    plain = reading(sender_id="m-1", digest=digest("m-1"))
    assert not needs_receipt(plain)
    store.commit([device(), plain, plain])
    assert look.column("SELECT COUNT(*) FROM receipt") == [0]


def test_a_receipt_is_written_with_its_reading_or_not_at_all(store, look):
    look.refuse("reading", "measures", '{"t":666}')
    result = store.commit([device(), posted(body='{"t":666}'), posted(at=1, key="k-2")])
    assert ([dead.reason for dead in result.dead], len(result.new)) == (["refused_by_database"], 1)
    assert look.column("SELECT COUNT(*) FROM receipt") == [1]


def test_any_text_may_be_a_key(store, look):
    keys = ["", "x" * 500, "\ud800", "a\0b", "grün", "%s ?", "http:", "it's"]
    store.commit([device(), *(posted(at=at, key=key) for at, key in enumerate(keys))])
    result = store.commit([posted(at=at + 100, key=key) for at, key in enumerate(keys)])
    assert (len(result.new), len(result.known)) == (1, len(keys) - 1), "an empty key is none"
    assert {len(link) for link in look.column("SELECT link FROM receipt")} == {len("http:") + 32}


def test_many_keys_in_one_batch_are_all_recognised(store):
    batch = [posted(at=at, key=f"k-{at}") for at in range(1200)]
    assert len(store.commit([device(), *batch]).new) == 1200
    result = store.commit([posted(at=at + HOUR, key=f"k-{at}") for at in range(1200)])
    assert (len(result.new), len(result.known)) == (0, 1200)


def test_the_analysis_is_stored_beside_the_reading(store, look):
    store.commit([station(), analysed(anomalies="[1]"), analysed(at=1, index=None), analysed(at=2, index=0.0)])
    assert look.run("SELECT health_index, status, anomalies FROM reading ORDER BY id") == [
        (81.5, "Excellent", "[1]"),
        (None, None, None),
        (0.0, "Excellent", None),
    ]
    assert look.column("SELECT reading_id FROM analysed ORDER BY reading_id") == [1, 3]
