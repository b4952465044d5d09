"""Chains: put in order and sent without the root; each link that doesn't hold is named."""

from __future__ import annotations

import datetime
import itertools
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from orthweb.errors import InputError
from orthweb.pki import (
    PrivateKey,
    ServerCertificate,
    certificates_pem,
    check_server_certificate,
    load_certificate,
    load_key,
    private_key_pem,
)

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
NAME = "pacs.example.org"


@dataclass(frozen=True)
class Pair:
    certificate: x509.Certificate
    key: PrivateKey


def make(
    name: str,
    issuer: Pair | None = None,
    *,
    authority: bool = True,
    key: PrivateKey | None = None,
    start: datetime.datetime = NOW - DAY,
    end: datetime.datetime = NOW + 90 * DAY,
    most_below: int | None = None,
    extensions: Sequence[x509.ExtensionType] = (),
) -> Pair:
    """Make a certificate with any fault one likes, signed by `issuer` or by itself."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(authority, most_below if authority else None), critical=True)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return Pair(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


def server(issuer: Pair | None, name: str = NAME) -> Pair:
    names = x509.SubjectAlternativeName([x509.DNSName(name)])
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    return make(name, issuer, authority=False, extensions=[names, usage])


def check(
    folder: Path, leaf: Pair, chain: Sequence[Pair] | None, *, beside: Sequence[Pair] = (), name: str = NAME
) -> ServerCertificate:
    """Write the files and check them; `beside` goes into the certificate's own file."""
    (folder / "x.crt").write_bytes(certificates_pem(pair.certificate for pair in [leaf, *beside]))
    (folder / "x.key").write_bytes(private_key_pem(leaf.key))
    path = None
    if chain is not None:
        path = folder / "chain.pem"
        path.write_bytes(certificates_pem(pair.certificate for pair in chain))
    return check_server_certificate(
        folder / "x.crt", folder / "x.key", path, [name], datetime.datetime.now(datetime.UTC)
    )


def made_by_openssl(folder: Path, name: str, *issuer: str) -> Pair:
    """Make an authority signed with SHA-1, which the library doesn't do any more."""
    assert shutil.which("openssl"), "openssl is missing: apt-get install openssl"
    command = ["openssl", "req", "-x509", "-nodes", "-sha1", "-days", "90", "-subj", f"/CN={name}", *issuer]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-keyout", f"{name}.key", "-out", f"{name}.crt"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
    return Pair(load_certificate(folder / f"{name}.crt"), load_key(folder / f"{name}.key"))


ROOT = make("root")
UPPER = make("upper", ROOT)
LOWER = make("lower", UPPER)
LEAF = server(LOWER)


@pytest.mark.parametrize("order", list(itertools.permutations([ROOT, UPPER, LOWER])))
def test_a_chain_in_any_order_is_sent_in_the_right_one_without_its_root(
    order: tuple[Pair, ...], tmp_path: Path
) -> None:
    checked = check(tmp_path, LEAF, order)
    assert checked.chain == (LOWER.certificate, UPPER.certificate, ROOT.certificate)
    assert checked.fullchain_pem == certificates_pem(pair.certificate for pair in (LEAF, LOWER, UPPER))
    assert checked.notes == ()


def test_openssl_verifies_what_is_sent(tmp_path: Path) -> None:
    assert shutil.which("openssl"), "openssl is missing: apt-get install openssl"
    checked = check(tmp_path, LEAF, [UPPER, ROOT, LOWER])
    (tmp_path / "full.pem").write_bytes(checked.fullchain_pem)
    (tmp_path / "root.pem").write_bytes(certificates_pem([ROOT.certificate]))
    command = ["openssl", "verify", "-purpose", "sslserver", "-verify_hostname", NAME, "-CAfile", "root.pem"]
    command += ["-untrusted", "full.pem", "full.pem"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert said.stdout == "full.pem: OK\n", said.stderr


def test_intermediates_in_the_certificate_s_own_file_need_no_chain(tmp_path: Path) -> None:
    checked = check(tmp_path, LEAF, None, beside=[LOWER, UPPER])
    assert checked.chain == (LOWER.certificate, UPPER.certificate)
    assert checked.notes == ()


def test_a_certificate_that_is_not_the_first_in_its_file_is_found_by_its_key(tmp_path: Path) -> None:
    (tmp_path / "x.crt").write_bytes(certificates_pem(pair.certificate for pair in (ROOT, LOWER, LEAF, UPPER)))
    (tmp_path / "x.key").write_bytes(private_key_pem(LEAF.key))
    checked = check_server_certificate(tmp_path / "x.crt", tmp_path / "x.key", None, [NAME], NOW)
    assert checked.certificate == LEAF.certificate
    assert len(checked.chain) == 3


def test_a_chain_that_repeats_the_certificate_and_itself_passes(tmp_path: Path) -> None:
    checked = check(tmp_path, LEAF, [LEAF, LOWER, UPPER, LOWER], beside=[LOWER])
    assert checked.chain == (LOWER.certificate, UPPER.certificate)


def test_a_chain_of_another_authority_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=rf"chain\.pem: .* none of its certificates signed 'CN={NAME}', whose issuer is"
    ):
        check(tmp_path, LEAF, [make("elsewhere")])


def test_a_chain_with_a_gap_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"chain\.pem: .* 'CN=root' is no link of it, its last is 'CN=lower'"):
        check(tmp_path, LEAF, [LOWER, ROOT])


def test_a_chain_without_the_lowest_link_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"chain\.pem: .* none of its certificates signed"):
        check(tmp_path, LEAF, [UPPER, ROOT])


def test_an_authority_of_the_right_name_and_another_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"chain\.pem: .* 'CN=lower' has the name of the issuer .* and didn't sign it"):
        check(tmp_path, LEAF, [make("lower", UPPER), UPPER])


def test_a_certificate_changed_after_it_was_signed_is_refused(tmp_path: Path) -> None:
    der = LEAF.certificate.public_bytes(Encoding.DER)
    changed = Pair(x509.load_der_x509_certificate(der.replace(b"pacs.example.org", b"pacz.example.org")), LEAF.key)
    with pytest.raises(InputError, match=r"chain\.pem: .* 'CN=lower' .* didn't sign it"):
        check(tmp_path, changed, [LOWER, UPPER], name="pacz.example.org")


def test_a_wrong_root_at_the_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"chain\.pem: .* 'CN=root' has the name of the issuer of 'CN=upper'"):
        check(tmp_path, LEAF, [LOWER, UPPER, make("root")])


def test_a_stranger_beside_a_good_chain_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'CN=elsewhere' is no link of it, its last is 'CN=root'"):
        check(tmp_path, LEAF, [LOWER, UPPER, ROOT, make("elsewhere")])


def test_a_stranger_in_the_certificate_s_own_file_is_refused_under_that_file_s_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.crt: the chain doesn't verify"):
        check(tmp_path, LEAF, None, beside=[make("elsewhere")])


def test_a_chain_for_a_self_signed_certificate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is self-signed, and 'CN=root' has no part in it: leave the chain out"):
        check(tmp_path, server(None), [ROOT])


def test_a_self_signed_certificate_as_its_own_chain_passes(tmp_path: Path) -> None:
    leaf = server(None)
    assert check(tmp_path, leaf, [leaf]).chain == ()


def test_an_authority_with_the_server_s_own_name_is_not_taken_for_self_signed(tmp_path: Path) -> None:
    namesake = make(NAME)
    leaf = server(namesake)
    assert check(tmp_path, leaf, [namesake]).chain == (namesake.certificate,)
    assert check(tmp_path, leaf, None).notes == (f"no chain was given: clients must know 'CN={NAME}' already",)


def test_an_expired_link_is_refused_with_its_day(tmp_path: Path) -> None:
    old = make("old", ROOT, end=NOW - DAY, start=NOW - 9 * DAY)
    with pytest.raises(InputError, match=rf"chain\.pem: .* 'CN=old' expired on {NOW - DAY:%Y-%m-%d}"):
        check(tmp_path, server(old), [old, ROOT])


def test_a_link_of_the_future_is_refused(tmp_path: Path) -> None:
    early = make("early", ROOT, start=NOW + DAY)
    with pytest.raises(InputError, match=r"chain\.pem: .* 'CN=early' is not valid before"):
        check(tmp_path, server(early), [early, ROOT])


def test_an_expired_cross_signature_does_not_hide_the_root_that_holds(tmp_path: Path) -> None:
    old_root = make("old root", end=NOW - DAY, start=NOW - 9 * DAY)
    crossed = make("root", old_root, key=ROOT.key, end=NOW - DAY, start=NOW - 9 * DAY)
    middle = make("middle", ROOT)
    checked = check(tmp_path, server(middle), [middle, crossed, ROOT])
    assert checked.chain == (middle.certificate, ROOT.certificate)


def test_a_link_that_is_no_authority_is_refused(tmp_path: Path) -> None:
    plain = make("plain", ROOT, authority=False)
    with pytest.raises(InputError, match=r"chain\.pem: .* 'CN=plain' isn't an authority and signed another"):
        check(tmp_path, server(plain), [plain, ROOT])


def test_an_authority_that_may_not_sign_certificates_is_refused(tmp_path: Path) -> None:
    usage = x509.KeyUsage(True, False, False, False, False, False, True, False, False)
    crl_only = make("crl only", ROOT, extensions=[usage])
    with pytest.raises(InputError, match="'CN=crl only' isn't an authority and signed another"):
        check(tmp_path, server(crl_only), [crl_only, ROOT])


def test_an_authority_with_too_many_below_it_is_refused(tmp_path: Path) -> None:
    short = make("short", most_below=0)
    middle = make("middle", short)
    with pytest.raises(InputError, match="'CN=short' allows 0 authorities below it, and there are 1"):
        check(tmp_path, server(middle), [middle, short])
    assert len(check(tmp_path, server(short), [short]).chain) == 1


def test_an_authority_with_a_weak_key_is_refused(tmp_path: Path) -> None:
    weak = make("weak", ROOT, key=rsa.generate_private_key(65537, 1024))  # noqa: S505
    with pytest.raises(InputError, match="'CN=weak' would be refused: the key is RSA 1024"):
        check(tmp_path, server(weak), [weak, ROOT])


def test_an_authority_signed_with_sha1_is_refused_and_a_root_s_own_signature_is_not_looked_at(
    tmp_path: Path,
) -> None:
    root = made_by_openssl(tmp_path, "root")
    middle = made_by_openssl(tmp_path, "middle", "-CA", "root.crt", "-CAkey", "root.key")
    assert len(check(tmp_path, server(root), [root]).chain) == 1
    with pytest.raises(InputError, match="'CN=middle' would be refused: the signature is ecdsa-with-SHA1"):
        check(tmp_path, server(middle), [middle, root])


def test_an_authority_limited_to_other_names_is_refused(tmp_path: Path) -> None:
    limit = x509.NameConstraints([x509.DNSName("hospital.example")], None)
    limited = make("limited", ROOT, extensions=[limit])
    with pytest.raises(InputError, match=r"chain\.pem: .* an authority in it is limited to certain names"):
        check(tmp_path, server(limited), [limited, ROOT])
    inside = "pacs.hospital.example"
    assert len(check(tmp_path, server(limited, inside), [limited, ROOT], name=inside).chain) == 2
    assert len(check(tmp_path, server(limited, "*.hospital.example"), [limited], name=inside).chain) == 1
