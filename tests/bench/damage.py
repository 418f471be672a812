#!/usr/bin/env python3
"""Damages a capture as real capturing does: packets lost, begun midstream, one direction only, displaced, twice, cut.

usage: damage.py SRC DST [--loss P] [--seed N] [--skip N] [--side client|server] [--displace PLACES] [--twice P] [--snap N] [--port N]
Classic pcap of little endian with Ethernet and IPv4. Pure acknowledgements are lost only together with --all. Prints how many
packets carry the first bytes of a request, and how many of those are left: the most requests that any reader of the copy can log.
"""
import argparse, random, re, struct

START = re.compile(rb"(?:GET|PUT|POST|HEAD|DELETE|OPTIONS|PATCH) [/h]")


def read_packets(path):
    """The file's head, and [(record head, frame)]."""
    with open(path, "rb") as f:
        data = f.read()
    packets, at = [], 24
    while at + 16 <= len(data):
        size = struct.unpack_from("<I", data, at + 8)[0]
        packets.append((data[at:at + 16], data[at + 16:at + 16 + size]))
        at += 16 + size
    return data[:24], packets


def describe(frame, port):
    """(towards the server, carries data, carries the first bytes of a request)"""
    tcp = 14 + (frame[14] & 15) * 4
    to_server = frame[tcp + 2] << 8 | frame[tcp + 3] == port
    data = tcp + (frame[tcp + 12] >> 4) * 4
    end = min(len(frame), 14 + ((frame[16] << 8 | frame[17]) or len(frame)))  # padding is no data
    return to_server, end > data, to_server and bool(START.match(frame, data))


def server_port(packets):
    """The port of most packets' one end."""
    count = {}
    for _, frame in packets[:2000]:
        tcp = 14 + (frame[14] & 15) * 4
        for at in (tcp, tcp + 2):
            port = frame[at] << 8 | frame[at + 1]
            count[port] = count.get(port, 0) + 1
    return max(count, key=count.get)


def damage(src, dst, loss=0.0, seed=1, skip=0, side=None, displace=0, twice=0.0, snap=0, port=0, every=False):
    """Writes the copy; returns {requests, left}: packets that begin a request, before and after."""
    r = random.Random(seed)
    head, packets = read_packets(src)
    port = port or server_port(packets)
    requests = left = 0
    out = []  # (place, record head, frame)
    for n, (record, frame) in enumerate(packets):
        to_server, data, begins = describe(frame, port)
        requests += begins
        if n < skip or (side and (side == "client") != to_server) or (loss and (data or every) and r.random() < loss):
            continue
        left += begins
        if snap and len(frame) > snap:
            record, frame = record[:8] + struct.pack("<I", snap) + record[12:], frame[:snap]
        place = n + (r.randrange(1, displace + 1) + 0.5 if displace and r.random() < 0.3 else 0)
        out.append((place, record, frame))
        if twice and r.random() < twice:
            out.append((n + r.randrange(0, 9) + 0.7, record, frame))
    if displace or twice:
        stamps = [record[:8] for _, record, _ in sorted(out, key=lambda p: p[1][:4][::-1] + p[1][4:8][::-1])]
        out.sort(key=lambda p: p[0])
        out = [(place, stamp + record[8:], frame) for (place, record, frame), stamp in zip(out, stamps)]
    with open(dst, "wb") as f:
        f.write(head)
        for _, record, frame in out:
            f.write(record + frame)
    return {"packets": len(packets), "packets_left": len(out), "requests": requests, "left": left}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("src"), ap.add_argument("dst")
    ap.add_argument("--loss", type=float, default=0.0)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--skip", type=int, default=0)
    ap.add_argument("--side", choices=("client", "server"))
    ap.add_argument("--displace", type=int, default=0)
    ap.add_argument("--twice", type=float, default=0.0)
    ap.add_argument("--snap", type=int, default=0)
    ap.add_argument("--port", type=int, default=0)
    ap.add_argument("--all", action="store_true", dest="every")
    print(damage(**vars(ap.parse_args())))


if __name__ == "__main__":
    main()
