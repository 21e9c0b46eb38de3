# SPDX-License-Identifier: MIT
"""What an enclave measures to, and a SIGSTRUCT for it: a way of its own, not epcd's nor epcsign's.

SDM volume 3D: SIGSTRUCT, EINIT; PKCS #1 v1.5 with SHA-256, RSA-3072, exponent 3.
"""
import hashlib
import struct

PAGE = 4096
CHUNK = 256
SECINFO_TCS, SECINFO_REG_RW = 0x100, 0x203
MODE64BIT, DEBUG, XFRM_LEGACY = 4, 2, 3
NR_BYTES = 384
DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


def prime(seed, distance):
    """distance: to the first prime after the hashes of the seed that is 2 modulo 3."""
    text = b"".join(hashlib.sha256(f"{seed}-{index}".encode()).digest() for index in range(6))
    return (int.from_bytes(text, "big") | 3 << 1534 | 1) + distance


# A key that everybody knows, for tests.
P, Q = prime("epcd test key p", 998), prime("epcd test key q", 856)
MODULUS = P * Q
SECRET = pow(3, -1, (P - 1) * (Q - 1))


class Measurement:
    """MRENCLAVE, block by block."""

    def __init__(self, size, ssa_frame_pages=1):
        self._hash = hashlib.sha256(struct.pack("<8sIQ44x", b"ECREATE", ssa_frame_pages, size))

    def add(self, offset, secinfo_flags):
        self._hash.update(struct.pack("<8sQQ40x", b"EADD", offset, secinfo_flags))

    def extend(self, offset, chunk):
        self._hash.update(struct.pack("<8sQ48x", b"EEXTEND", offset) + chunk.ljust(CHUNK, b"\0"))

    def digest(self):
        return self._hash.digest()


def sigstruct(mrenclave, attributes=MODE64BIT | DEBUG, xfrm=XFRM_LEGACY):
    """1808 bytes. The attributes must be exactly these, but for those that the masks leave out."""
    head = (bytes.fromhex("06000000e10000000000010000000000") + struct.pack("<II", 0, 0x20240131)
            + bytes.fromhex("01010000600000006000000001000000") + bytes(4 + 84))
    body = (bytes(4 + 4 + 4 + 16) + struct.pack("<QQQQ", attributes, xfrm, 0xFFFFFFFFFFFFFFFF, 3)
            + mrenclave + bytes(16 + 16) + struct.pack("<HH", 7, 3))
    digest = hashlib.sha256(head + body).digest()
    padding = NR_BYTES - 3 - len(DIGEST_INFO) - len(digest)
    message = int.from_bytes(b"\0\1" + b"\xff" * padding + b"\0" + DIGEST_INFO + digest, "big")
    signature = pow(message, SECRET, MODULUS)
    q1 = signature * signature // MODULUS
    q2 = (signature * signature - q1 * MODULUS) * signature // MODULUS

    def number(value):
        return value.to_bytes(NR_BYTES, "little")
    return (head + number(MODULUS) + struct.pack("<I", 3) + number(signature) + body + bytes(12)
            + number(q1) + number(q2))
