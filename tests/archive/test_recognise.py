"""Encryption is recognised by what the bytes are, in real files of each format; names and suffixes prove nothing."""

import base64
import bz2
import gzip
import io
import lzma
import os
import sqlite3
import tarfile
import zipfile

import pytest

from retentiond.archive.recognise import recognise
from retentiond.archive.sample import Sample, Wants, whole
from retentiond.core.assurance import Recognised, breach
from tests.archive.samples import SECRET, Workshop

GOOD, UNAUTHENTICATED, WEAK, PLAIN, UNKNOWN = "client_authenticated", "client_unauthenticated", "weak", "plain", "unknown"


@pytest.fixture
def fresh(tmp_path):
    return Workshop(tmp_path / "w")


def told(content: bytes) -> tuple[str, str]:
    """What a file is recognised as; more of its end is given where that is asked for."""
    found = recognise(whole(content))
    if isinstance(found, Wants):
        found = recognise(Sample(whole(content).head, content[-found.tail :], len(content)))
    assert isinstance(found, Recognised)
    return found.format, found.assurance


# --- age


def test_age(work):
    assert ("age", GOOD) == told(work.age())
    assert ("age", GOOD) == told(work.age("-a"))


def test_an_age_file_that_lost_its_end_or_its_header_is_nothing(work):
    binary, armoured = work.age(), work.age("-a")
    header = binary.index(b"\n--- ") + 49
    assert UNKNOWN == told(binary[: header + 31])[1]
    assert UNKNOWN == told(binary.replace(b"\n--- ", b"\n-+- "))[1]
    assert UNKNOWN == told(armoured[: len(armoured) - 30])[1]
    assert PLAIN == told(b"age-encryption.org/v1 is what we use\n")[1]


@pytest.mark.parametrize("armour", [(), ("-a",)], ids=["binary", "armoured"])
@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000])
def test_age_of_every_length_is_whole(work, armour, size):
    assert ("age", GOOD) == told(aged(work, size, *armour))


def test_an_age_file_of_a_length_that_there_cannot_be_is_cut_off(work):
    """A last chunk is a byte at least and its tag. What ends in the middle of one may be whole: only its identity tells."""
    made = aged(work, 131_072)
    start = made.index(b"\n--- ") + 49 + 16
    chunk = 65_536 + 16
    for size, expected in {15: UNKNOWN, 16: GOOD, 17: GOOD, chunk - 1: GOOD, chunk: GOOD, 2 * chunk: GOOD}.items():
        assert expected == told(made[: start + size])[1], size
    for more in (1, 15, 16):
        assert UNKNOWN == told(made[: start + chunk + more])[1]
        assert UNKNOWN == told(armoured(made[: start + chunk + more]))[1]
    assert GOOD == told(made[: start + chunk + 17])[1]
    assert GOOD == told(armoured(made[: start + chunk + 17]))[1]
    assert GOOD == told(armoured(made).replace(b"\n", b"\r\n"))[1]


def test_an_armour_of_age_that_lost_lines_in_its_middle_or_a_letter_is_nothing(work):
    made = aged(work, 200_000, "-a")
    letter = made.rindex(b"\n-----END") - 1
    assert UNKNOWN == told(made[:letter] + made[letter + 1 :])[1]


def aged(work, size, *options):
    return work.run("age", *options, "-r", work.identity(), stdin=os.urandom(size))


def armoured(content: bytes) -> bytes:
    letters = base64.b64encode(content)
    lines = b"".join(letters[i : i + 64] + b"\n" for i in range(0, len(letters), 64))
    return b"-----BEGIN AGE ENCRYPTED FILE-----\n" + lines + b"-----END AGE ENCRYPTED FILE-----\n"


# --- OpenPGP


@pytest.mark.parametrize("armour", [[], ["--armor"]], ids=["binary", "armoured"])
def test_openpgp(work, armour):
    assert ("openpgp", GOOD) == told(work.gpg(*armour, "--recipient", "backup@example.org", "--encrypt"))
    assert ("openpgp", GOOD) == told(work.gpg(*armour, "--recipient", "backup@example.org", "--throw-keyids", "--encrypt"))
    assert ("openpgp", GOOD) == told(work.gpg(*armour, "--passphrase", "x", "--symmetric"))
    assert ("openpgp", GOOD) == told(work.gpg(*armour, "-r", "backup@example.org", "--sign", "--encrypt"))
    assert ("openpgp", GOOD) == told(work.gpg(*armour, "-r", "backup@example.org", "-e", stdin=os.urandom(400_000)))


@pytest.mark.parametrize("armour", [[], ["--armor"]], ids=["binary", "armoured"])
@pytest.mark.parametrize(
    "how", [["--sign"], ["--sign", "-z", "0"], ["--store"], ["--store", "-z", "0"], ["--clearsign"], ["--detach-sign"]]
)
def test_what_is_only_signed_or_packed_is_plain_though_it_ends_in_gpg_as_well(work, armour, how):
    assert PLAIN == told(work.gpg(*armour, *how))[1]


def test_a_public_key_is_plain(work):
    assert PLAIN == told(work.gpg("--armor", "--export"))[1]


def test_openpgp_without_integrity_is_weak_and_a_truncated_message_nothing(work):
    good = work.gpg("--recipient", "backup@example.org", "-z", "0", "--output", "-", "--encrypt", "secret.csv")
    keys = 3 + int.from_bytes(good[1:3], "big")
    old = good[:keys] + bytes([0b10100100 | 1]) + (60).to_bytes(2, "big") + os.urandom(60)
    assert ("openpgp-sed", WEAK) == told(old)
    assert UNKNOWN == told(good[:keys] + good[keys : keys + 40])[1]
    assert UNKNOWN == told(good[:keys])[1]


@pytest.mark.parametrize("size", [3_000, 70_000, 1_500_000])
def test_a_message_in_parts_that_was_cut_off_anywhere_is_nothing(work, size):
    made = work.gpg("--passphrase", "x", "--symmetric", stdin=os.urandom(size))
    assert ("openpgp", GOOD) == told(made)
    assert ("openpgp", GOOD) == told(made + b"\xca\x03PGP"), "what comes behind it is not looked at"
    for share in range(1, 50):
        assert UNKNOWN == told(made[: 100 + (len(made) - 101) * share // 50])[1], share
    assert UNKNOWN == told(made[:-1])[1]


def test_a_message_in_parts_that_lost_its_end_and_was_armoured_then_is_nothing(work):
    made = work.gpg("--passphrase", "x", "--symmetric", stdin=os.urandom(20_000))
    assert [GOOD, UNKNOWN] == [told(enarmoured(content))[1] for content in (made, made[:-1000])]


def enarmoured(content: bytes) -> bytes:
    return b"-----BEGIN PGP MESSAGE-----\n\n" + base64.encodebytes(content) + b"-----END PGP MESSAGE-----\n"


def in_parts(*powers: int, last: int = 700) -> bytes:
    """A message of parts whose lengths are these powers of two."""
    parts = [bytes([224 + power]) + b"\x01" + os.urandom((1 << power) - 1) for power in powers]
    return b"\xc3\x04\x04\x09\x03\x08\xd2" + b"".join(parts) + b"\xff" + last.to_bytes(4, "big") + os.urandom(last)


@pytest.mark.parametrize(
    "powers", [[16] * 200 + [15, 9], [22] * 5 + [20], [13, 9, 13, 14, 10, 9] * 15, [13, 14, 9, *[16] * 60]], ids=str
)
def test_parts_of_any_length_are_followed_to_the_end(powers):
    made = in_parts(*powers)
    assert ("openpgp", GOOD) == told(made)
    assert ("openpgp", GOOD) == told(in_parts(*powers, last=1))
    for share in (3, 5, 7, 8):
        assert UNKNOWN == told(made[: len(made) * share // 10])[1], share
    assert UNKNOWN == told(made[: -len(made) // 20])[1]


def test_a_long_message_whose_parts_are_out_of_step_counts_as_whole():
    """Nobody can say where its last parts begin without reading all of it: the limit that the policies page names."""
    made = in_parts(*[12, 13, 14, 15, 9, 11] * 100)
    assert GOOD == told(made)[1]
    assert GOOD == told(made[:-5000])[1]


def test_markers_and_padding_are_passed_over_and_aead_is_known(work):
    good = work.gpg("--recipient", "backup@example.org", "--encrypt")
    marked = b"\xca\x03PGP" + b"\xd5\x04abcd" + good
    assert ("openpgp", GOOD) == told(marked)
    keys = 3 + int.from_bytes(good[1:3], "big")
    aead = good[:keys] + b"\xd4\x40" + b"\x01\x09\x02\x10" + os.urandom(60)
    assert ("openpgp", GOOD) == told(aead)


# --- OpenSSL, CMS, LUKS


def test_openssl(work):
    for options in ([], ["-a"]):
        enc = work.run("openssl", "enc", "-aes-256-cbc", "-pbkdf2", "-pass", "pass:x", "-in", "secret.csv", *options)
        assert ("openssl", WEAK) == told(enc)


@pytest.mark.parametrize("form", ["DER", "PEM"])
def test_cms(fresh, form):
    assert ("cms", UNAUTHENTICATED) == told(fresh.cms("-encrypt", "-aes256", "-outform", form))
    assert ("cms", GOOD) == told(fresh.cms("-encrypt", "-aes-256-gcm", "-outform", form))
    fresh.run(
        "openssl",
        "cms",
        "-sign",
        "-nodetach",
        "-binary",
        "-in",
        "secret.csv",
        "-outform",
        form,
        "-out",
        "s",
        "-signer",
        "cert.pem",
        "-inkey",
        "key.pem",
    )
    assert ("cms-signed", PLAIN) == told(fresh.read("s"))


@pytest.mark.parametrize("version", ["luks1", "luks2"])
def test_luks(fresh, version):
    assert ("luks", UNAUTHENTICATED) == told(fresh.luks("--type", version))


def test_luks_that_encrypts_with_nothing_is_plain(fresh):
    made = fresh.luks("--type", "luks1")
    assert ("luks", PLAIN) == told(made[:8] + b"cipher_null".ljust(32, b"\0") + made[40:])
    made = fresh.luks("--type", "luks2")
    assert ("luks", PLAIN) == told(made.replace(b'"encryption":"aes-xts-plain64"', b'"encryption":"cipher_null-ecb"'))


# --- ZIP and 7z


def test_zip(fresh, tmp_path):
    assert ("zip", WEAK) == told(fresh.zipped("-P", "x", "secret.csv", "other.csv"))
    assert ("zip", UNAUTHENTICATED) == told(
        Workshop(tmp_path / "a").seven_zipped("-px", "-mem=AES256", "secret.csv", "other.csv")
    )
    assert ("zip", PLAIN) == told(Workshop(tmp_path / "b").zipped("secret.csv"))


def test_one_clear_entry_makes_a_zip_plain(fresh):
    fresh.seven_zipped("-px", "-mem=AES256", "secret.csv")
    assert ("zip", PLAIN) == told(fresh.zipped("other.csv"))


def test_a_zip_of_weak_and_strong_entries_is_weak(fresh):
    fresh.seven_zipped("-px", "-mem=AES256", "secret.csv")
    assert ("zip", WEAK) == told(fresh.seven_zipped("-px", "-mem=ZipCrypto", "other.csv"))


def test_a_zip_with_folders_a_long_comment_and_many_entries(fresh):
    (fresh.folder / "many").mkdir()
    for n in range(2000):
        (fresh.folder / "many" / f"a rather long name for a file number {n:05}").write_bytes(b"x")
    fresh.seven_zipped("-px", "-mem=AES256", "many")
    with zipfile.ZipFile(fresh.folder / "made.zip", "a") as file:
        file.comment = b"PK" * 30_000
    assert ("zip", UNAUTHENTICATED) == told(fresh.read("made.zip"))


def test_a_zip_that_lost_its_end_is_nothing(fresh):
    assert UNKNOWN == told(fresh.seven_zipped("-px", "-mem=AES256", "secret.csv")[:-30])[1]


def test_7z(fresh, tmp_path):
    assert ("7z", UNAUTHENTICATED) == told(fresh.seven("-px", "-mhe=on", "secret.csv", "other.csv"))
    assert ("7z", UNAUTHENTICATED) == told(Workshop(tmp_path / "a").seven("-px", "secret.csv", "other.csv"))
    assert ("7z", UNAUTHENTICATED) == told(Workshop(tmp_path / "c").seven("-px", "-mhc=off", "secret.csv", "other.csv"))
    assert ("7z", PLAIN) == told(Workshop(tmp_path / "b").seven("secret.csv"))


def test_one_clear_entry_makes_a_7z_plain(fresh):
    fresh.seven("-px", "-ms=off", "secret.csv")
    assert ("7z", PLAIN) == told(fresh.seven("-ms=off", "other.csv"))


# --- what is plain, and what is nothing


def test_what_is_plain_is_told_by_its_first_bytes(work, tmp_path):
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as file:
        file.add(work.folder / "secret.csv", "secret.csv")
    with sqlite3.connect(tmp_path / "a.db") as db:
        db.execute("CREATE TABLE a(b)")
    db.close()
    plain = {
        "gzip": gzip.compress(SECRET),
        "bzip2": bz2.compress(SECRET),
        "xz": lzma.compress(SECRET),
        "tar": tar.getvalue(),
        "sqlite": (tmp_path / "a.db").read_bytes(),
        "text": SECRET,
        "pdf": b"%PDF-1.7\n\xff\xfe",
        "riff": b"RIFF\x00\x01\x02\x03WAVE",
        "zstd": b"\x28\xb5\x2f\xfd\x04\x00",
        "lz4": b"\x04\x22\x4d\x18\x64\x40",
        "pg_dump": b"PGDMP\x01\x0e\x00",
        "mysqldump": b"-- MySQL dump 10.13\n",
    }
    assert {name: (name, PLAIN) for name in plain} == {name: told(content) for name, content in plain.items()}
    assert ("text", PLAIN) == told(("ä" * 40_000).encode())


@pytest.mark.parametrize(
    "content", [b"", os.urandom(100_000), b"\x00" * 5000, b"\x8c", b"\xc3\x28\xa0\xa1", b"7z\xbc\xaf\x27\x1c", b"PK\x03\x04"]
)
def test_what_is_in_no_known_form_is_unknown(content):
    assert UNKNOWN == told(content)[1]


def test_no_first_bytes_whatever_raise():
    seeds = [
        b"age-encryption.org/v1\n-> ",
        b"\x84\x8c\x03",
        b"PK\x03\x04",
        b"7z\xbc\xaf\x27\x1c\x00\x04",
        b"LUKS\xba\xbe\x00\x02",
        b"0\x82",
        b"-----BEGIN PGP MESSAGE-----\n",
    ]
    for seed in seeds:
        for _ in range(300):
            told(seed + os.urandom(200))


def test_what_breaks_a_promise():
    assert "" == breach(Recognised("age", GOOD), "age")
    assert "" == breach(Recognised("luks", UNAUTHENTICATED), "any")
    assert "another-format" == breach(Recognised("age", GOOD), "openpgp")
    assert ["weak", "plain", "unknown", "server-side"] == [
        breach(Recognised("x", name), "any") for name in ("weak", "plain", "unknown", "server_side")
    ]
