"""What candidates mean, and how URLs are spelled."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.finding.places import Place, authority, base_url, read_candidate, split_candidates


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://Server:5000/", "http://server:5000"),
        ("https://10.0.0.1", "https://10.0.0.1"),
        ("http://[FD00::1]:5000", "http://[fd00::1]:5000"),
        ("https://host/muster/", "https://host/muster"),
        ("ftp://host", ""),
        ("http://", ""),
        ("http://host:0", ""),
        ("http://host:99999", ""),
        ("http://user:pw@host", ""),
        ("http://host?x=1", ""),
        ("http://ho st", ""),
        ("http://host\r\nX: y", ""),
        ("http://[::1", ""),
        ("http://höst", ""),
    ],
)
def test_a_url_has_one_spelling_and_what_is_none_has_no(text, url):
    assert base_url(text) == url


@given(st.text())
def test_whatever_a_stranger_announces_is_a_url_or_nothing(text):
    url = base_url(f"http://{text}")
    assert url == base_url(url)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://10.0.0.1:5000", "http://10.0.0.1:5000"),
        ("muster.example.org", "http://muster.example.org:5000"),
        ("muster:8000", "http://muster:8000"),
        ("10.0.0.1", "http://10.0.0.1:5000"),
        ("fd00::1", "http://[fd00::1]:5000"),
        ("[fd00::1]:8000", "http://[fd00::1]:8000"),
    ],
)
def test_a_candidate_is_a_url_or_a_name(text, url):
    assert read_candidate(text) == url


def test_a_name_means_https_where_a_ca_file_says_so():
    assert read_candidate("muster", tls=True) == "https://muster:5000"
    assert read_candidate("http://muster", tls=True) == "http://muster"


def test_a_candidate_may_be_a_subnet():
    assert read_candidate("10.20.0.0/24") == ipaddress.IPv4Network("10.20.0.0/24")
    assert read_candidate("10.20.0.7/24") == ipaddress.IPv4Network("10.20.0.0/24")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("10.0.0.0/8", "at most a /22"),
        ("8.8.8.0/24", "private"),
        ("300.0.0.0/24", "not a subnet"),
        ("fd00::/64", "not a subnet"),
        ("http://", "not a URL"),
        ("mus ter", "neither"),
        ("muster:port", "neither"),
        ("muster:70000", "neither"),
        ("", "neither"),
    ],
)
def test_a_candidate_that_is_none_is_refused_with_the_reason(text, reason):
    with pytest.raises(ValueError, match=reason):
        read_candidate(text)


def test_one_wrong_candidate_does_not_cost_the_others():
    urls, subnets, wrong = split_candidates(["a", "10.0.0.0/8", "10.2.0.0/30", "http://b"])
    assert urls == ["http://a:5000", "http://b"]
    assert [str(subnet) for subnet in subnets] == ["10.2.0.0/30"]
    assert len(wrong) == 1


def test_only_what_the_network_tells_without_a_certificate_needs_a_proof_in_any_case():
    assert Place("mdns", "http://a").needs_proof
    assert Place("scan", "http://a").needs_proof
    assert not Place("candidate", "https://a").needs_proof
    assert not Place("configured", "http://a").needs_proof


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://10.0.0.2:5000", "10.0.0.2:5000"),
        ("http://Muster.Local", "muster.local:80"),
        ("https://muster.example/prefix", "muster.example:443"),
        ("http://[fd00::7]:5000", "[fd00::7]:5000"),
        ("https://[fd00::7]", "[fd00::7]:443"),
    ],
)
def test_the_address_that_is_dialled_has_one_spelling(url, address):
    assert authority(url) == address
