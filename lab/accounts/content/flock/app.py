"""The flock's book: what visitors write stands in PostgreSQL. Listens at ~/app.sock, behind the host's Apache."""

import os
import re
import socketserver
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

import psycopg2

SOCKET = os.path.expanduser("~/app.sock")
ID = re.compile(r"[a-z0-9-]{1,80}")


class Book(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "visitor"  # a socket of Unix has no address

    def do_POST(self):
        given = parse_qs(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())
        visit = given.get("id", [""])[0]
        if not ID.fullmatch(visit):
            return self.answer(400, "id: 1 to 80 of a-z, 0-9 and -")
        self.query("INSERT INTO visits (id) VALUES (%s)", visit)
        self.answer(200, visit)

    def do_GET(self):
        given = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        if "list" in given:
            return self.answer(200, "\n".join(id for (id,) in self.query("SELECT id FROM visits ORDER BY number")))
        rows = self.query("SELECT id FROM visits WHERE id = %s", given.get("id", [""])[0])
        self.answer(200, f"visit {rows[0][0]}") if rows else self.answer(404, "no such visit")

    def query(self, statement, *values):
        connection = psycopg2.connect("dbname=flock")
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement, values)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def answer(self, status, text):
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128


if os.path.exists(SOCKET):
    os.unlink(SOCKET)
os.umask(0o007)  # the web server is in the account's group
Server(SOCKET, Book).serve_forever()
