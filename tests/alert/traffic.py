"""Makes small captures for the tests of alerts: whole HTTP exchanges over TCP, one connection each, as pcap bytes."""
import struct

GLOBAL = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)


def frame(src, dst, sport, dport, seq, ack, flags, payload):
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40 + len(payload), 1, 0x4000, 64, 6, 0, src, dst)
    tcp = struct.pack(">HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 0x50, flags, 65000, 0, 0)
    return b"\0" * 12 + b"\x08\0" + ip + tcp + payload


class Traffic:
    def __init__(self, begin=1_763_900_000.0):
        self.time, self.port = begin, 20000

    def packet(self, data, step):
        self.time += step
        whole = int(self.time)
        return struct.pack("<IIII", whole, int((self.time - whole) * 1e6), len(data), len(data)) + data

    def exchange(self, verb, path, body=b"", status="200 OK", answer=b'{"acknowledged":true}', agent="PostmanRuntime/7.39.0", user="alice", hang_up=False, step=0.001):
        import base64
        self.port = 20000 + (self.port - 20000 + 1) % 40000
        client, server, c, s = bytes([10, 1, 7, 23]), bytes([10, 0, 0, 1]), 1000, 9000
        head = f"{verb} {path} HTTP/1.1\r\nHost: es:9200\r\nUser-Agent: {agent}\r\n"
        head += f"Authorization: Basic {base64.b64encode(f'{user}:x'.encode()).decode()}\r\n"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        request = head.encode() + b"\r\n" + body
        out = self.packet(frame(client, server, self.port, 9200, c, 0, 2, b""), step)
        out += self.packet(frame(server, client, 9200, self.port, s, c + 1, 0x12, b""), step)
        out += self.packet(frame(client, server, self.port, 9200, c + 1, s + 1, 0x18, request), step)
        after = c + 1 + len(request)
        if hang_up:
            out += self.packet(frame(client, server, self.port, 9200, after, s + 1, 0x11, b""), step)
            out += self.packet(frame(server, client, 9200, self.port, s + 1, after + 1, 0x11, b""), step)
            return out + self.packet(frame(client, server, self.port, 9200, after + 1, s + 2, 0x10, b""), step)
        response = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n\r\n".encode() + answer
        out += self.packet(frame(server, client, 9200, self.port, s + 1, after, 0x18, response), step)
        out += self.packet(frame(client, server, self.port, 9200, after, s + 1 + len(response), 0x11, b""), step)
        out += self.packet(frame(server, client, 9200, self.port, s + 1 + len(response), after + 1, 0x11, b""), step)
        return out + self.packet(frame(client, server, self.port, 9200, after + 1, s + 2 + len(response), 0x10, b""), step)

    def delete(self, index, **more):
        return self.exchange("DELETE", "/" + index, **more)
