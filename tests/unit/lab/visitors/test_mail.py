"""The mail visitor against small mail servers, and how often a message is found."""

import socketserver
import threading
from contextlib import contextmanager

import pytest

from lab.visitors import mail
from lab.visitors.final_check import MESSAGE_ID
from lab.visitors.names import Fixed


@contextmanager
def mail_server(*answers):
    """A mail server that gives these answers to RCPT TO, the last one for ever."""
    left = list(answers)

    class Session(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"220 ready\r\n")
            while line := self.rfile.readline():
                verb = line[:4].upper()
                if verb == b"RCPT":
                    self.wfile.write((left.pop(0) if len(left) > 1 else left[0]) + b"\r\n")
                elif verb == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    while self.rfile.readline() != b".\r\n":
                        pass
                    self.wfile.write(b"250 taken\r\n")
                else:
                    self.wfile.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 fine\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def send(monkeypatch, port, stop=None):
    real = mail.smtplib.SMTP
    monkeypatch.setattr(mail.smtplib, "SMTP", lambda host, _, **more: real(host, port, **more))
    monkeypatch.setattr(mail, "RETRY", 0.01)
    letter = mail.letter("info@files.example", "mail-1-1")
    return mail.send(Fixed(["127.0.0.1"]), "info@files.example", letter, stop or threading.Event())


def test_what_is_deferred_is_tried_again(monkeypatch):
    with mail_server(b"450 later", b"451 later", b"250 yes") as port:
        outcome = send(monkeypatch, port)
    assert outcome["ok"] is True and outcome["tries"] == 3


def test_what_is_refused_for_good_is_not(monkeypatch):
    with mail_server(b"550 nobody here") as port:
        outcome = send(monkeypatch, port)
    assert outcome == outcome | {"ok": False, "tries": 1, "status": 550}


def test_told_to_stop_the_fate_of_a_deferred_message_is_open(monkeypatch):
    stop = threading.Event()
    stop.set()
    with mail_server(b"450 later") as port:
        assert send(monkeypatch, port, stop)["ok"] is None


def test_no_server_is_tried_again_too(monkeypatch):
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    outcome = send(monkeypatch, 1, stop)
    assert outcome["ok"] is None and outcome["tries"] > 1


@pytest.mark.parametrize("header", [b"Message-ID: <mail-1-7@visitor.example>", b"message-id:<mail-1-7@x>"])
def test_the_id_is_found_again(header):
    match = MESSAGE_ID.search(b"X: y\r\n" + header + b"\r\n\r\n")
    assert match and match[1] == b"mail-1-7"
    assert f"<{'mail-1-7'}@visitor.example>" == mail.letter("a@b", "mail-1-7")["Message-ID"]
