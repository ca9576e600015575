"""A small OpenID issuer: discovery, keys, a page on which a person agrees, and tokens that it signs (ES256).

It checks what a client has to do (PKCE, the client's secret, the redirect URI), and a test says how it misbehaves.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

Json: TypeAlias = dict[str, Any]

CLIENT_ID, CLIENT_SECRET = "parlor-tests", "a secret of & the client's"
WELL_KNOWN = "/.well-known/openid-configuration"


class IssuerKey:
    """One that it signs with."""

    def __init__(self, kid: str) -> None:
        self.kid = kid
        self.private = ec.generate_private_key(ec.SECP256R1())
        made = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        self.public: Json = {**made, "kid": kid, "use": "sig", "alg": "ES256"}
        self.public.pop("key_ops", None)

    def sign(self, claims: Json) -> str:
        return jwt.encode(claims, self.private, algorithm="ES256", headers={"kid": self.kid})


class OpenIdIssuer:
    """Listens from ``start`` to ``stop``, which may be repeated: the address stays."""

    def __init__(self, now: Callable[[], float], host: str = "127.0.0.1", port: int = 0) -> None:
        """``host``: a name of this machine. To a browser, ``localhost`` is another site than 127.0.0.1."""
        self.host, self.port = host, port
        self.person: Json = {"sub": "ada@id.example"}
        """The claims of whoever agrees."""
        self.keys = [IssuerKey("first")]
        """What the key set has; the last one signs."""
        self.metadata: Json = {}
        """Changes of the description; None leaves a member out."""
        self.claims: Json = {}
        """Changes of ID tokens; None leaves a claim out."""
        self.sign: Callable[[Json], str] | None = None
        """Signs ID tokens instead."""
        self.answer: tuple[int, bytes] | None = None
        """The token endpoint's answer, whatever is asked."""
        self.broken: set[str] = set()
        """Paths that are answered with 500."""
        self.asked: Counter[str] = Counter()
        self._now = now
        self._codes: dict[str, dict[str, str]] = {}
        self._numbers = count(1)
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        handler = type("Handler", (_Handler,), {"issuer": self})
        self._server = _Server(("127.0.0.1", self.port), handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def stop(self) -> None:
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server = self._thread = None

    def rotate(self, *, forget: bool = False) -> None:
        """Signs with a new key; ``forget``: the earlier ones leave the key set."""
        new = IssuerKey(uuid4().hex)
        self.keys = [new] if forget else [*self.keys, new]

    def description(self) -> Json:
        found = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "authorization_response_iss_parameter_supported": True,
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
        }
        return {name: value for name, value in (found | self.metadata).items() if value is not None}

    def page(self, query: dict[str, str]) -> tuple[int, bytes]:
        """Where the person agrees, or does not."""
        known = query.get("client_id") == CLIENT_ID and query.get("response_type") == "code"
        if not known or query.get("code_challenge_method") != "S256" or "openid" not in query.get("scope", "").split():
            return 400, b"not a request of our client"
        code = f"code-{next(self._numbers)}"
        self._codes[code] = query
        back = {"state": query["state"], "iss": self.url}
        links = {"allow": {"code": code, **back}, "deny": {"error": "access_denied", **back}}
        target = query["redirect_uri"]
        text = "".join(
            f'<p><a id="{name}" href="{html.escape(f"{target}?{urlencode(more)}")}">{name}</a></p>'
            for name, more in links.items()
        )
        return 200, f"<!doctype html><title>Issuer</title>{text}".encode()

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, bytes]:
        """The tokens for a code, which is good once."""
        if self.answer is not None:
            return self.answer
        basic = f"Basic {base64.b64encode(f'{CLIENT_ID}:{CLIENT_SECRET}'.encode()).decode()}"
        if authorization != basic and form.get("client_secret") != CLIENT_SECRET:
            return 401, b'{"error":"invalid_client"}'
        asked = self._codes.pop(form.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if (
            asked is None
            or asked["code_challenge"] != challenge.decode().rstrip("=")
            or asked["redirect_uri"] != form.get("redirect_uri")
        ):
            return 400, b'{"error":"invalid_grant"}'
        now = int(self._now())
        said = {"iss": self.url, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": asked.get("nonce")}
        claims = {name: value for name, value in (said | self.person | self.claims).items() if value is not None}
        id_token = (self.sign or self.keys[-1].sign)(claims)
        found = {"access_token": "opaque", "token_type": "Bearer", "expires_in": 300, "id_token": id_token}
        return 200, json.dumps(found).encode()


class _Server(ThreadingHTTPServer):
    request_queue_size = 100


class _Handler(BaseHTTPRequestHandler):
    issuer: OpenIdIssuer

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        match parts.path:
            case path if path == WELL_KNOWN:
                found, kind = (200, json.dumps(self.issuer.description()).encode()), "application/json"
            case "/keys":
                keys = {"keys": [key.public for key in self.issuer.keys]}
                found, kind = (200, json.dumps(keys).encode()), "application/json"
            case "/authorize":
                found, kind = self.issuer.page(query), "text/html"
            case "/favicon.ico":
                found, kind = (204, b""), "image/x-icon"
            case _:
                found, kind = (404, b""), "text/plain"
        self._answer(parts.path, found, kind)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        found = self.issuer.token(form, self.headers.get("Authorization", ""))
        self._answer(self.path, found, "application/json")

    def _answer(self, path: str, found: tuple[int, bytes], kind: str) -> None:
        self.issuer.asked[path] += 1
        status, content = (500, b"") if path in self.issuer.broken else found
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing."""
