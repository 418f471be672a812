"""Receivers for the tests of delivery: a webhook server that checks signatures and can fail, hang or refuse, and syslog ones."""
import base64, hashlib, hmac, http.server, json, os, socket, socketserver, ssl, subprocess, threading, time


class Webhook:
    """answers: a function (number of the request, parsed body) -> (status, headers) or None to hang."""

    def __init__(self, secret=None, answers=None):
        self.secret, self.answers = secret, answers or (lambda n, body: (200, {}))
        self.requests, self.bad, self.lock = [], [], threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with outer.lock:
                    outer.verify(self.headers, raw)
                    body = json.loads(raw)
                    answer = outer.answers(len(outer.requests), body)
                    outer.requests.append((time.time(), dict(self.headers), body, answer[0] if answer else None, self.path))
                if answer is None:
                    time.sleep(30)
                    return
                self.send_response(answer[0])
                for k, v in answer[1].items():
                    self.send_header(k, v)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *args):
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *args):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def verify(self, headers, raw):
        if not self.secret:
            return
        key = base64.b64decode(self.secret[len("whsec_"):])
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + raw
        want = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        fresh = abs(time.time() - int(headers["webhook-timestamp"])) < 60
        if want not in headers.get("webhook-signature", "").split(" ") or not fresh:
            self.bad.append(dict(headers))

    def url(self, path="/hook"):
        return f"http://127.0.0.1:{self.port}{path}"

    def accepted(self):
        with self.lock:
            return [(h.get("webhook-id"), b) for _, h, b, status, _ in self.requests if status and status // 100 == 2]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Syslog:
    """One RFC 5424 message each in .messages; transport udp, tcp or tls; octet counting on streams."""

    def __init__(self, transport, certificate=None, newline=False):
        self.messages, self.transport, self.newline = [], transport, newline
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        self.socket = socket.socket(socket.AF_INET, kind)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.context = None
        if transport == "tls":
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*certificate)
        if transport != "udp":
            self.socket.listen(16)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                if self.transport == "udp":
                    self.messages.append(self.socket.recv(65536))
                    continue
                peer, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        try:
            if self.context:
                peer = self.context.wrap_socket(peer, server_side=True)
            stream = peer.makefile("rb")
            if self.newline:
                for line in stream:
                    self.messages.append(line.rstrip(b"\n"))
                return
            while True:
                size = b""
                while not size.endswith(b" "):
                    byte = stream.read(1)
                    if not byte:
                        return
                    size += byte
                self.messages.append(stream.read(int(size)))
        except (OSError, ValueError):
            pass

    def close(self):
        self.socket.close()


def make_certificate(folder):
    cert, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", key, "-out", cert], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return cert, key
