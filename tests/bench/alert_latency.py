#!/usr/bin/env python3
"""From a destructive request's last packet to the sink's receipt, live on loopback under other traffic. Prints p50, p99, max in ms.

usage: alert_latency.py ESTAPE LOAD TAPE [CALLS [MB_PER_SECOND]]     LOAD: the built tests/bench/load.c; needs root for the capture
A server of its own answers the DELETEs; a webhook on loopback takes the alerts. The clock starts when the request was handed
to the kernel, and stops when the first alert about it is read by the webhook.
"""
import json, os, re, signal, socket, subprocess, sys, threading, time

PORT = 9298


def receive(listener, arrived):
    """A webhook that answers 200 and notes when each index was first told."""
    def one(c):
        f = c.makefile("rb")
        while True:
            size, line = 0, f.readline()
            if not line:
                return
            while line not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    size = int(line.split(b":")[1])
                line = f.readline()
            body = f.read(size)
            now = time.perf_counter()
            for index in re.findall(rb"lat-\d+", body):
                arrived.setdefault(index.decode(), now)
            c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    while True:
        threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()


def answer(listener):
    def one(c):
        while c.recv(65536):
            c.sendall(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 21\r\n\r\n{"acknowledged":true}')
    while True:
        threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()


def listen(port):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", port))
    s.listen(64)
    return s


def main():
    estape, load, tape = sys.argv[1:4]
    calls = int(sys.argv[4]) if len(sys.argv) > 4 else 1000
    rate = sys.argv[5] if len(sys.argv) > 5 else "20"
    arrived, hook, server = {}, listen(0), listen(PORT)
    threading.Thread(target=receive, args=(hook, arrived), daemon=True).start()
    threading.Thread(target=answer, args=(server,), daemon=True).start()
    recorder = subprocess.Popen([estape, "record", "-q", "-i", "lo", "--port", "9299", "--port", str(PORT), "--tape", tape, "-u", "root",
                                 "--sink", f"h=webhook url=http://127.0.0.1:{hook.getsockname()[1]}/ level=high"], stderr=subprocess.PIPE)
    time.sleep(1.5)
    seconds = max(5, calls // 50)
    other = subprocess.Popen([load, rate, str(seconds)], stdout=subprocess.DEVNULL)
    c = socket.create_connection(("127.0.0.1", PORT))
    sent, began = {}, time.perf_counter()
    for i in range(calls):
        time.sleep(max(0, began + i * (seconds - 1) / calls - time.perf_counter()))
        request = f"DELETE /lat-{i} HTTP/1.1\r\nHost: es\r\nUser-Agent: curl/7.88.1\r\n\r\n".encode()
        c.sendall(request)
        sent[f"lat-{i}"] = time.perf_counter()
        c.recv(65536)
    end = time.time() + 10
    while len(arrived) < calls and time.time() < end:
        time.sleep(0.05)
    other.wait()
    recorder.send_signal(signal.SIGINT)
    recorder.communicate(timeout=60)
    took = sorted((arrived[k] - t) * 1e3 for k, t in sent.items() if k in arrived)
    if not took:
        raise SystemExit("no alert arrived")
    print(json.dumps({"calls": calls, "arrived": len(took), "p50": took[len(took) // 2], "p99": took[len(took) * 99 // 100], "max": took[-1]}))


main()
