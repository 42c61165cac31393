"""No secret reaches the log, in whatever form it comes."""

from __future__ import annotations

import json
import logging

import pytest

from actors.alarms.settings import AlarmSettings, Channel
from supervisor.process.logs import FORMAT, JsonFormatter, TextFormatter
from supervisor.process.redaction import HIDDEN, Redactor, redact, secrets_in
from supervisor.server.config import Config
from supervisor.server.settings import Database

SECRET = "s3cr3t-Needle/+=x"


@pytest.mark.parametrize(
    "text",
    [
        f"mqtt://muster:{SECRET}@10.0.0.1:1883 is away",
        f"connection to postgresql://u:{SECRET}@h/db?sslmode=require failed",
        f"mysql://u:p@{SECRET}@h/db",  # an @ that nobody has quoted
        "GET /login?key=s3cr3t-Needle HTTP/1.1",
        "Authorization: Bearer s3cr3t-Needle.abc~def+/==",
        "authorization: basic czNjcjN0LU5lZWRsZQ==",
        "token muster_s3cr3t-Needle_0123456789abcdef was refused",
        f"HostName=x.azure-devices.net;DeviceId=a;SharedAccessKey={SECRET}",
        "SharedAccessSignature sr=x&sig=s3cr3t-Needle%3D&se=1",
        f'{{"password": "{SECRET}", "user": "ada"}}',
        f"{{'enrolment_key': '{SECRET}'}}",
        f"Settings(host='h', password='{SECRET}', port=1)",
        "psk=s3cr3t-Needle, ssid=home",
        "PGPASSWORD=s3cr3t-Needle pg_dump",
        "MUSTER_ENROLMENT_KEY=s3cr3t-Needle",
        f"-----BEGIN EC PRIVATE KEY-----\n{SECRET}\n-----END EC PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\ns3cr3t-Needle",  # cut off
        "muster-sealing-key 01234567 " + "73336372" * 8,
    ],
)
def test_a_secret_of_a_known_form_is_hidden_and_the_rest_stays(text):
    shown = redact(text)
    assert HIDDEN in shown
    for piece in ("s3cr3t", "Needle", "czNjcj", "73336372"):
        assert piece not in shown


@pytest.mark.parametrize(
    "text",
    [
        "serving on http://127.0.0.1:5000",
        "local.data: connected to 127.0.0.1:1883 with MQTT 5.0",
        "the token 12 was revoked by admin",
        "pi-1 at 10.0.0.7 is enrolled: the first enrolment of this serial",
        "http://ada@example.org/a:b is fine",
        "MQTT_PASSWORD is not set",
        "key http.port: expected `int`",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redact(text) == text


def test_a_value_is_hidden_wherever_it_stands_also_quoted():
    redactor = Redactor()
    redactor.hide(["pass word/1", "short"])
    assert redactor.redact("x pass word/1 y pass%20word%2F1 short") == f"x {HIDDEN} y {HIDDEN} short"
    redactor.hide(["pass word/1 and more"])
    assert redactor.redact("pass word/1 and more") == HIDDEN


def test_the_secrets_of_a_configuration_are_found():
    config = Config(
        database=Database(url="postgresql://u:pass%20word@h/db"),
        api_token="the-token",
        alarms=AlarmSettings(
            channels={
                "chat": Channel(webhook="https://hooks.example.org/T0/B0/key", headers={"X-Key": "the-header"}),
                "mail": Channel(apprise=("tgram://123:ABC/45",)),
            }
        ),
    )
    found = set(filter(None, secrets_in(config)))
    assert found == {
        "pass word",
        "the-token",
        "https://hooks.example.org/T0/B0/key",
        "the-header",
        "tgram://123:ABC/45",
    }


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter(FORMAT)])
def test_tracebacks_and_arguments_are_redacted_too(formatter):
    error = ValueError(f"cannot connect to mqtt://u:{SECRET}@h")
    found = (type(error), error, error.__traceback__)
    record = logging.LogRecord("x", logging.ERROR, "f", 1, "at %s", (f"mqtt://u:{SECRET}@h",), found)
    text = formatter.format(record)
    assert "s3cr3t" not in text
    assert text.count(HIDDEN) >= 2
    if isinstance(formatter, JsonFormatter):
        assert json.loads(text)["message"] == f"at mqtt://u:{HIDDEN}@h"
