"""Downloads are whole or an error, TLS certificates are verified, and the bar appears on terminals only."""

import itertools
import shutil
import socket
import ssl
import subprocess
import sys
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from threading import Thread

import pytest

from pyham.data import download
from tests.oracles import digits

ROOT = Path(download.__file__).parent.parent
BODY = bytes(range(256)) * 1000


def ignore(done, total):
    pass


def test_fetch_gives_the_body_and_reports_every_piece():
    reports = []
    with digits.server({"/file": BODY}) as (base, _):
        assert download.fetch(f"{base}file", len(BODY), lambda *report: reports.append(report)) == BODY
    assert reports[0] == (0, len(BODY)) and reports[-1] == (len(BODY), len(BODY))
    steps = [after - before for (before, _), (after, _) in itertools.pairwise(reports)]
    assert all(0 < step <= download.PIECE for step in steps)


def test_fetch_takes_a_body_of_unstated_length():
    totals = set()
    with digits.server({"/file": lambda handler: digits.send(handler, BODY, None)}) as (base, _):
        assert download.fetch(f"{base}file", len(BODY), lambda done, total: totals.add(total)) == BODY
    assert totals == {None}


def chunked(handler):
    """A body in chunks, the last of which ends early."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"10\r\n0123456789abcdef\r\n10\r\n0123")


def hang_up(handler):
    handler.connection.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (lambda h: digits.send(h, BODY[:1000], len(BODY)), OSError, "expected 256000 bytes, got 1000"),
        (lambda h: digits.send(h, BODY + b"1", None), ValueError, "expected at most 256000 bytes, got more"),
        (chunked, OSError, "a broken one .*IncompleteRead"),
        (hang_up, OSError, "a broken one .*closed connection"),
        (lambda h: h.send_error(404), OSError, "got HTTP status 404"),
        (lambda h: h.send_error(503), OSError, "got HTTP status 503"),
        (lambda h: h.wfile.write(b"nonsense\r\n\r\n"), OSError, "a broken one .*nonsense"),
    ],
)
def test_fetch__raises_on_what_is_not_the_whole_file(answer, error, message):
    with digits.server({"/file": answer}) as (base, _), pytest.raises(error, match=message) as caught:
        download.fetch(f"{base}file", len(BODY), ignore)
    assert str(caught.value).startswith(f"{base}file: expected ")


def test_fetch__raises_on_a_refused_connection():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/file"
        with pytest.raises(OSError, match=f"^{url}: .*refused"):
            download.fetch(url, 10, ignore)


def test_fetch__raises_when_the_server_falls_silent(monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.1)

    def stall(handler):
        digits.send(handler, BODY[:10], len(BODY))
        handler.server.closing.wait(10)

    with digits.server({"/file": stall}) as (base, _), pytest.raises(OSError, match=r"a broken one .*timed out"):
        download.fetch(f"{base}file", len(BODY), ignore)


def test_certificates_are_verified(tmp_path, monkeypatch):
    """A server with a certificate of its own is refused, and accepted once that is among the trusted ones."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    options = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run(
        ["openssl", *options.split(), "-keyout", key, "-out", certificate], check=True, stderr=subprocess.DEVNULL
    )
    (tmp_path / "file").write_bytes(BODY)

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(tmp_path))

        def log_message(self, format, *arguments):
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.handle_error = lambda *arguments: None  # the client breaks off during the handshake, as it should
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            url = f"https://localhost:{server.server_port}/file"
            with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
                download.fetch(url, len(BODY), ignore)
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
            assert download.fetch(url, len(BODY), ignore) == BODY
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("terminal", [True, False])
def test_bar_appears_on_terminals_only(terminal, monkeypatch, capsys):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")  # which rich takes for one
    with download.progress("train-images") as report:
        report(5, 10)
        report(10, 10)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert ("train-images" in printed.err and "10/10 bytes" in printed.err) if terminal else printed.err == ""


def test_importing_pyham_imports_no_network_code():
    code = "import sys, pyham; print([m for m in ('urllib.request', 'http.client', 'ssl', 'rich') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (result.stdout, result.stderr) == ("[]\n", "")


def test_fetch_names_errors_without_words(monkeypatch):
    def fail(url, **options):
        raise ConnectionResetError

    monkeypatch.setattr("urllib.request.urlopen", fail)
    with pytest.raises(OSError, match=r"\(ConnectionResetError\)$"):
        download.fetch("http://127.0.0.1/file", 10, ignore)
