"""PEM files: written whole with the right mode, and refused with one line that names the file."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orthweb.errors import Failure, InputError
from orthweb.pki import load_certificate, load_chain, load_key, private_key_pem, write_private

Loader = Callable[[Path], object]


def openssl(folder: Path, *arguments: str) -> None:
    assert shutil.which("openssl"), "openssl is missing: apt-get install openssl"
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a.crt and a.key as openssl writes them."""
    folder = tmp_path_factory.mktemp("made")
    openssl(
        folder,
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "a.key",
        "-out",
        "a.crt",
        "-subj",
        "/CN=a",
    )
    return folder


@contextlib.contextmanager
def ordinary_user() -> Iterator[None]:
    """For root every file is readable: be somebody else for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@contextlib.contextmanager
def disk_full_after(size: int) -> Iterator[None]:
    """No file can grow over `size` bytes, which fails in write() as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_key_is_written_for_its_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        write_private(tmp_path / "x.key", b"secret")
    finally:
        os.umask(umask)
    assert (tmp_path / "x.key").read_bytes() == b"secret"
    assert stat.S_IMODE((tmp_path / "x.key").stat().st_mode) == 0o600


def test_a_certificate_is_readable_by_all_even_under_a_strict_umask(tmp_path: Path) -> None:
    umask = os.umask(0o077)
    try:
        write_private(tmp_path / "x.crt", b"public", 0o644)
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "x.crt").stat().st_mode) == 0o644


def test_a_full_disk_leaves_the_old_file_and_no_remains(tmp_path: Path) -> None:
    path = tmp_path / "x.key"
    write_private(path, b"old")
    with disk_full_after(1000), pytest.raises(Failure, match=r"x\.key: can't be written"):
        write_private(path, b"n" * 5000)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x.key"]


def test_writing_into_a_folder_that_is_not_there_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"none/x\.key: can't be written \(No such file"):
        write_private(tmp_path / "none" / "x.key", b"secret")


def test_writing_over_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.key").mkdir()
    with pytest.raises(Failure, match=r"x\.key: can't be written \(Is a directory\)"):
        write_private(tmp_path / "x.key", b"secret")
    assert os.listdir(tmp_path) == ["x.key"]


@pytest.mark.parametrize("load", [load_certificate, load_chain, load_key])
class TestAnyLoader:
    def test_a_missing_file_is_named(self, load: Loader, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"x\.pem: there is no such file"):
            load(tmp_path / "x.pem")

    def test_a_folder_is_named(self, load: Loader, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="is a folder"):
            load(tmp_path)

    @pytest.mark.parametrize("content", [b"", b"\n \n"])
    def test_an_empty_file_is_named(self, load: Loader, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "x.pem").write_bytes(content)
        with pytest.raises(InputError, match=r"x\.pem: is empty"):
            load(tmp_path / "x.pem")

    def test_a_file_of_somebody_else_is_named(self, load: Loader, tmp_path: Path) -> None:
        path = tmp_path / "x.pem"
        path.write_bytes(b"x")
        path.chmod(0)
        with ordinary_user(), pytest.raises(InputError, match=r"x\.pem: can't be read \(Permission denied\)"):
            load(path)

    def test_a_path_through_a_file_is_named(self, load: Loader, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"x")
        with pytest.raises(InputError, match=r"can't be read \(Not a directory\)"):
            load(tmp_path / "file" / "x.pem")

    def test_a_text_that_is_no_pem_is_named(self, load: Loader, tmp_path: Path) -> None:
        (tmp_path / "x.pem").write_text("this is a letter to the administrator")
        with pytest.raises(InputError, match=r"x\.pem: isn't PEM"):
            load(tmp_path / "x.pem")

    def test_an_endless_file_is_refused(self, load: Loader) -> None:
        with pytest.raises(InputError, match="/dev/zero: is"):
            load(Path("/dev/zero"))


def test_a_certificate_in_der_gets_the_command_that_converts_it(made: Path) -> None:
    openssl(made, "x509", "-in", "a.crt", "-outform", "DER", "-out", "a.der")
    with pytest.raises(InputError, match=r"a\.der: isn't PEM") as caught:
        load_certificate(made / "a.der")
    assert "openssl x509 -inform DER -in a.der" in caught.value.remedy


def test_a_key_given_as_certificate_is_told_apart(made: Path) -> None:
    with pytest.raises(InputError, match=r"a\.key: holds a private key and no certificate"):
        load_certificate(made / "a.key")


def test_a_certificate_given_as_key_is_told_apart(made: Path) -> None:
    with pytest.raises(InputError, match=r"a\.crt: holds a certificate and no private key"):
        load_key(made / "a.crt")


def test_a_truncated_certificate_is_refused(made: Path, tmp_path: Path) -> None:
    text = (made / "a.crt").read_text().splitlines()
    (tmp_path / "cut.crt").write_text("\n".join(text[:-4] + text[-1:]))
    with pytest.raises(InputError, match=r"cut\.crt: a certificate in it can't be read"):
        load_certificate(tmp_path / "cut.crt")


def test_a_certificate_without_its_last_line_is_refused(made: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.crt").write_bytes((made / "a.crt").read_bytes()[:300])
    with pytest.raises(InputError, match=r"cut\.crt: a certificate in it can't be read"):
        load_certificate(tmp_path / "cut.crt")


def test_a_good_certificate_before_a_damaged_one_does_not_hide_it(made: Path, tmp_path: Path) -> None:
    good = (made / "a.crt").read_text()
    (tmp_path / "two.crt").write_text(good + good.replace("MII", "AAA", 1))
    with pytest.raises(InputError, match=r"two\.crt: a certificate in it can't be read"):
        load_chain(tmp_path / "two.crt")


def test_a_truncated_key_is_refused(made: Path, tmp_path: Path) -> None:
    text = (made / "a.key").read_text().splitlines()
    (tmp_path / "cut.key").write_text("\n".join(text[:-4] + text[-1:]))
    with pytest.raises(InputError, match=r"cut\.key: the private key can't be read"):
        load_key(tmp_path / "cut.key")


@pytest.mark.parametrize("form", [[], ["-traditional"]])
def test_a_key_with_a_password_gets_the_command_that_takes_it_off(made: Path, form: list[str]) -> None:
    openssl(made, "rsa", "-in", "a.key", "-aes256", "-passout", "pass:secret", "-out", "locked.key", *form)
    with pytest.raises(InputError, match=r"locked\.key: the private key is protected by a password") as caught:
        load_key(made / "locked.key")
    assert "openssl pkey -in locked.key" in caught.value.remedy


def test_a_key_that_browsers_do_not_know_is_refused(made: Path) -> None:
    openssl(made, "genpkey", "-algorithm", "ED25519", "-out", "ed.key")
    with pytest.raises(InputError, match=r"ed\.key: the private key is Ed25519"):
        load_key(made / "ed.key")


def test_keys_as_openssl_writes_them_are_read(made: Path) -> None:
    openssl(made, "rsa", "-in", "a.key", "-traditional", "-out", "pkcs1.key")
    # The old command puts the curve's parameters before the key.
    openssl(made, "ecparam", "-name", "prime256v1", "-genkey", "-out", "ec.key")
    assert private_key_pem(load_key(made / "pkcs1.key")) == private_key_pem(load_key(made / "a.key"))
    assert b"BEGIN PRIVATE KEY" in private_key_pem(load_key(made / "ec.key"))


def test_a_key_and_its_certificate_in_one_file_are_both_found(made: Path, tmp_path: Path) -> None:
    (tmp_path / "both.pem").write_bytes((made / "a.crt").read_bytes() + (made / "a.key").read_bytes())
    assert load_certificate(tmp_path / "both.pem") == load_certificate(made / "a.crt")
    assert private_key_pem(load_key(tmp_path / "both.pem")) == private_key_pem(load_key(made / "a.key"))


def test_text_around_the_pem_and_windows_line_ends_do_no_harm(made: Path, tmp_path: Path) -> None:
    pem = (made / "a.crt").read_text()
    (tmp_path / "noted.crt").write_bytes(b"subject=CN = a\r\n" + pem.replace("\n", "\r\n").encode())
    assert load_certificate(tmp_path / "noted.crt") == load_certificate(made / "a.crt")
