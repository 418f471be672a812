"""What recording costs beside a node: CPU of `estape record` on lo as a share of the node's own, at some rates of writes.

tap_cost.py ESTAPE FOLDER SECONDS RATE...: prints one JSON line per rate: rate, reached, node_s, recorder_s (CPU seconds of the span), lost.
Single writes up to 100 a second, bulks of 20 up to 1,000, of 500 above; documents of about 300 bytes, a third of them updates.
"""
import http.client, json, os, random, re, sys, tempfile, threading, time

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "../node"))
import clients, node
from accident import Cluster, Recorder

TICK = os.sysconf("SC_CLK_TCK")


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as f:
        part = f.read().rsplit(")", 1)[1].split()
    return (int(part[11]) + int(part[12])) / TICK


def bodies(number, r):
    """Some bulk bodies, made before the clock runs."""
    out = []
    for _ in range(40):
        lines = []
        for _ in range(number):
            i, doc = r.randrange(200000), {"sku": r.randrange(10**6), "name": "walnut, größe %d" % r.randrange(50), "price": r.randrange(10**5) / 100, "stock": r.randrange(500), "text": "%x" % r.getrandbits(700)}
            lines += [{"index": {"_index": "orders", "_id": str(i)}}, doc] if r.random() < 0.67 else [{"update": {"_index": "orders", "_id": str(i)}}, {"doc": {"stock": doc["stock"]}, "doc_as_upsert": True}]
        out.append("".join(json.dumps(x) + "\n" for x in lines))
    return out


class Writer(threading.Thread):
    def __init__(self, port, number, per_second, seed):
        super().__init__(daemon=True)
        self.port, self.number, self.per_second, self.done, self.over = port, number, per_second, 0, threading.Event()
        self.bodies = bodies(number, random.Random(seed))

    def run(self):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        began, n = time.monotonic(), 0
        while not self.over.wait(max(0, began + n / self.per_second - time.monotonic())):
            c.request("POST", "/_bulk", self.bodies[n % len(self.bodies)], {"Content-Type": "application/x-ndjson"})
            c.getresponse().read()
            n += 1
            self.done += self.number


def measure(port, node_pid, recorder_pid, rate, seconds):
    number = 1 if rate <= 100 else 20 if rate <= 1000 else 500
    writers = [Writer(port, number, rate / number / 2, seed) for seed in (1, 2)]
    for w in writers:
        w.start()
    time.sleep(seconds / 2)  # the compiler warms up
    before, node_s, recorder_s, began = sum(w.done for w in writers), cpu_s(node_pid), cpu_s(recorder_pid), time.monotonic()
    time.sleep(seconds)
    span = time.monotonic() - began
    out = {"rate": rate, "reached": round((sum(w.done for w in writers) - before) / span), "node_s": cpu_s(node_pid) - node_s, "recorder_s": cpu_s(recorder_pid) - recorder_s, "seconds": span}
    for w in writers:
        w.over.set()
    for w in writers:
        w.join(60)
    time.sleep(2)
    return out


def main():
    estape, folder, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    tempfile.tempdir = folder
    node.Node.jvm = []
    n = node.Node("os2", port=clients.free_port(), heap="2g")
    r = None
    try:
        n.start()
        Cluster(n.port).call("PUT", "/orders", {"settings": {"number_of_shards": 2, "number_of_replicas": 0}})
        r = Recorder(estape, folder, n.port).start()
        for rate in map(int, sys.argv[4:]):
            print(json.dumps(measure(n.port, n.process.pid, r.pid(), rate, seconds)), flush=True)
        r.stop()
        lost = re.findall(r"lost (\d+) packets", r.said())
        print(json.dumps({"lost": int(lost[-1]) if lost else None}))
    finally:
        if r:
            r.stop()
        n.stop(kill=True)
        n.remove()


main()
