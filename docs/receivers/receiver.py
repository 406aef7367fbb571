"""Takes Keyturn's webhooks, with nothing but Python. Run it: KEYTURN_WEBHOOK_SECRET=whsec_... python3 receiver.py"""

import base64
import hashlib
import hmac
import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = base64.b64decode(os.environ["KEYTURN_WEBHOOK_SECRET"].removeprefix("whsec_"))
# In seconds: an older delivery may be a replayed one.
TOLERANCE = 5 * 60
# At least once means: sometimes twice. A real receiver keeps these in its database, with what it did.
seen = set()


def is_authentic(headers, body):
    """Standard Webhooks 1.0: HMAC-SHA256 over id, timestamp and body; any of several signatures may fit."""
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > TOLERANCE:
        return False
    signed = f"{message_id}.{timestamp}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    signatures = headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(expected, signature) for signature in signatures)


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if not is_authentic(self.headers, body):
            self.answer(401)
            return
        # Answer first, work later: Keyturn waits 15 seconds.
        self.answer(204)
        event = json.loads(body)
        if event["id"] in seen:
            return
        seen.add(event["id"])
        if event["type"] == "keyturn.v1.MachineSecretSet":
            print(f"secret {event['data']['secretId']} of user {event['data']['userId']} was set", flush=True)
        else:
            print(event["type"], flush=True)

    def answer(self, status):
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "9000"))), Receiver)
print(f"listening on {server.server_port}", flush=True)
server.serve_forever()
