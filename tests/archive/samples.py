"""Real files of every format that is recognised, made by the programs that make them, and some made byte by byte."""

import shutil
import subprocess
from pathlib import Path

import pytest

SECRET = b"name,telephone\nAnna,01484 555123\n" * 40


def tool(name: str) -> str:
    """The path of a program; without it the test is skipped, which says so."""
    found = shutil.which(name, path="/usr/bin:/usr/sbin:/bin:/sbin:/usr/local/bin")
    if found is None:
        pytest.skip(f"SKIPPED WITHOUT {name}: what it writes is not recognised here")
    return found


class Workshop:
    """A folder with a plain file `secret.csv` in it, in which programs are run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "secret.csv").write_bytes(SECRET)
        (folder / "other.csv").write_bytes(SECRET[::-1])
        self._gnupg = folder / "gnupg"

    def run(self, program: str, *args: str, stdin: bytes | None = None, env: dict[str, str] | None = None) -> bytes:
        done = subprocess.run(
            [tool(program), *args], cwd=self.folder, input=stdin, env=env, capture_output=True, timeout=120, check=False
        )
        assert done.returncode == 0, (program, args, done.stderr)
        return done.stdout

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    # age

    def identity(self) -> str:
        """A new identity in `identity.txt`, and its recipient."""
        if not (self.folder / "identity.txt").exists():
            self.run("age-keygen", "-o", "identity.txt")
        return self.run("age-keygen", "-y", "identity.txt").decode().strip()

    def age(self, *options: str) -> bytes:
        return self.run("age", *options, "-r", self.identity(), "secret.csv")

    # OpenPGP

    def gpg(self, *args: str, stdin: bytes = SECRET) -> bytes:
        if not self._gnupg.exists():
            self._gnupg.mkdir(mode=0o700)
            self._run_gpg("--passphrase", "", "--quick-gen-key", "backup@example.org", "default", "default", "never")
        return self._run_gpg(*args, stdin=stdin)

    def _run_gpg(self, *args: str, stdin: bytes | None = None) -> bytes:
        quiet = (
            "--homedir",
            str(self._gnupg),
            "--batch",
            "--quiet",
            "--yes",
            "--pinentry-mode",
            "loopback",
            "--trust-model",
            "always",
        )
        return self.run("gpg", *quiet, *args, stdin=stdin)

    def close(self) -> None:
        """Ends the agent that gpg has started for its folder."""
        if self._gnupg.exists():
            self.run("gpgconf", "--homedir", str(self._gnupg), "--kill", "all")

    # and others

    def seven(self, *args: str) -> bytes:
        self.run("7z", "a", "-bd", "-y", "made.7z", *args)
        return self.read("made.7z")

    def zipped(self, *args: str) -> bytes:
        self.run("zip", "-q", "made.zip", *args)
        return self.read("made.zip")

    def seven_zipped(self, *args: str) -> bytes:
        self.run("7z", "a", "-bd", "-y", "-tzip", "made.zip", *args)
        return self.read("made.zip")

    def certificate(self) -> None:
        self.run(
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=x"
        )

    def cms(self, *args: str) -> bytes:
        self.certificate()
        self.run("openssl", "cms", *args, "-binary", "-in", "secret.csv", "-out", "made.cms", "cert.pem")
        return self.read("made.cms")

    def luks(self, *args: str) -> bytes:
        with (self.folder / "disk").open("wb") as file:
            file.truncate(20 * 2**20)
        fast = ("--batch-mode", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
        self.run("cryptsetup", "luksFormat", *fast, *args, "disk", "-", stdin=b"a long pass phrase")
        return self.read("disk")
