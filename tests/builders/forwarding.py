"""A server that starts in no time, for `--serve`: it lets the one at an address open a folder, and passes on to it.

python forwarding.py URL FOLDER PORT
"""

import json
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

URL, FOLDER, PORT = [*sys.argv[1:4], *[""] * 3][:3]


def posted(path, body):
    request = urllib.request.Request(f"{URL}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as reply:
        return reply.read()


class Forwarding(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.reply(200, json.dumps({"data": [{"id": FOLDER, "owned_by": "stub"}]}).encode())

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.reply(200, posted(self.path.removeprefix("/v1"), body))

    def reply(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    posted("/load_lora_adapter", {"lora_name": FOLDER, "lora_path": FOLDER})
    ThreadingHTTPServer(("127.0.0.1", int(PORT)), Forwarding).serve_forever()
