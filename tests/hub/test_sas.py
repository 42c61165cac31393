"""Shared access signatures."""

from __future__ import annotations

from actors.hub.sas import sign

KEY = b"0123456789abcdef0123456789abcdef"


def test_a_token_is_the_one_that_the_device_sdk_makes():
    assert sign("contoso.azure-devices.net/devices/MyDevice01", KEY, 1_700_000_000) == (
        "SharedAccessSignature sr=contoso.azure-devices.net%2Fdevices%2FMyDevice01"
        "&sig=tQSLxkMuSnuabLJYPJTe5fSi39Xn%2BlCRPf9StqqV0Qs%3D&se=1700000000"
    )


def test_a_service_names_its_policy():
    token = sign("contoso.azure-devices.net", KEY, 1_700_000_000, policy="registry write")
    assert token.endswith("&se=1700000000&skn=registry%20write")
