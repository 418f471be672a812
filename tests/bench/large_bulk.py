#!/usr/bin/env python3
"""Writes a capture of one bulk of N MiB of documents, chunked and gzip'd at once. usage: large_bulk.py OUT MIB"""
import random, struct, sys, zlib

out, mib = open(sys.argv[1], "wb"), int(sys.argv[2])
out.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 262144, 1))
clock = [1769904000, 0]
seq = {0: 1000, 1: 5000}


def packet(side, flags, data=b""):
    clock[1] += 20
    if clock[1] >= 1000000:
        clock[0] += 1
        clock[1] -= 1000000
    src, dst = (40000, 9200) if side == 0 else (9200, 40000)
    a, b = (b"\x0a\0\0\x0a", b"\x0a\0\0\x01") if side == 0 else (b"\x0a\0\0\x01", b"\x0a\0\0\x0a")
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40 + len(data), 0, 0, 64, 6, 0, a, b)
    tcp = struct.pack(">HHIIBBHHH", src, dst, seq[side] & 0xffffffff, seq[1 - side] & 0xffffffff if flags & 16 else 0, 0x50, flags, 512, 0, 0)
    frame = b"\0" * 12 + b"\x08\0" + ip + tcp + data
    out.write(struct.pack("<IIII", clock[0], clock[1], len(frame), len(frame)) + frame)
    seq[side] += len(data) + (1 if flags & 3 else 0)


pending = bytearray()


def send(side, data, flush=False):
    pending.extend(data)
    while len(pending) >= 1448 or (flush and pending):
        packet(side, 24, bytes(pending[:1448]))
        del pending[:1448]
        if seq[side] // 1448 % 8 == 0:
            packet(1 - side, 16)


packet(0, 2), packet(1, 18), packet(0, 16)
send(0, b"POST /big/_bulk HTTP/1.1\r\nHost: es:9200\r\nContent-Type: application/x-ndjson\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")
r, z, size, items = random.Random(1), zlib.compressobj(1, zlib.DEFLATED, 31), 0, 0
words = [b"alpha", b"bravo", b"charlie", b"delta", b"echo", b"foxtrot", b"golf", b"hotel", b"india", b"juliet", b"kilo", b"lima"]
while size < mib << 20:
    lines = bytearray()
    for _ in range(200):
        lines += b'{"index":{"_id":"%d"}}\n{"n":%d,"message":"%s"}\n' % (items, r.getrandbits(60), b" ".join(r.choice(words) for _ in range(60)))
        items += 1
    size += len(lines)
    packed = z.compress(bytes(lines))
    if packed:
        send(0, b"%x\r\n%s\r\n" % (len(packed), packed))
packed = z.flush()
send(0, b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed), True)
packet(1, 16)
answer = b'{"took":900,"errors":false,"items":[' + b",".join(
    b'{"index":{"_index":"big","_id":"%d","_version":1,"result":"created","_seq_no":%d,"_primary_term":1,"status":201}}' % (i, i) for i in range(items)) + b"]}"
send(1, b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(answer))
send(1, answer, True)
packet(0, 16)
