"""Notes are read in one spelling only, and are what independent programs call signed."""

from __future__ import annotations

import re
import shutil
import subprocess
from base64 import b64encode

import pytest

from retentiond.audit.merkle import EMPTY
from retentiond.audit.note import Checkpoint, Signer, Verifier, open_checkpoint, open_note, parse_note
from retentiond.errors import AuditBroken

EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()
GO_KEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_SIGNED = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"


def test_the_example_of_the_specification_opens_with_its_key():
    verifier = Verifier.from_line(EXAMPLE_KEY)
    assert open_note(EXAMPLE, verifier) == "This is an example message.\n"
    assert verifier.line == EXAMPLE_KEY


def test_the_example_of_gos_note_package_is_signed_byte_for_byte():
    """A base64 key may itself contain a plus sign: Go's test key does."""
    signer = Signer.from_line(GO_KEY)
    assert f"{GO_TEXT}\n{GO_SIGNED}".encode() == signer.sign(GO_TEXT)
    assert (signer.to_line(), signer.verifier.line) == (GO_KEY, GO_PUBLIC)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="OPENSSL IS NOT HERE, so nothing independent verified a signature")
def test_openssl_verifies_a_checkpoint(signer, tmp_path):
    text = Checkpoint(signer.name, 3, bytes(range(32))).text
    signature = parse_note(signer.sign(text)).signatures[0].raw[4:]
    der = bytes.fromhex("302a300506032b6570032100") + signer.verifier.public
    (tmp_path / "key.pem").write_text(f"-----BEGIN PUBLIC KEY-----\n{b64encode(der).decode()}\n-----END PUBLIC KEY-----\n")
    (tmp_path / "text").write_text(text)
    (tmp_path / "signature").write_bytes(signature)

    def openssl() -> int:
        command = "openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in text -sigfile signature"
        return subprocess.run(command.split(), cwd=tmp_path, capture_output=True, check=False).returncode

    assert openssl() == 0
    (tmp_path / "text").write_text(text.replace("\n3\n", "\n4\n"))
    assert openssl() != 0


def test_a_checkpoint_comes_back_as_it_was_signed(signer):
    checkpoint = Checkpoint(signer.name, 42, EMPTY)
    assert checkpoint == open_checkpoint(signer.sign(checkpoint.text), signer.verifier)


def test_a_generated_key_survives_its_file():
    signer = Signer.generate("log.example.org")
    again = Signer.from_line(signer.to_line() + "\n")
    assert signer.sign("x\n") == again.sign("x\n")
    assert signer.verifier == Verifier.from_line(again.verifier.line + "\n")


def test_a_signer_does_not_show_its_secret(signer):
    secret = signer.to_line().rsplit("+", 1)[1]
    assert secret not in repr(signer) + str(signer)


def test_lines_by_unknown_keys_are_ignored(signer):
    """A witness adds its line; so may a stranger who has our name, or our id, but not both."""
    note = signer.sign(Checkpoint(signer.name, 1, EMPTY).text)
    stranger = b"\xe2\x80\x94 witness.example/w " + b64encode(signer.verifier.key_id + b"x" * 72) + b"\n"
    namesake = f"— {signer.name} ".encode() + b64encode(b"0000" + b"x" * 64) + b"\n"
    assert open_checkpoint(note + stranger + namesake, signer.verifier).size == 1


def test_a_wrong_signature_by_the_known_key_refuses_the_note_beside_a_right_one(signer):
    note = signer.sign("text\n")
    wrong = f"— {signer.name} ".encode() + b64encode(signer.verifier.key_id + b"x" * 64) + b"\n"
    with pytest.raises(AuditBroken, match="signature on the note is wrong"):
        open_note(note + wrong, signer.verifier)


def test_a_note_signed_by_another_key_is_refused(signer):
    with pytest.raises(AuditBroken, match="not signed by the log's key"):
        open_note(Signer.generate(signer.name).sign("text\n"), signer.verifier)


def loose_base64(note: bytes) -> bytes:
    """The same signature in another spelling: unused bits of the last base64 digit set."""
    return re.sub(rb"([A-Za-z0-9+/])=\n$", lambda m: bytes([m[1][0] + 1]) + b"=\n", note)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda n: n.replace(b"\n", b"\r\n"),
        lambda n: n[:-1],
        lambda n: n + b"\n",
        lambda n: b"\n" + n[n.index(b"\n\n") :],
        lambda n: n.replace("— ".encode(), b"- "),
        lambda n: n.replace("— ".encode(), "—  ".encode()),
        lambda n: n[:-1] + b" \n",
        lambda n: n.replace(b"=\n", b"\n"),
        loose_base64,
        lambda n: b"\xff" + n,
        lambda n: b"\x00" + n,
        lambda n: b"\t" + n,
        lambda n: "\ufeff".encode() + n,
        lambda n: n + "— a+b AAAAAAAA\n".encode(),
        lambda n: n + "— a\u00a0b AAAAAAAA\n".encode(),
        lambda n: n + "— short AAAA\n".encode(),
        lambda n: n.replace(b"text", b"Text"),
        lambda n: b"",
        lambda n: b"x" * 100_000 + n,
    ],
)
def test_a_note_in_any_other_spelling_is_refused(signer, spoil):
    note = signer.sign("text\n")
    assert open_note(note, signer.verifier) == "text\n"
    assert spoil(note) != note
    with pytest.raises(AuditBroken):
        open_note(spoil(note), signer.verifier)


def test_every_flipped_bit_of_a_checkpoint_is_found(signer):
    note = signer.sign(Checkpoint(signer.name, 7, EMPTY).text)
    for at in range(len(note)):
        for bit in range(8):
            spoiled = bytearray(note)
            spoiled[at] ^= 1 << bit
            with pytest.raises(AuditBroken):
                open_checkpoint(bytes(spoiled), signer.verifier)


@pytest.mark.parametrize(
    "text",
    [
        "NAME\n01\nROOT\n",
        "NAME\n+1\nROOT\n",
        "NAME\n-1\nROOT\n",
        "NAME\n1 \nROOT\n",
        "NAME\n१\nROOT\n",
        "NAME\n\nROOT\n",
        "NAME\n1\nAAAA\n",
        "NAME\n1\nROOT\nextension\n",
        "NAME\n1\n",
        "other.example\n1\nROOT\n",
        "NAME\n99999999999999999999\nROOT\n",
    ],
)
def test_signed_text_that_is_no_checkpoint_of_this_log_is_refused(signer, text):
    written = text.replace("NAME", signer.name).replace("ROOT", b64encode(EMPTY).decode())
    with pytest.raises(AuditBroken):
        open_checkpoint(signer.sign(written), signer.verifier)


@pytest.mark.parametrize("name", ["", "two words", "a+b", "a\u2003b", "line\n", "tab\t"])
def test_a_key_has_a_name_that_can_stand_in_a_line(name):
    with pytest.raises(ValueError, match="name"):
        Signer(name, bytes(32))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "name+00000000",
        EXAMPLE_KEY.replace("530d903a", "530d903b"),
        EXAMPLE_KEY.replace("530d903a", "530D903A"),
        EXAMPLE_KEY.replace("foo", "bar"),
        EXAMPLE_KEY + " ",
        EXAMPLE_KEY[:-1],
        EXAMPLE_KEY.replace("+Aeky", "+Beky"),
    ],
)
def test_a_verifier_key_whose_parts_do_not_fit_is_refused(line):
    with pytest.raises(ValueError, match="verifier key"):
        Verifier.from_line(line)


@pytest.mark.parametrize("line", ["", GO_KEY[8:], GO_KEY.replace("c74f", "c74e"), GO_KEY[:-1], GO_KEY + "A", GO_PUBLIC])
def test_a_damaged_signing_key_is_refused_without_showing_it(line):
    with pytest.raises(ValueError, match="signing key") as caught:
        Signer.from_line(line)
    assert "AYEKFALV" not in str(caught.value)
