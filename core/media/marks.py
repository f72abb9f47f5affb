# SPDX-License-Identifier: GPL-3.0-or-later
"""Marks of synthetic pictures: IPTC's digital source type as XMP, and C2PA manifests signed by the user.

C2PA 2.x, assertion c2pa.actions.v2 with the action c2pa.created and IPTC's digitalSourceType; c2pa-python is an extra.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mapreel.core.contract.errors import MissingInputError, UsageError
from mapreel.core.contract.pictures import FileKind, FileSpec
from mapreel.core.contract.versions import installed_version

TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""Made by a network that learnt from samples: the term of IPTC's controlled vocabulary."""
MIME_TYPES = {
    ".png": "image/png",
    ".tif": "image/tiff",
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
}
MAX_PEM_BYTES = 1 << 20
_SMALLEST_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b55"
    "0000000a49444154789c6360000000020001"
    "48afa471"
    "0000000049454e44ae426082"
)
_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    'Iptc4xmpExt:DigitalSourceType="{kind}"/></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)


def source_type_xmp() -> bytes:
    """The XMP packet that says: made by a trained network."""
    return _XMP.format(kind=TRAINED).encode()


@dataclass(frozen=True, kw_only=True)
class Signer:
    """Signs finished files with a C2PA manifest. certificate and key: PEM files; the chain's first one signs."""

    certificate: Path
    key: Path
    title: str
    model: Mapping[str, str]
    """Name, sha-256 and licence of the weights, for the manifest's action."""

    def check(self, spec: FileSpec) -> None:
        """Raises UsageError for files that cannot hold a manifest or without the package, MissingInputError."""
        if spec.suffix not in MIME_TYPES or spec.kind is FileKind.EXR:
            raise UsageError(f"C2PA has no place in {spec.name} ({spec.suffix})", "use PNG, TIFF, MP4 or MOV")
        with io.BytesIO(_SMALLEST_PNG) as source, io.BytesIO() as target:  # an expired certificate is told now
            self._sign(source, target, ".png")

    def sign(self, path: Path, suffix: str) -> None:
        """Replace the file by its signed twin. Raises OutputError, UsageError, MissingInputError."""
        signed = path.with_name(f"{path.stem}.c2pa{path.suffix}")
        try:
            with path.open("rb") as source, signed.open("w+b") as target:
                self._sign(source, target, suffix)
            signed.replace(path)
        finally:
            signed.unlink(missing_ok=True)

    def _sign(self, source: BinaryIO, target: BinaryIO, suffix: str) -> None:
        c2pa = _package()
        chain, key = _read_pem(self.certificate), _read_pem(self.key)
        settings = {"verify": {"verify_after_sign": False}, "builder": {"thumbnail": {"enabled": False}}}
        try:
            info = c2pa.C2paSignerInfo(_algorithm(key, self.key.name), chain, key, None)
            with (
                c2pa.Context(c2pa.Settings.from_dict(settings)) as context,
                c2pa.Signer.from_info(info) as signer,
                c2pa.Builder(json.dumps(self._manifest(suffix)), context) as builder,
            ):
                builder.sign(signer, MIME_TYPES[suffix], source, target)
        except c2pa.C2paError as exc:
            raise UsageError(
                f"nothing can be signed with {self.certificate.name} and {self.key.name}",
                "give a valid certificate chain for C2PA signing and the key that fits it, both as PEM",
                detail=str(exc),
                file=str(self.certificate),
            ) from exc

    def _manifest(self, suffix: str) -> dict[str, Any]:
        version = installed_version("mapreel")
        agent = {"name": "Mapreel", "version": version}
        action = {
            "action": "c2pa.created",
            "digitalSourceType": TRAINED,
            "softwareAgent": agent,
            "parameters": {"com.mapreel.model": dict(self.model)},
        }
        return {
            "claim_generator_info": [agent],
            "title": self.title,
            "format": MIME_TYPES[suffix],
            "ingredients": [
                {
                    "title": f"the weights “{self.model.get('name', 'unknown')}”",
                    "format": "application/vnd.safetensors",
                    "relationship": "inputTo",
                    "instance_id": f"sha256:{self.model.get('sha256', '')}",
                    "data_types": [{"type": "c2pa.types.model.pytorch"}],
                }
            ],
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
        }


def read_manifest(path: Path) -> dict[str, Any] | None:
    """The C2PA manifest store of a file as its reader tells it, None where there is none. Raises UsageError."""
    c2pa = _package()
    try:
        with path.open("rb") as stream, c2pa.Reader(MIME_TYPES[path.suffix.lower()], stream) as reader:
            told: dict[str, Any] = json.loads(reader.json())
            return told
    except c2pa.C2paError as exc:
        if "ManifestNotFound" in str(exc):
            return None
        raise UsageError(f"the C2PA mark of {path.name} cannot be read", "render again", detail=str(exc)) from exc


_OIDS = (  # as they stand in the key's DER: RFC 5480, RFC 8410, RFC 8017
    (bytes.fromhex("06082a8648ce3d030107"), "es256"),
    (bytes.fromhex("06052b81040022"), "es384"),
    (bytes.fromhex("06052b81040023"), "es512"),
    (bytes.fromhex("06032b6570"), "ed25519"),
    (bytes.fromhex("06092a864886f70d010101"), "ps256"),
)


def _algorithm(key: bytes, name: str) -> str:
    """C2PA's name of the signature that a private key makes. Raises UsageError for an encrypted or unknown one."""
    der = b""
    if b"PRIVATE KEY" in key and b"ENCRYPTED" not in key:
        lines = [line for line in key.splitlines() if not line.startswith(b"-----")]
        with contextlib.suppress(ValueError):
            der = base64.b64decode(b"".join(lines))
    for oid, word in _OIDS:
        if oid in der:
            return word
    raise UsageError(
        f"{name} is no private key that signs C2PA", "give a PKCS#8 key without password: P-256, Ed25519 or RSA"
    )


def _package() -> Any:
    try:
        import c2pa
    except ImportError as exc:
        raise UsageError(
            "C2PA marks need the package c2pa-python, which is not installed",
            'run: pip install "c2pa-python==0.38.1"',
        ) from exc
    return c2pa


def _read_pem(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_PEM_BYTES)
    except OSError as exc:
        raise MissingInputError(f"{path} cannot be read", "check the name", detail=str(exc), file=str(path)) from exc
    if b"-----BEGIN" not in data:
        raise UsageError(f"{path.name} is no PEM file", "give certificate chain and key as PEM", file=str(path))
    return data
