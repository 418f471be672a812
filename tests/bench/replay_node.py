"""Replay against a real node, beside a tuned loader that sends the same operations as plain _bulk to the same node.

usage: replay_node.py ESTAPE HTTP_SEND SCRATCH WRITES PAIRS PART...      parts: versions, cas, reduced, lag, verify
Prints lines of name, value, goal, unit, separated by tabs. Needs root (the loopback device), Java, Maven.
"""
import glob, http.client, json, os, random, shutil, signal, struct, subprocess, sys, threading, time

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "../node"))
import node

estape, sender, scratch, WRITES, PAIRS, PARTS = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), sys.argv[6:]
PORT, LANES, KIND = 19480, 4, os.environ.get("NODE", "os2")
HZ = os.sysconf("SC_CLK_TCK")


def say(name, value, goal, unit):
    print(f"{name}\t{value}\t{goal}\t{unit}", flush=True)


def alone():
    """Both sides of a ratio get the same share of a machine that does other things too."""
    try:
        os.setsid()
    except OSError:
        pass
    favour("self")
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -20)
    except OSError:
        pass


def favour(pid):
    try:
        open(f"/proc/{pid}/autogroup", "w").write("-20")
    except OSError:
        pass


def call(verb, path, body=None):
    c = http.client.HTTPConnection("127.0.0.1", PORT, timeout=600)
    c.request(verb, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
    r = c.getresponse()
    text = r.read()
    c.close()
    if r.status >= 300 and not (verb == "DELETE" and r.status == 404):
        raise SystemExit(f"{verb} {path}: {r.status} {text[:300]}")
    return json.loads(text) if text[:1] in b"{[" else text


def document(rng, i, generation):
    return json.dumps({"sku": f"A-{i:08d}", "generation": generation, "name": f"article {rng.randrange(10**6)} of the catalogue", "stock": rng.randrange(500),
                       "price": rng.randrange(10**6) / 100, "tags": [rng.choice(("red", "green", "blue", "large", "small")) for _ in range(3)],
                       "text": " ".join(rng.choice(("oak", "steel", "linen", "walnut", "glass", "wool")) for _ in range(20))}, separators=(",", ":"))


def write_requests(path, requests):
    with open(path, "wb") as f:
        for r in requests:
            f.write(struct.pack("I", len(r)))
            f.write(r)
    return path


def request(verb, path, body, kind="application/json"):
    body = body.encode()
    return f"{verb} {path} HTTP/1.1\r\nHost: node\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def singles(path, index, writes):
    return write_requests(path, (request("PUT", f"/{index}/_doc/{i}", d) for i, d in writes))


def bulks(path, index, writes, size=1000):
    def gen():
        for at in range(0, len(writes), size):
            yield request("POST", "/_bulk", "".join('{"index":{"_index":"%s","_id":"%s"}}\n%s\n' % (index, i, d) for i, d in writes[at:at + size]), "application/x-ndjson")
    return write_requests(path, gen())


def send(path, lanes=LANES):
    """Seconds, and the node's CPU meanwhile."""
    before = node_cpu()
    out = subprocess.run([sender, str(PORT), str(lanes), path], capture_output=True, text=True, preexec_fn=alone)
    if out.returncode:
        raise SystemExit(out.stderr)
    n, seconds, refused = out.stdout.split()
    if refused != "0":
        raise SystemExit(f"{refused} of {n} requests were refused")
    return float(seconds), node_cpu() - before


def node_cpu():
    fields = open(f"/proc/{the_node.process.pid}/stat").read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / HZ


def recorder(tape, *more):
    shutil.rmtree(tape, ignore_errors=True)
    p = subprocess.Popen([estape, "record", "-i", "lo", "--port", str(PORT), "-t", tape, "-u", "root", "-q", *more], stderr=subprocess.PIPE, preexec_fn=alone)
    for _ in range(100):
        if glob.glob(os.path.join(tape, "*.log.db")):
            break
        time.sleep(0.1)
    time.sleep(1)
    return p


def restore(name):
    call("DELETE", f"/{name}")
    call("POST", "/_snapshot/bench/s1/_restore?wait_for_completion=true", {"indices": "source", "rename_pattern": "source", "rename_replacement": name})
    call("GET", f"/_cluster/health/{name}?wait_for_status=green&timeout=60s")
    time.sleep(1)


def replay(tape, name, *options):
    """The report, the program's CPU seconds, the node's meanwhile."""
    for f in glob.glob(os.path.join(tape, "replay-*")):
        os.remove(f)
    before = node_cpu()
    p = subprocess.Popen([estape, "replay", "-t", tape, "--map", f"source={name}", "--target", f"http://127.0.0.1:{PORT}", "--json", "--yes", "--lanes", str(LANES), *options],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=alone)
    out = p.stdout.read()
    err = p.stderr.read()
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = status
    if status:
        raise SystemExit(f"replay {' '.join(options)}: exit status {os.waitstatus_to_exitcode(status)}: {err.decode()[-600:]} {out.decode()[-1200:]}")
    return json.loads(out)["report"], usage.ru_utime + usage.ru_stime, node_cpu() - before


def median(values):
    return sorted(values)[len(values) // 2]


def make_tape(tape, generations):
    """A snapshot of WRITES/generations documents, then so many single writes of each, recorded."""
    rng, docs = random.Random(7), WRITES // generations
    call("DELETE", "/source")
    call("PUT", "/source", {"settings": {"number_of_shards": 1, "number_of_replicas": 0},
                            "mappings": {"properties": {"sku": {"type": "keyword"}, "generation": {"type": "integer"}, "name": {"type": "text"}, "stock": {"type": "integer"},
                                                        "price": {"type": "double"}, "tags": {"type": "keyword"}, "text": {"type": "text"}}}})
    call("PUT", "/_snapshot/bench", {"type": "fs", "settings": {"location": the_node.repo}})
    p = recorder(tape)
    base = [(i, document(rng, i, 0)) for i in range(docs)]
    send(bulks(os.path.join(scratch, "base.req"), "source", base), 4)
    call("DELETE", "/_snapshot/bench/s1")
    call("PUT", "/_snapshot/bench/s1?wait_for_completion=true", {"indices": "source", "include_global_state": False})
    later = [(i, document(rng, i, g + 1)) for g in range(generations) for i in range(docs)]
    seconds, _ = send(singles(os.path.join(scratch, "later.req"), "source", later), 16)
    time.sleep(3)
    p.send_signal(signal.SIGINT)
    p.wait()
    say(f"recorded single writes ({generations} a document)", round(len(later) / seconds), "-", "1/s")
    if subprocess.run([estape, "check", "-t", tape, "--index", "source"], stdout=subprocess.DEVNULL).returncode:
        print("the tape is not whole", file=sys.stderr)
    return later


def against_loader(tape, later):
    """Pairs of replay and loader, each onto a fresh restore."""
    path = bulks(os.path.join(scratch, "loader.req"), "copy_l", later)
    modes = [m for m in (("versions", ["--exact-versions"], ">= 0.9"), ("cas", [], ">= 0.6")) if m[0] in PARTS]
    rates = {m[0]: [] for m in modes}
    loader, spent, verify = [], [], []
    for _ in range(PAIRS):
        restore("copy_l")
        seconds, _ = send(path)
        began = time.time()
        call("POST", "/copy_l/_refresh")  # a replay ends with one too
        loader.append(len(later) / (seconds + time.time() - began))
        for name, options, _ in modes:
            restore("copy_r")
            r, _, _ = replay(tape, "copy_r", *options)
            rates[name].append(r["applied"] / r["seconds_writing"] / loader[-1])
            verify.append(r["compared"] / r["seconds_comparing"])
            _, cpu, cpu_node = replay_fresh(tape, options)
            spent.append(cpu / cpu_node)
    say("loader, plain _bulk", round(median(loader)), "-", "documents/s")
    for name, options, goal in modes:
        say(f"replay {'--exact-versions' if name == 'versions' else 'compare-and-set'} / loader", round(median(rates[name]), 3), goal, "x")
    say("CPU of replay / of the node meanwhile", round(median(spent), 3), "<= 0.15", "x")
    say("verify", round(median(verify)), ">= 50000", "documents/s")
    say("node's own scroll", scroll("copy_r"), "-", "documents/s")


def replay_fresh(tape, options):
    """Once more without a comparison to speak of: what writing alone costs."""
    restore("copy_r")
    return replay(tape, "copy_r", *options, "--sample", "1")


def scroll(name):
    call("POST", f"/{name}/_refresh")
    began, n = time.time(), 0
    a = call("POST", f"/{name}/_search?scroll=1m", {"size": 1000, "sort": ["_doc"]})
    while a["hits"]["hits"]:
        n += len(a["hits"]["hits"])
        a = call("POST", "/_search/scroll", {"scroll": "1m", "scroll_id": a["_scroll_id"]})
    return round(n / (time.time() - began))


def restore_from(snapshot, name):
    call("DELETE", f"/{name}")
    call("POST", f"/_snapshot/bench/{snapshot}/_restore?wait_for_completion=true", {"indices": "source", "rename_pattern": "source", "rename_replacement": name})
    call("GET", f"/_cluster/health/{name}?wait_for_status=green&timeout=60s")
    time.sleep(1)


def lag():
    """1,000 writes a second while the copy follows: from an answer on the wire to its copy's answer."""
    tape, rng, stop = os.path.join(scratch, "tape-lag"), random.Random(3), threading.Event()
    call("DELETE", "/source")
    call("PUT", "/source", {"settings": {"number_of_shards": 1, "number_of_replicas": 0}})
    p = recorder(tape)
    send(bulks(os.path.join(scratch, "base.req"), "source", [(i, document(rng, i, 0)) for i in range(2000)]), 2)
    call("DELETE", "/_snapshot/bench/s2")
    call("PUT", "/_snapshot/bench", {"type": "fs", "settings": {"location": the_node.repo}})
    call("PUT", "/_snapshot/bench/s2?wait_for_completion=true", {"indices": "source", "include_global_state": False})
    restore_from("s2", "copy_f")
    sent = {}

    def writer(k, lanes=4, rate=1000):
        c = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
        begin, n = time.time(), 0
        while not stop.is_set():
            i = f"f{k}-{n}"
            c.request("PUT", f"/source/_doc/{i}", document(rng, n, 1), {"Content-Type": "application/json"})
            c.getresponse().read()
            sent[i] = time.time()
            n += 1
            wait = begin + n * lanes / rate - time.time()
            if wait > 0:
                time.sleep(wait)

    f = subprocess.Popen([estape, "replay", "-t", tape, "--map", "source=copy_f", "--target", f"http://127.0.0.1:{PORT}", "--follow", "--yes", "-q"], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, preexec_fn=alone)
    time.sleep(3)
    began = time.time()
    writers = [threading.Thread(target=writer, args=(k,)) for k in range(4)]
    [w.start() for w in writers]
    lags, seen = [], {}
    while time.time() - began < 30:  # the newest of each writer that the copy has
        for k in range(4):
            n = seen.get(k, 0)
            while f"f{k}-{n}" in sent and copied(f"f{k}-{n}"):
                lags.append(time.time() - sent[f"f{k}-{n}"])
                n += 50
            seen[k] = n
        time.sleep(0.02)
    stop.set()
    [w.join() for w in writers]
    rate = len(sent) / (time.time() - began)
    f.send_signal(signal.SIGINT)
    f.wait()
    p.send_signal(signal.SIGINT)
    p.wait()
    lags.sort()
    say("--follow, writes", round(rate), "1000", "1/s")
    say("--follow lag, median", round(median(lags), 2) if lags else "nothing arrived", "-", "s")
    say("--follow lag, 99 of 100", round(lags[int(len(lags) * 0.99)], 2) if lags else "nothing arrived", "<= 3", "s")


def copied(i):
    c = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    c.request("HEAD", f"/copy_f/_doc/{i}")
    status = c.getresponse().status
    c.close()
    return status == 200


def main():
    global the_node
    try:
        the_node = node.Node(KIND, port=PORT, heap="1g").start()
    except node.Skip as e:
        print(f"skipped: {e}", file=sys.stderr)
        return
    favour(the_node.process.pid)
    try:
        if {"versions", "cas", "reduced", "verify"} & set(PARTS):
            one = os.path.join(scratch, "tape-one")
            later = make_tape(one, 1)
            against_loader(one, later)
            if "reduced" in PARTS:
                times_of_one = []
                for _ in range(PAIRS):
                    restore("copy_r")
                    times_of_one.append(replay(one, "copy_r", "--sample", "1")[0]["seconds_writing"])
                ten = os.path.join(scratch, "tape-ten")
                make_tape(ten, 10)
                times_of_ten = []
                for _ in range(PAIRS):
                    restore("copy_r")
                    times_of_ten.append(replay(ten, "copy_r", "--sample", "1")[0]["seconds_writing"])
                say("replay of 10 writes a document, reduced / of as many, not", round(median(times_of_ten) / median(times_of_one), 3), "<= 0.15", "x")
        if "lag" in PARTS:
            lag()
    finally:
        the_node.remove()


main()
