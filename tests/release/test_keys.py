"""Keys in files: private ones for one pair of eyes, public ones as a line."""

from __future__ import annotations

import stat

import pytest

from supervisor.release.errors import KeyFileError
from supervisor.release.keys import PrivateKey, PublicKey, load_public, load_trusted


def test_a_private_key_is_saved_for_its_owner_alone_and_signs_again(tmp_path):
    key = PrivateKey.generate("ours")
    path = tmp_path / "key.pem"
    key.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert key.public.verifies(PrivateKey.load(path).sign(b"text"), b"text")


def test_a_key_is_never_overwritten(tmp_path):
    path = tmp_path / "key.pem"
    path.write_text("precious")
    with pytest.raises(KeyFileError, match="never overwritten"):
        PrivateKey.generate().save(path)
    assert path.read_text() == "precious"


def test_a_sealed_key_needs_its_passphrase(tmp_path):
    key = PrivateKey.generate()
    path = tmp_path / "key.pem"
    key.save(path, b"open sesame")
    assert PrivateKey.load(path, b"open sesame").public == key.public
    with pytest.raises(KeyFileError, match="give its passphrase"):
        PrivateKey.load(path)
    with pytest.raises(KeyFileError, match="passphrase is not"):
        PrivateKey.load(path, b"wrong")


def test_a_private_key_that_others_may_read_is_refused(tmp_path):
    path = tmp_path / "key.pem"
    PrivateKey.generate().save(path)
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        PrivateKey.load(path)


@pytest.mark.parametrize("content", [b"", b"no key", b"\xff\xfe"])
def test_a_file_without_a_private_key_is_refused(tmp_path, content):
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="holds no private key"):
        PrivateKey.load(path)


def test_a_public_key_is_a_line_with_a_comment(tmp_path):
    key = PrivateKey.generate("the build machine").public
    path = tmp_path / "key.pub"
    path.write_text(f"# ours\n\n{key.line}")
    assert load_public(path) == [key]
    assert load_public(path)[0].comment == "the build machine"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("ssh-ed25519 AAAA me", "begins with"),
        ("muster-release-key ed25519 ???", "no base64"),
        ("muster-release-key ed25519 AAAA", "3 bytes"),
        ("muster-release-key rsa AAAA", "begins with"),
    ],
)
def test_a_line_that_holds_no_public_key_is_named(tmp_path, line, reason):
    path = tmp_path / "key.pub"
    path.write_text(f"# first\n{line}\n")
    with pytest.raises(KeyFileError, match=f"key.pub, line 2: .*{reason}"):
        load_public(path)


def test_trusted_keys_come_from_files_and_directories_and_a_missing_place_holds_none(tmp_path):
    one, two, three = (PrivateKey.generate(name).public for name in ("one", "two", "three"))
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "one.pub").write_text(one.line)
    (tmp_path / "keys" / "two.pub").write_text(two.line)
    (tmp_path / "keys" / "note.txt").write_text("nothing")
    (tmp_path / "three.pub").write_text(three.line)
    found = load_trusted([tmp_path / "keys", tmp_path / "three.pub", tmp_path / "absent"])
    assert found == {key.key_id: key for key in (one, two, three)}


def test_the_name_of_a_key_depends_on_the_key_alone():
    raw = bytes(range(32))
    assert PublicKey(raw, "a").key_id == PublicKey(raw, "b").key_id == "630dcd2966c4336691125448bbb25b4f"[:16]


def test_a_signature_of_the_standard_is_verified():
    """RFC 8032, 7.1, test 2."""
    public = PublicKey(bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"))
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert public.verifies(signature, bytes.fromhex("72"))
    assert not public.verifies(signature, b"other")
    assert not public.verifies(b"short", bytes.fromhex("72"))
