"""A capture in the making: packets of one connection that writes documents, with the time of now; and what a recorder had of it when."""
import array, fcntl, json, os, struct, tempfile, termios, threading, time


class Feed:
    """Packets of one connection: a handshake, then writes with their answers. `step` is added to the packets' time."""

    step = 0.0

    def __init__(self, port):
        self.ends = [(b"\x0a\x00\x00\x05", port), (b"\x0a\x00\x00\x01", 9200)]
        self.seq = [1000, 5000]

    def packet(self, side, flags, payload=b""):
        (src, sport), (dst, dport) = self.ends[side], self.ends[1 - side]
        tcp = struct.pack(">HHIIBBHHH", sport, dport, self.seq[side], self.seq[1 - side], 5 << 4, flags, 65535, 0, 0)
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40 + len(payload), 0, 0, 64, 6, 0, src, dst)
        frame = b"\0" * 12 + b"\x08\x00" + ip + tcp + payload
        self.seq[side] += len(payload) + (1 if flags & 2 else 0)
        now = time.time() + self.step
        return struct.pack("<IIII", int(now), int(now % 1 * 1e6), len(frame), len(frame)) + frame

    def begin(self):
        head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
        syn = self.packet(0, 2)
        return head + syn + self.packet(1, 0x12) + self.packet(0, 0x10)

    def call(self, verb, path, name, answer=b'{"acknowledged":true}'):
        return self.exchange(f"{verb} {path} HTTP/1.1\r\nHost: es\r\nX-Opaque-Id: {name}\r\n\r\n".encode(), b"200 OK", answer)

    def write(self, name, size, text=None):
        body = json.dumps({"name": name, "text": text or name * (size // len(name))}).encode()
        ask = (f"PUT /kill/_doc/{name} HTTP/1.1\r\nHost: es\r\nX-Opaque-Id: {name}\r\nContent-Type: application/json\r\n"
               f"Content-Length: {len(body)}\r\n\r\n").encode() + body
        answer = json.dumps({"_index": "kill", "_id": name, "_version": 1, "result": "created", "_seq_no": 1, "_primary_term": 1}).encode()
        return self.exchange(ask, b"201 Created", answer)

    def exchange(self, ask, status, answer):
        answer = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(answer)) + answer
        out = b""
        for side, text in ((0, ask), (1, answer)):
            for at in range(0, len(text), 1400):
                out += self.packet(side, 0x18, text[at:at + 1400])
        return out


class Pipe:
    """Feeds a recorder's standard input and knows when it took what: what lies in the pipe is not its fault."""

    def __init__(self, to):
        self.to, self.written, self.waiting, self.taken = to, 0, [], {}  # (bytes until its end, name); name -> when

    def put(self, data, name=None):
        self.to.write(data)
        self.to.flush()
        self.written += len(data)
        if name:
            self.waiting.append((self.written, name))
        self.look()

    def look(self):
        left = array.array("i", [0])
        fcntl.ioctl(self.to.fileno(), termios.FIONREAD, left)
        now = time.time()
        while self.waiting and self.waiting[0][0] <= self.written - left[0]:
            self.taken[self.waiting.pop(0)[1]] = now


class Canary:
    """How long this machine takes at the moment to be given a turn and to sync a small file, at worst: who promises a second cannot keep it on a slower one."""

    def __init__(self, folder):
        self.seen, self.stop = [], threading.Event()  # (when, seconds)
        self.fd, self.path = tempfile.mkstemp(dir=folder)
        self.thread = threading.Thread(target=self.sing, daemon=True)
        self.thread.start()

    def sing(self):
        while not self.stop.is_set():
            began = time.time()
            time.sleep(0.05)
            os.pwrite(self.fd, os.urandom(512), 0)
            os.fdatasync(self.fd)
            self.seen.append((began, time.time() - began - 0.05))

    def worst(self, since, until):
        return max([took for began, took in list(self.seen) if began + took >= since and began <= until] or [0])

    def close(self):
        self.stop.set()
        self.thread.join()
        os.close(self.fd)
        os.unlink(self.path)
