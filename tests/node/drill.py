"""The drill: random writers on a real node under the recorder, a snapshot, an accident, a restore, a replay, every document compared.

drill.py KIND [--seed N] [--docs N] [--ops N] [--keep]; ESTAPE names the program. Exit 0: all equal. A failure prints the
document, its operations, and the seed.
"""
import argparse, base64, gzip, http.client, json, os, random, shutil, signal, socket, subprocess, sys, tempfile, threading, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import node

ESTAPE = os.environ.get("ESTAPE", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../build/estape"))
SRC, DST, SKIP, EXACT, LIVE = "catalog", "catalog_restored", "catalog_skip", "catalog_exact", "catalog_live"
LATE = 61  # index.gc_deletes is a minute


class Client:
    """A keep-alive connection; `quiet` ones come from another address, which the recorder's filter leaves out."""

    def __init__(self, port, quiet=False, user=None):
        self.port, self.source = port, ("127.0.0.2", 0) if quiet else None
        self.auth = {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()} if user else {}
        self.c = None

    def call(self, verb, path, body=None, headers=None, raw=None):
        data = raw if raw is not None else json.dumps(body, ensure_ascii=False).encode() if body is not None else None
        h = dict(self.auth, **(headers or {}))
        if data is not None:
            h.setdefault("Content-Type", "application/json")
        for attempt in (0, 1):
            try:
                if self.c is None:
                    self.c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60, source_address=self.source)
                self.c.request(verb, path, data, h)
                r = self.c.getresponse()
                text = r.read()
                return r.status, json.loads(text) if text and text[:1] in b"{[" else text
            except (http.client.HTTPException, ConnectionError, socket.timeout):
                self.c = None
                if attempt:
                    raise


class Writer(threading.Thread):
    """One service with a seed of its own. Every operation and its answer goes to `log`."""

    def __init__(self, d, number, ops, life, salt=""):
        super().__init__(daemon=True)
        self.d, self.number, self.ops, self.life = d, number, ops, life
        self.r = random.Random(f"{d.seed}/{number}/{life}{salt}")
        self.c = Client(d.port, user=f"svc{number}:secret")
        self.log, self.error = [], None

    def doc(self):
        r = self.r
        d = {"sku": r.randrange(10**6), "name": r.choice(["crème", "größe", "日本 walnut", "plain 😀", "a\"q\\b"]), "stock": r.randrange(500),
             "attrs": {"w": r.randrange(100), "size": {"h": r.randrange(9)}}, "tags": [r.choice("abcdef") for _ in range(r.randrange(4))], "n": None, "price": r.randrange(10**5) / 100}
        if r.random() < 0.05:
            d[f"dyn{r.randrange(12)}"] = r.choice([1, 2.5, "text", "2026-11-24", True, {"deep": 1}]) if False else r.choice([1, 2, 3])
        if r.random() < 0.1:
            d["blob"] = "x" * r.randrange(3000)
        return d

    def part(self):
        r = self.r
        return r.choice([{"stock": r.randrange(500)}, {"attrs": {"w": r.randrange(100)}}, {"attrs": {"size": {"d": r.randrange(9)}}}, {"tags": ["z"]}, {"n": None}, {"price": r.randrange(10**4)}])

    def ident(self, shared=True):
        r = self.r
        if shared and r.random() < 0.2:
            return f"s-{r.randrange(self.d.docs // 10 + 1)}", None
        k = r.randrange(self.d.docs // 4 + 1)
        return f"w{self.number}-{k}", (f"r{k % 7}" if k % 5 == 0 else None)

    def remember(self, kind, body, item, ident):
        self.log.append({"kind": kind, "body": body, "id": item.get("_id", ident[0]), "routing": ident[1], "status": item.get("status"), "result": item.get("result"),
                         "seq": item.get("_seq_no"), "term": item.get("_primary_term"), "version": item.get("_version"), "error": (item.get("error") or {}) if isinstance(item.get("error"), dict) else item.get("error"),
                         "life": self.life, "time": time.time(), "who": self.number, "n": len(self.log)})

    def one(self):
        r = self.r
        x = r.random()
        if x < 0.30:
            self.bulk()
            return
        shared_ok = self.life == 0 or x < 0.6
        ident = self.ident(shared_ok)
        q = f"?routing={ident[1]}" if ident[1] else ""
        typed = self.d.typed
        base = f"/{SRC}/{self.d.type}" if typed else f"/{SRC}"
        doc_path = f"{base}/{ident[0]}" if typed else f"{base}/_doc/{ident[0]}"
        headers, raw = {}, None
        if x < 0.45:
            kind, body, verb, path = "index", self.doc(), "PUT", doc_path + q
        elif x < 0.52:
            kind, body, verb = "create", self.doc(), "PUT"
            path = (f"{doc_path}/_create" if typed else f"{base}/_create/{ident[0]}") + q
        elif x < 0.57:
            kind, body, verb, path = "delete", None, "DELETE", doc_path + q
        elif x < 0.60 and self.life == 0:
            kind, body, verb, ident = "index", self.doc(), "POST", (None, None)
            path = base if typed else f"{base}/_doc"
        else:
            kind, verb = "update", "POST"
            if ident[0][0] == "s" and self.life:
                ident = self.ident(False)
                q = f"?routing={ident[1]}" if ident[1] else ""
                doc_path = f"{base}/{ident[0]}" if typed else f"{base}/_doc/{ident[0]}"
            path = (f"{doc_path}/_update" if typed else f"{base}/_update/{ident[0]}") + q
            body = self.update_body()
        if body is not None and r.random() < 0.15:
            raw = gzip.compress(json.dumps(body, ensure_ascii=False).encode())
            headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        if self.life == 0 and x > 0.985:
            path += ("&" if "?" in path else "?") + "filter_path=result,_shards"
        if self.life == 0 and 0.44 < x < 0.45 and not raw and body is not None:
            raw, headers = b'{"broken": ', {}
        status, answer = self.c.call(verb, path, body, headers, raw)
        self.remember(kind, body, dict(answer if isinstance(answer, dict) else {}, status=status), ident)

    def update_body(self):
        r = self.r
        x = r.random()
        if x < 0.55:
            return {"doc": self.part()}
        if x < 0.7:
            return {"doc": self.part(), "upsert": self.doc()}
        if x < 0.8:
            return {"doc": self.doc(), "doc_as_upsert": True}
        if not self.d.scripts:
            return {"doc": self.part()}
        script = {"source": "ctx._source.stock += params.n", "lang": "painless", "params": {"n": r.randrange(1, 9)}}
        if self.d.kind == "es5":
            script["inline"] = script.pop("source")
        return {"script": script, "upsert": self.doc()} if r.random() < 0.3 else {"script": script}

    def bulk(self):
        r = self.r
        lines, items = [], []
        for _ in range(r.randrange(1, 25)):
            kind = r.choice(["index", "index", "create", "update", "delete"])
            ident = self.ident(self.life == 0 or kind in ("index", "delete"))
            if self.life == 0 and kind in ("index", "create") and r.random() < 0.1:
                ident = (None, None)
            meta = {"_index": SRC}
            if self.d.typed:
                meta["_type"] = self.d.type
            if ident[0]:
                meta["_id"] = ident[0]
            if ident[1]:
                meta["_routing" if self.d.kind == "es5" else "routing"] = ident[1]
            body = None if kind == "delete" else self.update_body() if kind == "update" else self.doc()
            lines.append(json.dumps({kind: meta}, ensure_ascii=False))
            if body is not None:
                lines.append(json.dumps(body, ensure_ascii=False))
            items.append((kind, body, ident))
        raw, headers = ("\n".join(lines) + "\n").encode(), {"Content-Type": "application/x-ndjson"}
        if r.random() < 0.3:
            raw, headers["Content-Encoding"] = gzip.compress(raw), "gzip"
        status, answer = self.c.call("POST", "/_bulk", None, headers, raw)
        if status != 200:
            return
        for (kind, body, ident), item in zip(items, answer["items"]):
            self.remember(kind, body, next(iter(item.values())), ident)

    def run(self):
        try:
            for _ in range(self.ops):
                if self.d.stop.is_set():
                    break
                self.one()
        except Exception as e:  # noqa: BLE001
            self.error = e


def merge(base, doc):
    """XContentHelper.update."""
    out = dict(base)
    for k, v in doc.items():
        out[k] = merge(out[k], v) if isinstance(v, dict) and isinstance(out.get(k), dict) else v
    return out


def fold(model, op):
    """The model that never saw the accident: one operation of the second life onto what it holds."""
    key, body = (op["id"], op["routing"]), op["body"]
    there = model.get(key)
    if op["status"] in (400, 403, 429, 503):
        return
    if op["kind"] in ("index", "create"):
        if op["status"] in (200, 201):
            model[key] = body
    elif op["kind"] == "delete":
        model.pop(key, None)
    elif op["kind"] == "update":
        if there is not None:
            if "script" in body:
                there = dict(there)
                there["stock"] = there["stock"] + body["script"]["params"]["n"]
                model[key] = there
            else:
                model[key] = merge(there, body["doc"])
        elif op["status"] in (200, 201) and op["result"] == "created":
            model[key] = body["doc"] if body.get("doc_as_upsert") else body["upsert"]


class Drill:
    def __init__(self, kind, seed, docs, ops, keep):
        self.kind, self.seed, self.docs, self.ops, self.keep = kind, seed, docs, ops, keep
        self.r = random.Random(f"drill/{seed}")
        self.typed, self.type = kind in ("es5", "es6"), "item"
        self.scripts = kind != "es8"
        self.numbered = kind != "es5"
        self.live = self.numbered and seed % 2 == 1
        self.stop = threading.Event()
        self.dir = tempfile.mkdtemp(prefix="estape-drill-")
        self.tape = os.path.join(self.dir, "tape")
        self.failed, self.switched = [], float("inf")

    def say(self, text):
        print(f"[{self.kind} seed {self.seed}] {text}", flush=True)

    def quiet(self, verb, path, body=None, ok=True):
        status, answer = self.q.call(verb, path, body)
        if ok and status not in (200, 201):
            raise RuntimeError(f"{verb} {path}: {status} {answer}")
        return answer

    def record(self):
        self.recorder = subprocess.Popen([ESTAPE, "record", "-i", "lo", "--port", str(self.port), "--tape", self.tape, "-q", "-u", "root",
                                          f"tcp port {self.port} and not host 127.0.0.2"], stdout=subprocess.DEVNULL, stderr=open(os.path.join(self.dir, "record.txt"), "w"))
        for _ in range(100):
            if os.path.exists(os.path.join(self.tape, "tape.db")) or self.recorder.poll() is not None:
                break
            time.sleep(0.1)
        time.sleep(0.5)
        if self.recorder.poll() is not None:
            raise RuntimeError("the recorder ended: " + open(os.path.join(self.dir, "record.txt")).read())

    def run_writers(self, life, ops, during=None, salt=""):
        writers = [Writer(self, i, ops, life, salt) for i in range(4)]
        for w in writers:
            w.start()
        if during:
            during(writers)
        for w in writers:
            w.join()
            if w.error:
                raise w.error
        return [op for w in writers for op in w.log]

    def dump(self, index):
        self.quiet("POST", f"/{index}/_refresh")
        found, body = {}, {"size": 1000, "version": True, "sort": ["_doc"]}
        a = self.quiet("POST", f"/{index}/_search?scroll=1m", body)
        while a["hits"]["hits"]:
            for h in a["hits"]["hits"]:
                found[(h["_id"], h.get("_routing"))] = h
            a = self.quiet("POST", "/_search/scroll", {"scroll": "1m", "scroll_id": a["_scroll_id"]})
        return found

    def compare(self, what, want, index, versions=False):
        have = self.dump(index)
        bad = []
        for k in want.keys() | have.keys():
            w, h = want.get(k), have.get(k)
            if w is None or h is None or w["_source"] != h["_source"] or (versions and w.get("_version") != h.get("_version")):
                bad.append(k)
        self.say(f"{what}: {len(want)} documents expected, {len(have)} there, {len(bad)} differ")
        for k in sorted(bad, key=str)[:5]:
            self.say(f"  {k}\n    want {json.dumps(want.get(k), ensure_ascii=False)[:600]}\n    have {json.dumps(have.get(k), ensure_ascii=False)[:600]}")
            for op in self.all_ops:
                if op["id"] == k[0]:
                    self.say("    " + json.dumps({x: op[x] for x in ("life", "kind", "result", "status", "seq", "version", "routing")}) + " " + json.dumps(op["body"], ensure_ascii=False)[:160])
        if bad:
            self.failed.append(what)

    def estape(self, *args, want=(0,)):
        r = subprocess.run([ESTAPE, *args], capture_output=True, text=True)
        if r.returncode not in want:
            self.say(f"estape {' '.join(args)} ended with {r.returncode}\n{r.stdout[-3000:]}\n{r.stderr[-2000:]}")
            self.failed.append("estape " + args[0])
        return r

    def hang_up(self):
        s = socket.create_connection(("127.0.0.1", self.port))
        auth = base64.b64encode(b"alice:secret").decode()
        s.sendall(f"DELETE /{SRC} HTTP/1.1\r\nHost: es\r\nUser-Agent: PostmanRuntime/7.39.0\r\nAuthorization: Basic {auth}\r\n\r\n".encode())
        s.close()
        for _ in range(200):
            if self.q.call("HEAD", f"/{SRC}")[0] == 404:
                return
            time.sleep(0.02)
        raise RuntimeError("the index is still there")

    def by_query(self):
        """A barrier: with the writers at rest, what it touches is certain."""
        c = Client(self.port, user="batch:secret")
        c.call("POST", f"/{SRC}/_refresh")
        script = {"inline" if self.kind == "es5" else "source": "ctx._source.stock += 1000", "lang": "painless"}
        s, a = c.call("POST", f"/{SRC}/_update_by_query?conflicts=proceed&refresh=true", {"query": {"range": {"stock": {"lt": 100}}}, "script": script})
        if s != 200:
            raise RuntimeError(f"by-query: {s} {a}")
        s, b = c.call("POST", f"/{SRC}/_delete_by_query?conflicts=proceed&refresh=true", {"query": {"range": {"stock": {"gte": 480, "lt": 500}}}})
        self.say(f"by-query: {a['updated']} updated, {b['deleted']} deleted")

    def restore(self, name):
        self.quiet("POST", "/_snapshot/backup/s1/_restore?wait_for_completion=true", {"indices": SRC, "rename_pattern": SRC, "rename_replacement": name})
        self.quiet("GET", f"/_cluster/health/{name}?wait_for_status=yellow&timeout=30s")

    def run(self, n):
        self.port, self.q = n.port, Client(n.port, quiet=True)
        back = Client(n.port, user="backup:secret")
        self.quiet("PUT", "/_snapshot/backup", {"type": "fs", "settings": {"location": n.repo}})
        self.record()
        shards = self.r.choice([1, 2, 3])
        mapping = {"properties": {"name": {"type": "keyword"}, "stock": {"type": "integer"}}}
        body = {"settings": {"number_of_shards": shards, "number_of_replicas": 0}, "mappings": {self.type: mapping} if self.typed else mapping}
        self.quiet_ok = Client(n.port, user="setup:secret").call("PUT", f"/{SRC}", body)
        snap = {}

        def during(_):
            time.sleep(0.5 + self.r.random())
            s, a = back.call("PUT", "/_snapshot/backup/s1?wait_for_completion=true", {"indices": SRC, "include_global_state": False})
            if s != 200:
                raise RuntimeError(f"snapshot: {s} {a}")

        first = self.run_writers(0, self.ops, during)
        if self.scripts:
            self.by_query()
            first += self.run_writers(0, self.ops // 4, salt="/after")
        truth = self.dump(SRC)
        self.say(f"{shards} shards, {len(first)} operations, {len(truth)} documents before the DELETE")
        self.hang_up()
        second = self.run_writers(1, self.ops // 2)
        self.all_ops = sorted(first + second, key=lambda o: (o["life"], o["time"]))
        self.restore(DST)
        time.sleep(1.5)
        if not self.live:
            self.recorder.send_signal(signal.SIGINT)
            self.recorder.wait(30)
        log = [json.loads(x) for x in self.estape("log", "-t", self.tape, "--api", "indices.delete", "--json").stdout.splitlines()]
        gone = str(log[0]["id"])
        self.estape("check", "-t", self.tape, "--index", SRC, want=(1,) if self.kind == "es5" else (0,))
        args = ["-t", self.tape, "--map", f"{SRC}={DST}", "--target", n.url, "--before", gone]
        a = self.estape("replay", *args, "--yes", "-q")
        self.say("replay --before: " + " | ".join(x.strip() for x in a.stdout.splitlines()[-8:]))
        self.compare("replay --before", truth, DST)
        seq = self.numbers(DST)
        self.estape("replay", *args, "--yes", "-q")
        if self.numbers(DST) != seq:
            self.say(f"a second run changed the target: {seq} -> {self.numbers(DST)}")
            self.failed.append("second run")
        self.estape("verify", *args)
        self.second_life(n, gone, truth, second)
        self.exact(n, gone, truth)
        # Known to fail now and then on version 5: without sequence numbers a script whose answer a kill took can run twice.
        if self.kind == "es5" and not os.environ.get("DRILL_ES5_KILLS"):
            self.say("left out: kills on version 5 (a scripted update can run twice, docs/replay.md); DRILL_ES5_KILLS=1 runs them")
        else:
            self.interrupted(n, gone, truth)
        if self.live:
            self.live_deletes(n, gone, truth)
            self.cut_over(n, gone, truth, second)

    def exact(self, n, gone, truth):
        """Versions kept: all but the reported ones equal the original's."""
        self.restore(EXACT)
        a = self.estape("replay", "-t", self.tape, "--map", f"{SRC}={EXACT}", "--target", n.url, "--before", gone, "--exact-versions", "--yes", "--json")
        if a.returncode:
            return
        lost = json.loads(a.stdout)["report"]["parity_lost"]
        self.compare("replay --exact-versions", truth, EXACT)
        have = self.dump(EXACT)
        other = [k for k in truth if k in have and truth[k]["_version"] != have[k]["_version"]]
        self.say(f"--exact-versions: {len(other)} documents with another version, {lost} told as lost")
        if len(other) > lost and self.numbered:
            self.failed.append("versions")

    def interrupted(self, n, gone, truth):
        """kill -9 at random instants, then to the end, then once more: whole, and nothing changes."""
        self.quiet("DELETE", f"/{EXACT}")
        self.restore(EXACT)
        args = [ESTAPE, "replay", "-t", self.tape, "--map", f"{SRC}={EXACT}", "--target", n.url, "--before", gone, "--yes", "-q", "--journal", os.path.join(self.dir, "kill.db")]
        for _ in range(4):
            p = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(self.r.random() * 0.25)
            p.kill()
            p.wait()
        # A by-query call that a kill interrupted is run again, with other counts: told, exit status 1.
        self.estape(*args[1:], want=(0, 1))
        self.compare("replay after four kills", truth, EXACT)
        seq = self.numbers(EXACT)
        self.estape(*args[1:], want=(0, 1))
        if self.numbers(EXACT) != seq:
            self.failed.append("run after kills")

    def live_deletes(self, n, gone, truth):
        """The copy is live before the replay: what a client deletes there stays deleted."""
        self.quiet("DELETE", f"/{EXACT}")
        self.restore(EXACT)
        c = Client(n.port, user="early:secret")
        ids = sorted(k[0] for k in truth if k[1] is None)[:60]
        for i in ids:
            c.call("DELETE", f"/{EXACT}/{self.type if self.typed else '_doc'}/{i}")
        time.sleep(3)
        self.estape("replay", "-t", self.tape, "--map", f"{SRC}={EXACT}", "--target", n.url, "--before", gone, "--yes", "-q", "--journal", os.path.join(self.dir, "early.db"), want=(1,))
        have = self.dump(EXACT)
        back = [i for i in ids if (i, None) in have]
        self.say(f"live deletes: {len(ids)} deleted, {len(back)} came back, {len(have)} of {len(truth) - len(ids)} others there")
        if back or len(have) != len(truth) - len(ids):
            self.failed.append("live deletes")

    def cut_over(self, n, gone, truth, second):
        """Writers go on during the replay; the copy takes the name over."""
        self.restore(LIVE)
        args = [ESTAPE, "replay", "-t", self.tape, "--map", f"{SRC}={LIVE}", "--target", n.url, "--skip", gone, "--casualties=apply", "--cutover", SRC, "--yes", "-q"]
        p = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        third, deadline = [], time.time() + 60
        rounds = 0
        while p.poll() is None and time.time() < deadline:
            third += self.run_writers(1, 10, salt=f"/live{rounds}")
            rounds += 1
            time.sleep(0.05)
        if p.poll() is None:
            p.kill()
        text, self.switched = p.communicate()[0], time.time()
        third += self.run_writers(1, 10, salt="/behind")
        if p.returncode:
            self.say("cut-over ended with %s: %s" % (p.returncode, text[-3000:]))
            self.failed.append("cut-over")
            return
        self.say("cut-over: " + " | ".join(x.strip() for x in text.splitlines()[-6:]))
        self.all_ops += third
        self.compare("cut-over", {k: {"_source": v} for k, v in self.model(truth, second + third).items()}, SRC)

    def model(self, truth, ops):
        """What never saw the DELETE: per document in the cluster's order; what has no number stays where its writer had it."""
        model, by_doc = {k: h["_source"] for k, h in truth.items()}, {}
        for op in ops:
            by_doc.setdefault((op["id"], op["routing"]), []).append(op)
        for ops in by_doc.values():
            ops = [o for o in ops if o["status"] not in (400, 403, 429, 503)]  # they did nothing, and have no number to stand by
            ops.sort(key=lambda o: o["time"])
            if self.numbered:
                ordered = sorted((o for o in ops if o["seq"] is not None), key=lambda o: (o["time"] > self.switched, o["term"], o["seq"], o["result"] == "noop"))
                for o in (o for o in ops if o["seq"] is None):
                    ordered.insert(max((i + 1 for i, x in enumerate(ordered) if x["time"] <= o["time"]), default=0), o)
                ops = ordered
            if not self.numbered and all(o["version"] is not None for o in ops) and len({o["version"] for o in ops}) == len(ops):
                ops.sort(key=lambda o: o["version"])
            for op in ops:
                fold(model, op)
        return model

    def numbers(self, index):
        a = self.quiet("GET", f"/{index}/_stats/docs?level=shards")
        return {k: [c.get("seq_no", {}).get("max_seq_no") for c in v] for k, v in a["indices"][index]["shards"].items()}

    def second_life(self, n, gone, truth, second):
        model = self.model(truth, second)
        self.restore(SKIP)
        plan = os.path.join(self.dir, "plan.json")
        self.estape("replay", "-t", self.tape, "--map", f"{SRC}={SKIP}", "--target", n.url, "--skip", gone, "--casualties=apply", "--dry-run", "--plan", plan)
        a = self.estape("replay", "-t", self.tape, "--target", n.url, "--plan", plan, "--yes", "-q")
        self.say("replay --skip: " + " | ".join(x.strip() for x in a.stdout.splitlines()[-8:]))
        self.compare("replay --skip", {k: {"_source": v} for k, v in model.items()}, SKIP)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("kind", choices=sorted(node.KINDS))
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--seeds", type=int, default=1, help="run so many, from --seed on")
    p.add_argument("--docs", type=int, default=400)
    p.add_argument("--ops", type=int, default=150)
    p.add_argument("--keep", action="store_true")
    p.add_argument("--port", type=int, help="use the node that runs there (its repo directory in --repo)")
    p.add_argument("--repo")
    a = p.parse_args()
    try:
        n = node.Node(a.kind)
        if a.port:
            shutil.rmtree(n.dir)
            n.port, n.url, n.repo = a.port, f"http://127.0.0.1:{a.port}", a.repo
        else:
            n.start()
    except node.Skip as e:
        print(f"skipped: {a.kind}: {e}")
        return 0
    passed = failed = 0
    try:
        for seed in range(a.seed, a.seed + a.seeds):
            d = Drill(a.kind, seed, a.docs, a.ops, a.keep)
            q = Client(n.port, quiet=True)
            for name in (LIVE, SRC, DST, SKIP, EXACT):
                q.call("DELETE", f"/{name}")
            q.call("DELETE", "/_snapshot/backup/s1")
            try:
                d.run(n)
            except Exception as e:  # noqa: BLE001
                d.say(f"{type(e).__name__}: {e}")
                d.failed.append(str(e))
            finally:
                if getattr(d, "recorder", None) and d.recorder.poll() is None:
                    d.recorder.kill()
            d.say("FAILED: " + ", ".join(d.failed) if d.failed else "passed")
            passed, failed = passed + (not d.failed), failed + bool(d.failed)
            if not a.keep and not d.failed:
                shutil.rmtree(d.dir, ignore_errors=True)
            else:
                d.say("kept in " + d.dir)
    finally:
        if not a.port:
            n.remove()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
