# SPDX-License-Identifier: Apache-2.0
"""How client and service prove to each other that they know the token, without sending it first."""

from __future__ import annotations

import hashlib
import hmac
import re

NONCE = re.compile(r"[0-9a-f]{32,64}")
PROTOCOL_HEADER = "X-Mapreel-Protocol"


def service_proof(token: str, nonce: str, port: int) -> str:
    """What only the service on this port can answer; the port keeps a squatter from handing a question on."""
    text = f"mapreel-service-proof:{port}:{nonce}"
    return hmac.new(token.encode("ascii"), text.encode("ascii"), hashlib.sha256).hexdigest()


def same(one: str, other: str) -> bool:
    """Compare secrets in constant time."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))
