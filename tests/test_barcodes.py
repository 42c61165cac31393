"""What a code is: kind and check digit, by its text alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.barcodes import Barcode, check_digit_holds, identify

GTIN = "09501101530003"
"""The GTIN of the examples in GS1's General Specifications."""


@pytest.mark.parametrize(
    ("code", "symbology"),
    [
        ("96385074", "EAN-8"),
        ("036000291452", "UPC-A"),
        ("4006381333931", "EAN-13"),
        ("9501101530003", "EAN-13"),
        (GTIN, "GTIN-14"),
        ("106141412345678908", "SSCC"),
        ("]E04006381333931", "EAN-13"),
        ("]E496385074", "EAN-8"),
    ],
)
def test_a_number_is_known_by_its_length_and_judged_by_its_check_digit(code, symbology):
    wrong = code[:-1] + str((int(code[-1]) + 1) % 10)

    assert identify(code) == Barcode(symbology, valid=True)
    assert identify(wrong) == Barcode(symbology, valid=False)


@pytest.mark.parametrize(
    "code", ["", "1", "1234567", "ABC-123", "https://example.org/4006381333931", "]", "]C", "٩٦٣٨٥٠٧٤"]
)
def test_other_texts_are_nothing_in_particular(code):
    assert identify(code) == Barcode("", None)


@pytest.mark.parametrize(
    ("code", "valid"),
    [
        (f"01{GTIN}10ABC", True),
        (f"01{GTIN}", True),
        (f"]C101{GTIN}17271231", True),
        (f"]d201{GTIN}17271331", False),  # month 13
        (f"]Q3\x1d01{GTIN}", True),
        ("]C1not elements", False),
        ("]d20109501101530004", False),
        (f"01{GTIN}17270600", True),  # day 00: the whole month
        (f"01{GTIN}10AB12\x1d21XYZ", True),
        ("21XYZ\x1d01" + GTIN, True),
        ("21XYZ\x1d0109501101530004", False),
        ("00106141412345678908", True),
        ("]C14101234567890128", True),
        ("]C13103001500", True),
        ("]C18005" + "000200", True),
        ("]C17230EM0000000000001", True),
    ],
)
def test_element_strings_are_gs1(code, valid):
    assert identify(code) == Barcode("GS1", valid)


@pytest.mark.parametrize(
    "code",
    [
        "0109501101530004",  # begins like a trade item whose check digit does not hold: some other text
        "01095011015300A",
        f"01{GTIN}99\x1d",  # an application identifier without a value
        "[)>\x1e06\x1d1P12345\x1dQ10\x1e\x04",  # ISO/IEC 15434, not GS1
        "a\x1db",
        f"05{GTIN}\x1d",
        "10" + "A" * 91 + "\x1d",
    ],
)
def test_what_only_resembles_element_strings_is_not_called_gs1(code):
    assert identify(code) == Barcode("", None)


@pytest.mark.parametrize(
    ("code", "symbology"),
    [("]A0ABC", "Code 39"), ("]C04006381333931", "Code 128"), ("]Q1hello", "QR Code"), ("]d1x", "Data Matrix")],
)
def test_an_aim_identifier_names_the_symbology_of_free_text(code, symbology):
    assert identify(code) == Barcode(symbology, None)


def test_check_digits_agree_with_a_sum_written_differently():
    for body in ("1234567", "400638133393", "10614141234567890"):
        check = -sum(int(digit) * (3 if (len(body) - place) % 2 else 1) for place, digit in enumerate(body)) % 10
        assert [digit for digit in "0123456789" if check_digit_holds(body + digit)] == [str(check)]


@given(
    st.text(max_size=60) | st.from_regex(r"(\]?[A-Za-z]?[0-9]?)((0[0-4]|1[0-9]|[2-9][0-9])[0-9A-Z]{0,20}\x1d?){0,4}")
)
def test_no_text_makes_it_fail(code):
    symbology, valid = identify(code)

    assert valid in (True, False, None)
    assert symbology or valid is None
