"""What the code never does: run text as code, trust a certificate unseen, follow addresses that somebody typed.

Each rule reads every module, template and script of the service, so that it holds for what is written tomorrow too.
"""

from __future__ import annotations

import ast
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.clock import SystemClock
from core.errors import TryAgainError
from ingestion.gateway.client import GatewayClient
from operations.alarms.messenger import Messenger
from tests import support_needs
from tests.test_architecture import ROOT, SOURCES, imports_of

SERVICE = {name: tree for name, tree in SOURCES.items() if not name.startswith("simulator/")}
TEMPLATES = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "templates").rglob("*.html"))}
SCRIPTS = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "static" / "js").glob("*.js"))}
RUNS_TEXT = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "render_template_string", "yaml.load"}
UNUSED_LIBRARIES = {"pickle", "marshal", "shelve", "xml", "lxml", "ldap3", "smtplib", "ftplib", "telnetlib", "memcache"}
CALLS_OUT = {
    "ingestion/gateway/client.py",  # the gateway of PROJECTX_*
    "ingestion/feed/hub.py",  # its event hub
    "waves/feed/client.py",  # the signal server of SIGNAL_WS_URL
    "operations/alarms/messenger.py",  # ALARM_URLS and ALARM_HEARTBEAT_URL
    "web/examination/way_in.py",  # `flask doctor` asks for itself through PUBLIC_URL
    "operations/drills/outages.py",  # the demo's own simulator, on the loopback
}
CALLERS = {"httpx", "requests", "urllib.request", "http.client", "websockets", "signalrcore", "apprise", "aiohttp"}
TRUSTED_HTML = {"web/format.py", "web/security/totp.py"}
UNSAFE_SCRIPT = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|localStorage")
UNSAFE_TEMPLATE = re.compile(r"\|\s*safe\b|\son[a-z]+=|\sstyle=|javascript:|<(?:object|embed|applet|iframe)\b")


def calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """Every call with the name it is made by."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield ast.unparse(node.func), node


def test_no_text_is_run_as_code_template_or_shell_command() -> None:
    for name, tree in SERVICE.items():
        for called, node in calls(tree):
            assert called not in RUNS_TEXT, f"{name}: {called}"
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            assert given.get("shell", "False") == "False", f"{name}: {called}"
            if called in ("subprocess.run", "subprocess.Popen"):
                assert not isinstance(node.args[0], ast.Constant | ast.JoinedStr), (
                    f"{name}: a command is a list of words"
                )


def test_no_library_is_used_that_builds_objects_or_queries_from_text() -> None:
    for name, tree in SERVICE.items():
        assert not UNUSED_LIBRARIES & {module.partition(".")[0] for module in imports_of(tree)}, name


def test_patterns_are_constants_so_nobody_can_type_one() -> None:
    seen = 0
    for name, tree in SERVICE.items():
        for called, node in calls(tree):
            if called.startswith("re.") and called != "re.escape":
                seen += 1
                is_named = isinstance(node.args[0], ast.Name) and node.args[0].id.isupper()
                assert is_named or isinstance(node.args[0], ast.Constant), f"{name}: {ast.unparse(node)}"
    assert seen > 30


def test_no_weak_hash_and_no_guessable_secret() -> None:
    for name, tree in SERVICE.items():
        for called, node in calls(tree):
            assert called.rpartition(".")[2] not in ("md5", "sha1"), name
            assert not (called.startswith("random.") and "token" in ast.unparse(node)), name
        if {"web", "telemetry"} & {name.partition("/")[0]} and name != "web/dashboards/analytics/gather.py":
            assert "random" not in set(imports_of(tree)), name


def test_only_these_modules_call_out() -> None:
    found = {
        name
        for name, tree in SERVICE.items()
        if CALLERS & {part for module in imports_of(tree) for part in (module, module.partition(".")[0])}
    }
    assert found == CALLS_OUT


def test_no_certificate_is_trusted_unseen() -> None:
    for name in SERVICE:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert not re.search(r"verify\s*=\s*False|CERT_NONE|_create_unverified|check_hostname\s*=\s*False", text), name
    context = ssl.create_default_context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    # Where the system decides (Debian), OpenSSL 3 refuses what is older than TLS 1.2 at its default level.
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2 or ssl.OPENSSL_VERSION_INFO >= (3, 0)


def test_html_is_trusted_in_two_places_only() -> None:
    found = {name for name, tree in SERVICE.items() if "markupsafe" in set(imports_of(tree))}
    assert found == TRUSTED_HTML


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_templates_trust_nothing_and_bring_no_script_of_their_own(name: str) -> None:
    assert UNSAFE_TEMPLATE.findall(TEMPLATES[name]) == []


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_scripts_write_text_and_hear_no_other_window(name: str) -> None:
    text = SCRIPTS[name]
    assert UNSAFE_SCRIPT.findall(text) == []
    assert not re.search(r"window\.(?:parent|opener)|window\.addEventListener\(\s*[\"']message", text)
    assert not re.search(r"__proto__|\.prototype\s*\[|prototype\.\w+\s*=", text)


def test_passwords_are_typed_unseen_and_may_be_pasted() -> None:
    fields = [field for text in TEMPLATES.values() for field in re.findall(r"<input[^>]*>", text)]
    secret = [field for field in fields if re.search(r'name="(?:password|new|again)"', field)]
    assert len(secret) >= 4
    for field in secret:
        assert 'type="password"' in field
        assert re.search(r'autocomplete="(?:current|new)-password"', field)
    assert not [name for name, text in SCRIPTS.items() if re.search(r"[\"']paste[\"']", text)]


# --- a server that is not what it says -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return support_needs.certificate(tmp_path_factory.mktemp("certificate"))


@contextmanager
def server(certificate: tuple[Path, Path] | None = None, *, location: str = "") -> Iterator[SimpleNamespace]:
    """An HTTP server: its `port`, and in `asked` what reached it. Answers 200, or leads to `location`."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            asked.append(self.path)
            self.send_response(302 if location else 200)
            self.send_header("Location", location or "/")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = answer  # noqa: N815 - the names the library asks for

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as running:
        running.handle_error = lambda *_: None  # type: ignore[method-assign]
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            running.socket = context.wrap_socket(running.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield SimpleNamespace(port=running.server_port, asked=asked)
        finally:
            running.shutdown()
            thread.join()


def test_a_server_without_a_trusted_certificate_learns_no_secret(certificate: tuple[Path, Path]) -> None:
    with server(certificate) as other:
        url = f"https://127.0.0.1:{other.port}"
        client = GatewayClient(url, "user", "key-of-the-user", SystemClock())
        try:
            with pytest.raises(TryAgainError):
                client.find_contract("MNQ")
        finally:
            client.close()
        assert Messenger((), f"{url}/alive").beat() is False
        assert other.asked == []
        context = ssl._create_unverified_context()  # noqa: S323 - to see that the server answers whoever trusts it
        with (
            socket.create_connection(("127.0.0.1", other.port), timeout=5) as raw,
            context.wrap_socket(raw) as connection,
        ):
            connection.sendall(b"GET /control HTTP/1.0\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.0 200"
        assert other.asked == ["/control"]


def test_gateway_and_heartbeat_are_not_led_elsewhere() -> None:
    with server() as elsewhere, server(location=f"http://127.0.0.1:{elsewhere.port}/trap") as first:
        client = GatewayClient(f"http://127.0.0.1:{first.port}", "user", "key-of-the-user", SystemClock())
        try:
            with pytest.raises(TryAgainError):
                client.find_contract("MNQ")
        finally:
            client.close()
        assert Messenger((), f"http://127.0.0.1:{first.port}/alive").beat() is False
        assert len(first.asked) >= 2
        assert elsewhere.asked == []
