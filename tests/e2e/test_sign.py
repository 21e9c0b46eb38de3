# SPDX-License-Identifier: MIT
"""epcsign: what it makes, checked by Python's own arithmetic, and what it says of others' work."""
import hashlib
import json
import os
import stat
import struct
import subprocess

import pytest

from harness.sigstruct import DIGEST_INFO, Measurement, sigstruct

pytestmark = pytest.mark.no_tsan  # epcsign has no thread

HASH = bytes(range(32))
SIZE = 1808
KEY_SIZE = 384
DEFAULT_XFRM_MASK = 0xFFFFFFFFFFF9FD1B
FIELDS = {
    "attributes": "0x4", "attribute_mask": "0xfffffffffffffffd", "xfrm": "0x3",
    "xfrm_mask": hex(DEFAULT_XFRM_MASK), "misc": "0x0", "misc_mask": "0xffffffff", "cet": "0x0",
    "cet_mask": "0x0", "prod_id": 0, "svn": 0, "family_id": "00" * 16, "ext_prod_id": "00" * 16,
    "vendor": "0x0", "date": "2024-02-29", "swdefined": "0x0"}


class Sign:
    """Runs epcsign in the test's directory, where key.pem is the key of all tests."""

    def __init__(self, world, key):
        self.world = world
        self.directory = world.directory
        self.path = world.build / "src/sign/epcsign"
        self.write("key.pem", key)

    def __call__(self, *arguments, code=0, env=None):
        process = self.world.run([self.path, *arguments], env=env)
        assert process.wait() == code, process.describe()
        return process

    def make(self, *fields, name="sig"):
        self("--key", "key.pem", "--hash", HASH.hex(), "--date", "20240229", "--out", name, *fields)
        return (self.directory / name).read_bytes()

    def show(self, name="sig", code=0):
        return json.loads(self("--show", name, "--json", code=code).stdout.text())

    def write(self, name, content):
        (self.directory / name).write_bytes(content)
        return name


@pytest.fixture(scope="module")
def key(build, tmp_path_factory):
    """Made once: it takes most of a second."""
    path = tmp_path_factory.mktemp("sign") / "key.pem"
    subprocess.run([build / "src/sign/epcsign", "--new-key", path], check=True)
    return path.read_bytes()


@pytest.fixture
def sign(world, key):
    return Sign(world, key)


def number(content, offset):
    return int.from_bytes(content[offset:offset + KEY_SIZE], "little")


def assert_signed(content):
    """RSA with exponent 3, and the quotients that a processor needs."""
    n, s, q1, q2 = (number(content, offset) for offset in (128, 516, 1040, 1424))
    digest = hashlib.sha256(content[:128] + content[900:1028]).digest()
    padding = b"\xff" * (KEY_SIZE - 3 - len(DIGEST_INFO) - len(digest))
    assert pow(s, 3, n) == int.from_bytes(b"\0\1" + padding + b"\0" + DIGEST_INFO + digest, "big")
    assert q1 == s * s // n
    assert q2 == s * (s * s % n) // n


def test_defaults(sign):
    """Goal: bytes that a processor takes, with the defaults of the manual page."""
    content = sign.make()
    assert len(content) == SIZE
    assert content[:16] == bytes.fromhex("06000000e10000000000010000000000")
    assert content[16:40] == bytes.fromhex("00000000" "29022420" "01010000600000006000000001000000")
    assert content[40:128] == bytes(88)
    assert content[512:516] == b"\3\0\0\0"
    assert content[900:1028] == (
        struct.pack("<II4x16xQQQQ", 0, 0xFFFFFFFF, 4, 3, 2**64 - 3, DEFAULT_XFRM_MASK)
        + HASH + bytes(36))
    assert content[1028:1040] == bytes(12)
    assert_signed(content)
    assert sign.show() == {
        **FIELDS, "mrenclave": HASH.hex(), "is_well_formed": True, "is_signed": True,
        "mrsigner": hashlib.sha256(content[128:512]).hexdigest()}
    shown = sign("--show", "sig").stdout.text()
    assert HASH.hex() in shown and "(mode64bit)" in shown and "2024-02-29" in shown
    assert shown.count("right") == 2


@pytest.mark.parametrize("options, fields", [
    (["--attributes", "debug,mode64bit,kss", "--attribute-mask=~0"],
     {"attributes": "0x86", "attribute_mask": hex(2**64 - 1)}),
    (["--attributes", "0x34", "--attribute-mask=~debug,provisionkey"],
     {"attributes": "0x34", "attribute_mask": hex(2**64 - 1 - 0x12)}),
    (["--attributes", "einittokenkey", "--attribute-mask=0"],
     {"attributes": "0x20", "attribute_mask": "0x0"}),
    (["--xfrm", "7", "--xfrm-mask=~0x4"], {"xfrm": "0x7", "xfrm_mask": hex(2**64 - 5)}),
    (["--misc", "1", "--misc-mask", "~1"], {"misc": "0x1", "misc_mask": "0xfffffffe"}),
    (["--prod-id", "65535", "--svn", "0x10"], {"prod_id": 65535, "svn": 16}),
    (["--attributes", "mode64bit,kss", "--family-id", "0f" * 16, "--ext-prod-id", "F0" * 16],
     {"attributes": "0x84", "family_id": "0f" * 16, "ext_prod_id": "f0" * 16}),
    (["--vendor", "0x8086", "--swdefined", "4294967295", "--date", "1999-12-31"],
     {"vendor": "0x8086", "swdefined": "0xffffffff", "date": "1999-12-31"})])
def test_fields(sign, options, fields):
    """Goal: each option lands in its field and in no other, below the signature."""
    content = sign.make(*options)
    assert_signed(content)
    shown = sign.show()
    assert {name: shown[name] for name in FIELDS} == {**FIELDS, **fields}


def test_same_bytes(sign):
    """Goal: a build that can be repeated. Method: SOURCE_DATE_EPOCH, twice, and --date once."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1709164800"}
    for name in ("one", "two"):
        sign("--key", "key.pem", "--hash", HASH.hex().upper(), "--out", name, env=environment)
    one, two = ((sign.directory / name).read_bytes() for name in ("one", "two"))
    assert one == two == sign.make()


def test_new_key(sign):
    """Goal: a key of its owner's alone, never overwritten, and made and used in one go."""
    sign("--new-key", "new.pem", "--hash", HASH.hex(), "--out", "sig")
    made = (sign.directory / "new.pem").read_bytes()
    assert stat.S_IMODE(os.stat(sign.directory / "new.pem").st_mode) == 0o600
    assert_signed((sign.directory / "sig").read_bytes())
    assert "stays" in sign("--new-key", "new.pem", code=1).stderr.text()
    assert (sign.directory / "new.pem").read_bytes() == made
    first = sign.show()["mrsigner"]
    sign("--key", "new.pem", "--hash", HASH.hex(), "--out", "again")
    assert sign.show("again")["mrsigner"] == first
    sign.make(name="other")
    assert sign.show("other")["mrsigner"] != first


def stream(page, chunk):
    """A TCS page and one with contents, not all of them measured, as SGXS has them."""
    parts = [struct.pack("<8sIQ44x", b"ECREATE", 1, 0x2000),
             struct.pack("<8sQQ40x", b"EADD", 0, 0x100), struct.pack("<8sQQ40x", b"EADD", page, 0x203)]
    return b"".join([
        *parts[:2], struct.pack("<8sQ48x", b"EEXTEND", 0) + bytes(256), parts[2],
        struct.pack("<8sQ48x", b"UNMEASRD", page) + b"\x5a" * 256,
        struct.pack("<8sQ48x", b"EEXTEND", page + 256) + chunk])


def test_pages(sign):
    """Goal: MRENCLAVE from the measured blocks. Method: against the harness's own measurement."""
    chunk = bytes(range(256))
    sign.write("enclave.sgxs", stream(0x1000, chunk))
    sign("--key", "key.pem", "--pages", "enclave.sgxs", "--out", "sig")
    measurement = Measurement(0x2000)
    measurement.add(0, 0x100)
    measurement.extend(0, bytes(256))
    measurement.add(0x1000, 0x203)
    measurement.extend(0x1000 + 256, chunk)
    assert sign.show()["mrenclave"] == measurement.digest().hex()


@pytest.mark.parametrize("content, said", [
    (b"", "byte 0 breaks off"), (b"\x7fELF" + bytes(100), "byte 0 is no block"),
    (stream(0x1000, b"")[64:], "byte 0 is not ECREATE"),
    (stream(0x1000, b""), "byte 832 breaks off"),  # after 64 + 64 + 320 + 64 + 320: EEXTEND
    (stream(0x1000, bytes(256))[:-1], "byte 832 breaks off"),
    (stream(0x1000, bytes(256)) + bytes(64), "byte 1152 is no block"),
    (stream(0x1000, bytes(256)) * 2, "byte 1152 is a second ECREATE"),
    (b"UNSIZED\0" + bytes(56), "size is not fixed")],
    ids=["empty", "elf", "no-ecreate", "no-data", "short", "zeros", "twice", "unsized"])
def test_bad_pages(sign, content, said):
    """Goal: a stream that is none is told where, and nothing is signed."""
    sign.write("bad", content)
    process = sign("--key", "key.pem", "--pages", "bad", "--out", "sig", code=1)
    assert len(process.stderr.lines()) == 1
    assert said in process.stderr.text()
    assert not (sign.directory / "sig").exists()


def test_show_of_others(sign):
    """Goal: right and wrong SIGSTRUCTs are told apart. Method: the harness's own, and bytes changed."""
    good = sigstruct(HASH)
    sign.write("good", good)
    shown = sign.show("good")
    assert (shown["is_well_formed"], shown["is_signed"]) == (True, True)
    assert (shown["mrenclave"], shown["prod_id"], shown["svn"]) == (HASH.hex(), 7, 3)
    for offset, is_well_formed, is_signed in (
            (0, False, False), (127, False, False), (960, True, False), (516, True, False),
            (1040, True, False), (1424, True, False), (1028, False, True), (512, False, True)):
        sign.write("bad", good[:offset] + bytes([good[offset] ^ 1]) + good[offset + 1:])
        shown = sign.show("bad", code=1)
        assert (shown["is_well_formed"], shown["is_signed"]) == (is_well_formed, is_signed), offset
    text = sign("--show", "bad", code=1).stdout.text()
    assert "SGX_INVALID_SIG_STRUCT" in text and "SGX_INVALID_SIGNATURE" not in text


@pytest.mark.parametrize("arguments, said", [
    (["--show", "none"], "none: No such file"), (["--show", "."], ".: Is a directory"),
    (["--show", "short"], "short: it has 1807 bytes"), (["--show", "long"], "more than the 1808"),
    (["--show", "e\x1bvil"], "e\\x1bvil"),
    (["--key", "none", "--hash", HASH.hex(), "--out", "sig"], "none: No such file"),
    (["--key", "short", "--hash", HASH.hex(), "--out", "sig"], "no private key in PEM"),
    (["--key", "key.pem", "--hash", HASH.hex(), "--out", "none/sig"], "none/sig: No such file"),
    (["--key", "key.pem", "--hash", HASH.hex(), "--out", "/dev/full"], "No space left"),
    (["--key", "key.pem", "--pages", "none", "--out", "sig"], "none: No such file"),
    (["--new-key", "none/key.pem"], "none/key.pem: No such file")])
def test_bad_files(sign, arguments, said):
    """Goal: exit code 1, and one line that names the file and the cause."""
    sign.write("short", bytes(SIZE - 1))
    sign.write("long", bytes(SIZE + 1))
    process = sign(*arguments, code=1)
    assert len(process.stderr.lines()) == 1
    assert process.stderr.text().startswith("epcsign: ")
    assert said in process.stderr.text()


def test_wrong_key(sign):
    """Goal: a key that SGX does not take is refused in words. Method: exponent 65537."""
    assert sign.world.run(["openssl", "genrsa", "-out", "usual.pem", "3072"]).wait() == 0
    process = sign("--key", "usual.pem", "--hash", HASH.hex(), "--out", "sig", code=1)
    assert "not a key of RSA-3072 with exponent 3" in process.stderr.text()
    assert not (sign.directory / "sig").exists()
    assert sign.world.run(["openssl", "genrsa", "-3", "-out", "three.pem", "3072"]).wait() == 0
    sign("--key", "three.pem", "--hash", HASH.hex(), "--out", "sig")


SIGNING = ["--key", "key.pem", "--hash", HASH.hex(), "--out", "sig"]


@pytest.mark.parametrize("arguments, said", [
    ([], "nothing to do"), (["word"], "one word too many: word"), (["--colour"], "no such option: --colour"),
    (["-x"], "no such option: -x"), (["--key"], "a value is missing after --key"),
    (["--json=1"], "no value belongs to --json=1"), (["--json"], "--json is for --show"),
    (["--show", "sig", "--svn", "1"], "--show goes with --json only"),
    (["--show", "sig", "--key", "key.pem"], "--show goes with --json only"),
    (["--show", "a", "--show", "b"], "given twice: --show"), (SIGNING[:4], "no --out"),
    (SIGNING[2:], "no key; give --key"), (["--svn", "1"], "no key; give --key"),
    (["--key", "key.pem"], "which enclave?"), (SIGNING + ["--pages", "x"], "which enclave?"),
    (["--new-key", "new.pem", "--svn", "1"], "which enclave?"),
    (SIGNING + ["--new-key", "new.pem"], "give one of them"),
    (["--key", "key.pem", "--hash", "12", "--out", "sig"], "the 64 hexadecimal digits"),
    (["--key", "key.pem", "--hash", "g" * 64, "--out", "sig"], "the 64 hexadecimal digits"),
    (SIGNING + ["--svn", "65536"], "--svn 65536 is too large: it has 16 bits"),
    (SIGNING + ["--xfrm", "18446744073709551616"], "too large: it has 64 bits"),
    (SIGNING + ["--svn", "-1"], "--svn takes a number"), (SIGNING + ["--svn", ""], "--svn takes a number"),
    (SIGNING + ["--svn", "0x"], "--svn takes a number"), (SIGNING + ["--svn", "1 "], "--svn takes a number"),
    (SIGNING + ["--svn", "~"], "--svn takes a number"),
    (SIGNING + ["--attributes", "debug,"], "--attributes takes a number or names"),
    (SIGNING + ["--attributes", "debugging"], "not debugging"),
    (SIGNING + ["--attributes", "mode64bit,\x1b"], "mode64bit,\\x1b"),
    (SIGNING + ["--attributes", "5"], "no enclave has INIT before EINIT"),
    (SIGNING + ["--xfrm", "4"], "add 3"), (SIGNING + ["--vendor", "1"], "--vendor must be 0, or 0x8086"),
    (SIGNING + ["--date", "2024-13-01"], "--date takes a date"),
    (SIGNING + ["--date", "today"], "--date takes a date"),
    (SIGNING + ["--family-id", "12"], "takes 32 hexadecimal digits"),
    (SIGNING + ["--ext-prod-id", "01" * 16], "add --attributes mode64bit,kss")])
def test_bad_use(sign, arguments, said):
    """Goal: exit code 2 and one line, and nothing is made. Method: a table of mistakes."""
    process = sign(*arguments, code=2)
    assert len(process.stderr.lines()) == 1
    assert process.stderr.text().startswith("epcsign: ")
    assert said in process.stderr.text()
    assert not any((sign.directory / name).exists() for name in ("sig", "new.pem"))


def test_help_and_version(sign):
    """Goal: both go to stdout, and the help names every option of the manual page."""
    text = sign("--help").stdout.text()
    for name in ("--key", "--new-key", "--hash", "--pages", "--out", "--show", "--json", "--date",
                 *(f"--{name.replace('_', '-')}" for name in FIELDS if not name.startswith("cet"))):
        assert name in text
    assert sign("--version").stdout.text().startswith("epcsign ")
