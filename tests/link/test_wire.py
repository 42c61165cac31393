"""The PUBLISH parser agrees with paho's, whatever the chunks, and never lets garbage out of the loop."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from actors.link.client import RECEIVE_SIZE, BufferedClient
from actors.link.wire import (
    LONGEST_CORRELATION,
    Halt,
    MalformedPublishError,
    TopicMemory,
    decode_publish,
    join_pubacks,
    read_varint,
    take_publishes,
)

PINGRESP = b"\xd0\x00"


class FakeSocket:
    """A non-blocking socket that has received the given chunks, and after each of them nothing for one call."""

    def __init__(self, chunks, *, closed=False):
        self.chunks = list(chunks)
        self.sent = bytearray()
        self.closed = closed
        self.breathe = False

    def recv(self, size):
        if self.breathe or not self.chunks:
            self.breathe = False
            if not self.chunks and self.closed:
                return b""
            raise BlockingIOError
        data, self.chunks[0] = self.chunks[0][:size], self.chunks[0][size:]
        if not self.chunks[0]:
            self.chunks.pop(0)
            self.breathe = True
        return data

    def send(self, data):
        self.sent += data
        return len(data)

    def fileno(self):
        return -1

    def close(self):
        self.chunks.clear()


def varint(value):
    out = bytearray()
    while True:
        value, byte = value >> 7, value & 127
        out.append(byte | (128 if value else 0))
        if not value:
            return bytes(out)


def publish_packet(topic, payload, qos=0, *, retain=False, dup=False, mid=0, properties=b"", v5=True):
    body = len(topic).to_bytes(2, "big") + topic
    if qos:
        body += mid.to_bytes(2, "big")
    if v5:
        body += varint(len(properties)) + properties
    body += payload
    return bytes([0x30 | dup << 3 | qos << 1 | retain]) + varint(len(body)) + body


def packed(**told):
    """Return properties as they stand in a packet, behind their length."""
    properties = Properties(PacketTypes.PUBLISH)
    for name, value in told.items():
        setattr(properties, name, value)
    raw = bytes(properties.pack())
    return raw[read_varint(raw, 0)[1] :]


TOPICS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="+#\0"), min_size=1, max_size=20).map(
    str.encode
)
PAYLOADS = st.one_of(st.binary(max_size=300), st.just(b"x" * (RECEIVE_SIZE + 7)))


PROPERTIES = {
    "PayloadFormatIndicator": st.integers(0, 1),
    "MessageExpiryInterval": st.integers(0, 2**32 - 1),
    "ContentType": st.just("application/json"),
    "ResponseTopic": st.sampled_from(["a/b", "r" * 200]),
    "CorrelationData": st.binary(max_size=LONGEST_CORRELATION),
    "SubscriptionIdentifier": st.integers(1, 268_435_455),
    "UserProperty": st.lists(st.just(("k", "v" * 50)), min_size=1, max_size=4),
}


@st.composite
def packets(draw, v5):
    if draw(st.integers(0, 5)) == 0:
        return PINGRESP
    qos = draw(st.integers(0, 1))
    told = draw(st.fixed_dictionaries({}, optional=PROPERTIES)) if v5 else {}
    return publish_packet(
        draw(TOPICS),
        draw(PAYLOADS),
        qos,
        retain=draw(st.booleans()),
        dup=draw(st.booleans()) if qos else False,
        mid=draw(st.integers(1, 65535)),
        properties=packed(**told),
        v5=v5,
    )


@st.composite
def chunked_streams(draw):
    v5 = draw(st.booleans())
    stream = b"".join(draw(st.lists(packets(v5), max_size=8)))
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    edges = [0, *cuts, len(stream)]
    return v5, [stream[a:b] for a, b in pairwise(edges) if a < b]


def read_with_paho(v5, chunks):
    protocol = MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311
    client = Client(CallbackAPIVersion.VERSION2, "paho", protocol=protocol, manual_ack=True)
    got = []
    client.on_message = lambda _c, _u, m: got.append(
        (m.topic, bytes(m.payload), m.qos, m.retain, m.dup, m.mid, getattr(m.properties, "CorrelationData", b""))
    )
    client._sock = FakeSocket(chunks)
    while client._sock.chunks:
        client.loop_read()
    client.loop_read()
    return got


def read_with_ours(v5, chunks, **limits):
    client = BufferedClient("ours", v5=v5)
    client._sock = FakeSocket(chunks)
    got = []
    while client._sock.chunks or client.pending():
        client.read(**limits)
        got += client.received
        client.received.clear()
    client.read(**limits)
    return got + client.received


@given(chunked_streams())
def test_any_chunking_of_a_stream_gives_the_publications_that_paho_sees(case):
    v5, chunks = case
    assert read_with_ours(v5, list(chunks)) == read_with_paho(v5, list(chunks))


@given(chunked_streams(), st.integers(1, 3))
def test_small_budgets_lose_nothing(case, budget):
    v5, chunks = case
    assert read_with_ours(v5, list(chunks), max_packets=budget) == read_with_ours(v5, list(chunks))


def test_a_stream_byte_by_byte_gives_every_packet():
    stream = PINGRESP + publish_packet(b"a/b", b"one", 1, mid=7) + PINGRESP + publish_packet(b"a/b", b"two")
    assert read_with_ours(True, [bytes([byte]) for byte in stream]) == [
        ("a/b", b"one", 1, False, False, 7, b""),
        ("a/b", b"two", 0, False, False, 0, b""),
    ]


def test_a_packet_larger_than_the_buffer_is_collected_by_paho():
    payload = bytes(range(256)) * 4096
    stream = publish_packet(b"big", payload, 1, mid=9) + publish_packet(b"small", b"s")
    chunks = [stream[at : at + 50_000] for at in range(0, len(stream), 50_000)]
    assert [(topic, len(body)) for topic, body, *_ in read_with_ours(True, chunks)] == [("big", 1 << 20), ("small", 1)]


@given(st.binary(max_size=200), st.booleans())
def test_garbage_ends_the_connection_or_waits_for_more_but_never_raises(garbage, v5):
    client = BufferedClient("ours", v5=v5)
    client._sock = FakeSocket([garbage])
    ends = []
    client.on_disconnect = lambda *args: ends.append(args)
    for _ in range(4):
        client.read()
    assert (client.socket() is None) == bool(ends)


@pytest.mark.parametrize(
    "packet",
    [
        b"\x30\xff\xff\xff\xff\x01",  # remaining length of five bytes
        publish_packet(b"\xff\xfe", b""),  # topic is not UTF-8
        publish_packet(b"", b"x"),  # no topic, and no alias was granted
        publish_packet(b"a\0b", b"x"),
        publish_packet(b"a/+/b", b"x"),
        publish_packet(b"a", b"x", qos=2, mid=1),  # never subscribed
        publish_packet(b"a", b"x", qos=3, mid=1),
        publish_packet(b"a", b"x", qos=1, mid=0),
        b"\x30\x02\x00\x09" + b"abcdefghijkl",  # topic longer than the packet, though not than the buffer
        b"\x30\x00" + PINGRESP,  # no topic length
        b"\x30\x04\x00\x01a\x7f" + b"x" * 200,  # properties longer than the packet
        b"\x32\x03\x00\x01a" + PINGRESP * 4,  # no packet id
        b"\x30\x04\x00\x01a\xff",  # the length of its properties is cut off
    ],
)
def test_a_malformed_publish_is_a_protocol_error(packet):
    client = BufferedClient("ours", v5=True)
    client._sock = FakeSocket([publish_packet(b"good", b"1") + packet])
    reasons = []
    client.on_disconnect = lambda _c, _u, _f, reason, _p: reasons.append(str(reason))
    client.read()
    assert client.socket() is None
    assert len(reasons) == 1
    assert client.last_failure.startswith("protocol error")
    assert [topic for topic, *_ in client.received] == ["good"]


def test_a_malformed_publish_that_paho_collected_is_a_protocol_error_too():
    packet = publish_packet(b"\xff", b"x" * RECEIVE_SIZE)
    client = BufferedClient("ours", v5=True)
    client._sock = FakeSocket([packet[:100], packet[100:]])
    for _ in range(5):
        client.read()
    assert client.socket() is None
    assert client.last_failure == "protocol error: topic is not UTF-8"


def test_the_end_of_the_stream_is_a_lost_connection_after_everything_was_taken():
    client = BufferedClient("ours", v5=True)
    client._sock = FakeSocket([publish_packet(b"last", b"words")], closed=True)
    for _ in range(3):
        client.read()
    assert client.socket() is None
    assert [topic for topic, *_ in client.received] == ["last"]


def test_pending_says_that_bytes_wait_and_a_partial_packet_is_not_enough():
    two = publish_packet(b"a", b"1") + publish_packet(b"a", b"2")
    client = BufferedClient("ours", v5=True)
    client._sock = FakeSocket([two + two[:3]])
    client.read(max_packets=1)
    assert client.pending()
    client.read()
    assert not client.pending()
    assert len(client.received) == 2


def test_dry_at_moves_only_when_the_socket_was_emptied():
    ticks = iter(range(1, 1000))
    client = BufferedClient("ours", v5=True, now=lambda: float(next(ticks)))
    client._sock = FakeSocket([publish_packet(b"a", b"x" * 1000) * 100])
    client.read(max_packets=3, max_seconds=1000)
    assert client.pending()
    client.read(max_packets=1000, max_seconds=1000)
    assert not client.pending()
    assert client.dry_at > 0


def test_acknowledgements_leave_in_one_write():
    client = BufferedClient("ours", v5=True)
    client._sock = sock = FakeSocket([])
    client.acknowledge([1, 2, 0x1234])
    assert bytes(sock.sent) == b"\x40\x02\x00\x01\x40\x02\x00\x02\x40\x02\x12\x34"


def test_acknowledging_without_a_connection_does_nothing():
    client = BufferedClient("ours", v5=True)
    client.acknowledge([1])
    assert not client.want_write()


@given(st.lists(st.integers(1, 65535)))
def test_joined_pubacks_are_the_packets_end_to_end(mids):
    assert join_pubacks(mids) == b"".join(b"\x40\x02" + mid.to_bytes(2, "big") for mid in mids)


@given(st.integers(0, 268_435_455), st.binary(max_size=3))
def test_a_variable_byte_integer_is_read_back(value, rest):
    data = varint(value)
    assert read_varint(data + rest, 0) == (value, len(data))
    assert read_varint(data[:-1], 0) == (0, 0)


def test_topics_are_shared_and_forgotten_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr("actors.link.wire.TOPIC_MEMORY", 2)
    topics = TopicMemory()
    assert topics[b"a"] is topics[b"a"]
    for raw in (b"b", b"c"):
        assert topics[raw] == raw.decode()
    assert len(topics) == 1


@pytest.mark.parametrize(
    "properties",
    [
        packed(CorrelationData=b"x" * (LONGEST_CORRELATION + 1)),
        b"\x7f" + packed(CorrelationData=b"one"),  # there is no such property
        b"\x09",
        b"\x09\x00",
        b"\x09\x00\x03ab",  # longer than the properties
        b"\x26\x00\x01k\xff\xff",
        b"\x0b\xff\xff\xff\xff\x01",
    ],
)
def test_correlation_data_that_nobody_can_mean_is_none(properties):
    (publication,) = read_with_ours(True, [publish_packet(b"a", b"behind", 1, mid=3, properties=properties)])
    assert publication == ("a", b"behind", 1, False, False, 3, b"")


def test_the_parser_stops_at_its_limit_and_at_what_is_not_its_own():
    stream = publish_packet(b"a", b"1") * 3 + PINGRESP
    out = []
    position, halt = take_publishes(stream, 0, out, TopicMemory(), v5=True, limit=2, largest=100)
    assert (len(out), halt) == (2, Halt.FULL)
    position, halt = take_publishes(stream, position, out, TopicMemory(), v5=True, limit=10, largest=100)
    assert (len(out), halt, stream[position:]) == (3, Halt.FOREIGN, PINGRESP)


def test_decoding_reports_a_body_that_is_too_short():
    with pytest.raises(MalformedPublishError):
        decode_publish(0x30, b"\x00", 0, 1, TopicMemory(), v5=True)
