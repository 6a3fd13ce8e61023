"""Public keys of identity providers, as JSON Web Key Sets (RFC 7517) that somebody configured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

JWKS_BYTES_MAX: Final = 65_536
KEYS_MAX: Final = 20
RSA_BITS_MIN: Final = 2_048
_BITS_PER_CHARACTER: Final = 6
_TYPES: Final = frozenset({"RSA", "EC", "OKP"})
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

Key = RSAKey | ECKey | OKPKey


class InvalidJwks(Exception):
    """A key set that is not taken; the message says why."""


class KeySet:
    """The keys of a provider. Which of them verifies a token is decided by its `kid` among these, and by nothing else."""

    def __init__(self, keys: Sequence[tuple[Mapping[str, Any], Key]]) -> None:
        self._keys = keys

    def key_for(self, header: Mapping[str, str]) -> Key | None:
        """The one key a header can mean; None where there is none, or several, or it is for another algorithm or use."""
        kid = header.get("kid")
        found = [(told, key) for told, key in self._keys if kid is None or told.get("kid") == kid]
        if len(found) != 1:
            return None
        told, key = found[0]
        for_signatures = told.get("use", "sig") == "sig" and "verify" in told.get("key_ops", ["verify"])
        return key if for_signatures and told.get("alg", header["alg"]) == header["alg"] else None


def parse_jwks(text: str) -> KeySet:
    """Raises `InvalidJwks` for what is none, has private or secret keys, weak ones, or two of one `kid`."""
    if len(text.encode()) > JWKS_BYTES_MAX:
        raise InvalidJwks(f"it is longer than {JWKS_BYTES_MAX} bytes")
    try:
        told = json.loads(text)["keys"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise InvalidJwks('it is no JSON object with "keys"') from None
    if (
        not isinstance(told, list)
        or not 1 <= len(told) <= KEYS_MAX
        or not all(isinstance(key, dict) for key in told)
    ):
        raise InvalidJwks(f"it must have from 1 to {KEYS_MAX} keys")
    kids = [key["kid"] for key in told if "kid" in key]
    if len({str(kid) for kid in kids}) != len(kids) or not all(isinstance(kid, str) for kid in kids):
        raise InvalidJwks("two of its keys have one kid, or a kid is no text")
    return KeySet([(key, _key(key)) for key in told])


def _key(told: dict[str, Any]) -> Key:
    kty = told.get("kty")
    if not isinstance(kty, str) or kty not in _TYPES:
        raise InvalidJwks("a key is of no type that signs: RSA, EC or OKP")
    if told.keys() & _PRIVATE:
        raise InvalidJwks("it holds a private key: give the public ones alone")
    if kty == "RSA" and len(str(told.get("n", ""))) * _BITS_PER_CHARACTER < RSA_BITS_MIN:
        # Looked at before it is read: the library only warns of it.
        raise InvalidJwks(f"an RSA key has less than {RSA_BITS_MIN} bits")
    try:
        key = JWKRegistry.import_key(told)
        public = key.get_op_key("verify")
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidJwks(f"a key cannot be read ({type(error).__name__})") from None
    if isinstance(public, RSAPublicKey) and public.key_size < RSA_BITS_MIN:
        raise InvalidJwks(f"an RSA key has less than {RSA_BITS_MIN} bits")
    assert isinstance(key, Key)
    return key
