"""A release is believed only when a trusted key has signed it, and only what it says it is."""

from __future__ import annotations

import base64
import tarfile
import zipfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.release.archive import MANIFEST, SIGNATURES, Release, sign_release
from supervisor.release.errors import BadReleaseError
from supervisor.release.keys import PrivateKey
from supervisor.release.platform import own_platform
from tests.release.support import listed, make_manifest, make_release, make_wheel, members_of, raw_archive

KEY, OTHER = PrivateKey.generate("ours"), PrivateKey.generate("theirs")
TRUSTED = {KEY.public.key_id: KEY.public}


def refusal(path: Path, keys=TRUSTED, **options) -> str:
    """The code with which a file is refused, empty if it is not."""
    try:
        with Release(path) as release:
            release.verify(keys, **options)
    except BadReleaseError as error:
        return error.code
    return ""


def with_members(path: Path, change) -> Path:
    """The release with its members changed, and nothing signed anew."""
    return raw_archive(path.with_name("changed.muster"), *change(members_of(path)))


def test_a_signed_release_is_verified_and_its_wheels_are_written(tmp_path):
    wheels = [make_wheel(tmp_path, "one"), make_wheel(tmp_path, "two", "2.1")]
    path = make_release(tmp_path, KEY, wheels=wheels)
    out = tmp_path / "out"
    out.mkdir()
    with Release(path) as release:
        assert release.verify(TRUSTED, running="0.9", platform=own_platform(), python="3.11.2") == KEY.public.key_id
        written = release.extract(out, release.manifest.files)
    assert [file.name for file in written] == [wheel.name for wheel in wheels]
    assert [file.read_bytes() for file in written] == [wheel.read_bytes() for wheel in wheels]


def test_the_same_content_becomes_the_same_file(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    wheel = make_wheel(tmp_path)
    first = make_release(tmp_path, KEY, wheels=[wheel]).rename(one / "x")
    second = make_release(tmp_path, KEY, wheels=[wheel]).rename(two / "x")
    assert first.read_bytes() == second.read_bytes()


def test_nobody_has_signed(tmp_path):
    assert refusal(make_release(tmp_path)) == "unsigned"


def test_somebody_else_has_signed(tmp_path):
    assert refusal(make_release(tmp_path, OTHER)) == "wrong_key"


def test_one_trusted_signature_of_several_is_enough(tmp_path):
    path = make_release(tmp_path, OTHER)
    sign_release(path, KEY)
    assert refusal(path) == ""
    with Release(path) as release:
        assert release.key_ids == [OTHER.public.key_id, KEY.public.key_id]


def test_signing_twice_leaves_one_signature(tmp_path):
    path = make_release(tmp_path, KEY)
    sign_release(path, KEY)
    with Release(path) as release:
        assert release.key_ids == [KEY.public.key_id]
    assert refusal(path) == ""


def test_a_signature_under_a_trusted_name_by_another_key_is_refused(tmp_path):
    path = make_release(tmp_path, OTHER)

    def change(members):
        raw = msgspec.json.decode(members[1][1])
        raw["signatures"][0]["key_id"] = KEY.public.key_id
        return [members[0], (SIGNATURES, msgspec.json.encode(raw)), *members[2:]]

    assert refusal(with_members(path, change)) == "tampered"


def test_a_changed_manifest_is_refused(tmp_path):
    path = make_release(tmp_path, KEY)
    changed = with_members(path, lambda m: [(MANIFEST, m[0][1].replace(b'"1.0"', b'"9.0"', 1)), *m[1:]])
    assert refusal(changed) == "tampered"


def test_a_changed_wheel_is_refused(tmp_path):
    path = make_release(tmp_path, KEY)
    changed = with_members(path, lambda m: [*m[:2], (m[2][0], m[2][1][:-1] + b"!")])
    assert refusal(changed) == "tampered"
    out = tmp_path / "out"
    out.mkdir()
    with Release(changed) as release, pytest.raises(BadReleaseError) as refused:
        release.extract(out, release.manifest.files)
    assert refused.value.code == "tampered"


@pytest.mark.parametrize(("version", "code"), [("1.0", "older"), ("1.0.0", "older"), ("0.9", ""), ("1.1", "older")])
def test_only_a_newer_version_replaces_one(tmp_path, version, code):
    assert refusal(make_release(tmp_path, KEY), running=version) == code


def test_an_older_version_is_taken_when_that_is_wanted(tmp_path):
    assert refusal(make_release(tmp_path, KEY), running="2.0", allow_older=True) == ""


def test_a_version_that_is_too_old_is_not_replaced(tmp_path):
    path = make_release(tmp_path, KEY, version="3.0", replaces_from="2.0")
    assert refusal(path, running="2.0") == ""


def test_it_is_for_another_platform_or_python(tmp_path):
    path = make_release(tmp_path, KEY, platforms=("cp311-linux_riscv64",), requires_python=">=3.11")
    assert refusal(path, platform="cp311-linux_aarch64") == "wrong_platform"
    assert refusal(path, platform="cp311-linux_riscv64", python="3.9.2") == "wrong_platform"
    assert refusal(path, platform="cp311-linux_riscv64", python="3.13.1") == ""


# What no honest program writes


def hostile(header: tarfile.TarInfo | str, content: bytes = b"x"):
    return lambda members: [*members[:2], (header, content), *members[3:]]


def special(kind: bytes, name: str = "wheels/thing-1.0-py3-none-any.whl") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


@pytest.mark.parametrize(
    "header",
    [
        "../../etc/cron.d/x",
        "/etc/cron.d/x",
        "wheels/../../x.whl",
        "wheels/other-1.0-py3-none-any.whl",
        special(tarfile.SYMTYPE),
        special(tarfile.LNKTYPE),
        special(tarfile.DIRTYPE),
        special(tarfile.FIFOTYPE),
        special(tarfile.CHRTYPE),
        special(tarfile.GNUTYPE_SPARSE),
    ],
    ids=lambda header: header if isinstance(header, str) else f"type {header.type.decode()}",
)
def test_a_member_that_is_not_the_wheel_of_the_manifest_is_refused(tmp_path, header):
    assert refusal(with_members(make_release(tmp_path, KEY), hostile(header))) == "bad_name"


def test_extended_headers_are_refused(tmp_path):
    path = make_release(tmp_path, KEY)
    info = tarfile.TarInfo(members_of(path)[2][0])
    info.pax_headers = {"comment": "x" * 10_000}
    changed = raw_archive(
        tmp_path / "pax.muster", *members_of(path)[:2], (info, members_of(path)[2][1]), kind=tarfile.PAX_FORMAT
    )
    assert refusal(changed) == "bad_name"


def test_a_member_larger_than_the_manifest_says_is_refused(tmp_path):
    path = make_release(tmp_path, KEY)
    assert refusal(with_members(path, lambda m: [*m[:2], (m[2][0], m[2][1] + b"more")])) == "bomb"


def test_a_manifest_larger_than_any_is_refused(tmp_path):
    path = make_release(tmp_path, KEY)
    assert refusal(with_members(path, lambda m: [(MANIFEST, b" " * 2**20), *m[1:]])) == "bomb"


def test_what_follows_the_last_wheel_is_refused(tmp_path):
    path = make_release(tmp_path, KEY)
    assert refusal(with_members(path, lambda m: [*m, ("more", b"x" * 20_000)])) == "not_a_release"
    path.write_bytes(path.read_bytes() + b"\0" * 2**20)
    assert refusal(path) == "not_a_release"


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "wheels/../x-1.0-py3-none-any.whl"},
        {"name": "/x-1.0-py3-none-any.whl"},
        {"name": "wheels/x.tar.gz"},
        {"name": "wheels/a/b-1.0-py3-none-any.whl"},
        {"sha256": "no"},
        {"size": 0},
        {"size": 2**40},
    ],
    ids=str,
)
def test_a_manifest_with_a_bad_field_is_refused_even_when_it_is_signed(tmp_path, changes):
    wheel = make_wheel(tmp_path)
    manifest = make_manifest([wheel], files=(listed(wheel, **changes),))
    raw = manifest.encode()
    signature = {"key_id": KEY.public.key_id, "signature": base64.b64encode(KEY.sign(raw)).decode()}
    path = raw_archive(
        tmp_path / "signed.muster",
        (MANIFEST, raw),
        (SIGNATURES, msgspec.json.encode({"signatures": [signature]})),
        ("wheels/x", wheel.read_bytes()),
    )
    assert refusal(path) == "not_a_release"


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ({"../../evil.py": "x"}, "bad_name"),
        ({"/etc/evil": "x"}, "bad_name"),
        ({"a\\..\\b": "x"}, "bad_name"),
        ({"zeros": "\0" * 2**24}, "bomb"),
    ],
    ids=["up", "absolute", "backslashes", "zeros"],
)
def test_a_wheel_that_would_write_elsewhere_or_fill_the_disk_is_refused(tmp_path, extra, code):
    assert refusal(make_release(tmp_path, KEY, wheels=[make_wheel(tmp_path, extra=extra)])) == code


def test_what_the_wheels_unpack_to_is_known_before_anything_is_written(tmp_path):
    wheels = [make_wheel(tmp_path, name, extra={"more": name * 1000}) for name in ("one", "two")]
    with Release(make_release(tmp_path, KEY, wheels=wheels)) as release:
        release.verify(TRUSTED)
        sizes = [sum(entry.file_size for entry in zipfile.ZipFile(wheel).infolist()) for wheel in wheels]
        assert release.unpacked(release.manifest.files) == sum(sizes)


@pytest.mark.parametrize("name", [MANIFEST, SIGNATURES])
def test_json_that_is_too_deep_is_refused(tmp_path, name):
    deep = b'{"x":' + b"[" * 8_000
    path = make_release(tmp_path, KEY)
    changed = with_members(path, lambda m: [(one, deep if one == name else content) for one, content in m])
    assert refusal(changed) == "not_a_release"


def test_what_is_damaged_is_not_signed(tmp_path):
    path = make_release(tmp_path, KEY)
    path.write_bytes(path.read_bytes().replace(b"VERSION", b"NOISREV").replace(b"PK\x01\x02", b"PK\x01\x03"))
    before = path.read_bytes()
    with pytest.raises(BadReleaseError) as refused:
        sign_release(path, OTHER)
    assert (refused.value.code, path.read_bytes()) == ("tampered", before)


def test_a_disk_without_room_is_told(tmp_path):
    path = make_release(tmp_path, KEY)

    class Full(type(tmp_path)):
        def open(self, *_args, **_options):
            raise OSError(28, "No space left on device")

    with Release(path) as release, pytest.raises(BadReleaseError) as refused:
        release.extract(Full(tmp_path), release.manifest.files)
    assert refused.value.code == "no_space"


def test_a_download_that_broke_off_is_refused_wherever_it_did(tmp_path):
    path = make_release(tmp_path, KEY)
    content = path.read_bytes()
    with Release(path) as release:
        last = release._members[release.manifest.files[-1].name]
    end = last.offset + last.size
    for cut in {*range(0, end, 97), *range(end - 3, end), 1, 511, 512, 513}:
        path.write_bytes(content[:cut])
        assert refusal(path) in ("truncated", "not_a_release", "tampered"), cut


@given(data=st.binary(max_size=3000))
def test_bytes_that_are_no_release_are_refused_and_nothing_else_happens(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("any") / "x.muster"
    path.write_bytes(data)
    assert refusal(path) in ("not_a_release", "truncated", "bad_name", "bomb", "tampered")


@given(data=st.data())
def test_one_changed_byte_is_never_believed(data, tmp_path_factory):
    directory = tmp_path_factory.mktemp("flip")
    path = make_release(directory, KEY)
    content = bytearray(path.read_bytes())
    with Release(path) as release:
        last = release._members[release.manifest.files[-1].name]
    position = data.draw(st.integers(0, last.offset + last.size - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    before = path.read_bytes()
    path.write_bytes(bytes(content))
    if refusal(path) == "":
        # Fields of a tar header that nobody reads: owner, time, mode.
        assert members_of(path) == _members(before, directory)


def _members(content: bytes, directory: Path) -> list[tuple[str, bytes]]:
    original = directory / "original"
    original.write_bytes(content)
    return members_of(original)
