"""Parts of the drill that need nodes of their own: full queues, a target that restarts, a primary that moves, replay across versions."""
import json, os, random, subprocess, threading, time

import node
from stage import ESTAPE, Stage
from writers import Client, Writer

SRC = "catalog"


class Apart(Stage):
    """A drill on nodes of its own. Its index takes the writers of the main road."""

    name, settings, without = None, {}, {}

    def __init__(self, kind, seed, ops, keep):
        super().__init__(kind, seed, keep, self.name)
        self.ops, self.docs, self.index = ops, 300, SRC
        self.stop = threading.Event()
        self.nodes = []

    def node(self, kind=None, **how):
        n = node.Node(kind or self.kind, where=node.RAM, **how)
        self.nodes.append(n)
        return n.start()

    def run(self):
        if self.kind in self.without:
            self.say(f"left out: {self.name}: {self.kind} {self.without[self.kind]}")
            return
        try:
            self.play()
        finally:
            for n in self.nodes:
                n.remove()

    def make(self, shards, replicas=0):
        s, a = self.client("setup").call("PUT", f"/{SRC}", {"settings": {"number_of_shards": shards, "number_of_replicas": replicas},
                                                            "mappings": self.mapped({"name": {"type": "keyword"}, "stock": {"type": "integer"}})})
        if s != 200:
            raise RuntimeError(f"{s} {a}")

    def writers(self, ops, salt, count=4, ports=None):
        ws = [Writer(self, i, ops, 0, salt) for i in range(count)]
        for i, w in enumerate(ws):
            if ports:
                w.c = self.client(f"svc{i}", ports[i % len(ports)])
            w.start()
        for w in ws:
            w.join()
            if w.error:
                raise w.error
        log = [op for w in ws for op in w.log]
        self.all_ops += log
        return log

    def accident(self):
        truth = self.dump(SRC)
        self.client("alice").call("DELETE", f"/{SRC}")
        time.sleep(1)
        return truth

    def replay(self, to, *more, want=(0,), tapes=None, url=None):
        args = [x for t in (tapes or [self.tape]) for x in ("-t", t)]
        a = self.estape("replay", *args, "--map", f"{SRC}={to}", "--target", url or self.url, "--before", self.deletion(SRC, tapes), "--yes", "--json", *more, want=want, part=self.name)
        try:
            return json.loads(a.stdout)["report"]
        except (ValueError, KeyError):
            return {}

    def unchanged(self, to, *more, **how):
        state = self.state(to)
        self.replay(to, *more, **how)
        if self.state(to) != state:
            self.fail(self.name, "a further run changed the target")


class Storm(Apart):
    """Queues of one place: writers are refused with 429 while they are recorded, and the replay while it writes."""

    name = "storm"

    def play(self):
        pools = ("bulk", "index") if self.kind == "es5" else ("write",)
        self.use(self.node(settings={f"thread_pool.{p}.{what}": n for p in pools for what, n in (("size", "1"), ("queue_size", str(self.r.choice([1, 2, 4]))))}))
        self.record()
        self.make(3)
        log = self.writers(self.ops, "/first", 6)
        self.snapshot([SRC])
        log += self.writers(self.ops, "/second", 6)
        refused = sum(o["status"] == 429 for o in log)
        truth = self.accident()
        self.record_end()
        self.restore(SRC, "copy")
        stop = threading.Event()

        def hammer(i):
            c, body = Client(self.port, quiet=True), {"n": i}
            raw = ("".join(json.dumps({"index": self.meta("noise", f"{i}-{k}")}) + "\n" + json.dumps(body) + "\n" for k in range(40))).encode()
            while not stop.is_set():
                c.call("POST", "/_bulk", None, {"Content-Type": "application/x-ndjson"}, raw)

        self.quiet("PUT", "/noise", {"settings": {"number_of_shards": 3, "number_of_replicas": 0}})
        ts = [threading.Thread(target=hammer, args=(i,), daemon=True) for i in range(4)]
        [t.start() for t in ts]
        told = self.replay("copy")
        stop.set()
        [t.join() for t in ts]
        self.say(f"storm: {refused} of {len(log)} recorded writes refused with 429; the replay was told to wait {told.get('busy')} times")
        self.compare("storm", truth, "copy", source=SRC)
        self.unchanged("copy")
        if not refused or not told.get("busy"):
            self.say("storm: no storm came up this time")


class Restart(Apart):
    """The target is killed and started again in the middle of a replay; a second run completes it, a third changes nothing."""

    name = "restart"

    def play(self):
        n = self.node()
        self.use(n)
        self.record()
        self.make(2)
        self.writers(self.ops // 2, "/first")
        self.snapshot([SRC])
        self.writers(self.ops, "/second")
        c = self.client("loader")
        for round_ in range(20):  # enough for a replay of some seconds
            raw = "".join(json.dumps({"index": self.meta(SRC, f"load{k}-{round_ % 2}")}) + "\n" + json.dumps({"round": round_, "k": k, "text": "x" * 200}) + "\n" for k in range(400))
            c.call("POST", "/_bulk", None, {"Content-Type": "application/x-ndjson"}, raw.encode())
        truth = self.accident()
        self.record_end()
        self.restore(SRC, "copy")
        args = [ESTAPE, "replay", "-t", self.tape, "--map", f"{SRC}=copy", "--target", self.url, "--before", self.deletion(SRC), "--yes", "-q", "--lanes", "1"]
        p = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        time.sleep(0.2 + self.r.random() * 1.2)
        n.stop(kill=True)
        n.start()
        self.q = Client(self.port, quiet=True)
        self.quiet("GET", "/_cluster/health/copy?wait_for_status=yellow&timeout=60s")
        try:
            text = p.communicate(timeout=120)[0]
        except subprocess.TimeoutExpired:
            p.kill()
            text = p.communicate()[0]
        self.say(f"restart: the first run ended with {p.returncode}: {(text.strip().splitlines() or ['nothing said'])[-1]}")
        told = self.replay("copy")
        self.say(f"restart: the second run applied {told.get('applied')}, found {told.get('already')} there")
        self.compare("restart", truth, "copy", source=SRC)
        self.unchanged("copy")


class Cluster(Apart):
    """Two nodes; primaries move and are lost to their replicas while both nodes take writes. Three tapes: one of both nodes' traffic, one of each node's."""

    name = "cluster"

    def play(self):
        n = self.node(nodes=2)
        self.use(n)
        ports = [n.port, n.port + 1]
        self.quiet("GET", "/_cluster/health?wait_for_nodes=2&timeout=60s")
        if self.quiet("GET", "/_cluster/health")["number_of_nodes"] != 2:
            raise RuntimeError("the second node did not join")
        both = [self.tape + "-a", self.tape + "-b"]
        self.record(ports)
        for port, tape in zip(ports, both):
            self.record([port], tape)
        self.make(2, 1)
        self.quiet("GET", f"/_cluster/health/{SRC}?wait_for_status=green&timeout=60s")
        self.writers(self.ops, "/first", ports=ports)
        self.snapshot([SRC])
        stop, moved = threading.Event(), []
        mover = threading.Thread(target=self.move, args=(stop, moved), daemon=True)
        mover.start()
        for salt in "bcdefgh":
            self.writers(self.ops // 2, "/" + salt, ports=ports)
            if len(moved) >= 3:
                break
        stop.set()
        mover.join()
        self.quiet("GET", f"/_cluster/health/{SRC}?wait_for_status=green&timeout=60s")
        truth = self.accident()
        self.record_end()
        terms = max((o["term"] or 0) for o in self.all_ops)
        self.say(f"cluster: {len(moved)} primaries moved, terms up to {terms}")
        if self.numbered:
            for name, tapes, want in (("both nodes", [self.tape], (0,)), ("node 1 alone", both[:1], (1,)), ("node 2 alone", both[1:], (1,)), ("the two together", both, (0,))):
                a = self.estape("check", *[x for t in tapes for x in ("-t", t)], "--index", SRC, want=want, part=f"check of {name}")
                self.say(f"cluster: check of {name}: {a.stdout.splitlines()[0] if a.stdout else a.stderr}")
        rows = [len(self.estape("log", *[x for t in tapes for x in ("-t", t)], "--json").stdout.splitlines()) for tapes in ([self.tape], both)]
        if rows[0] != rows[1]:
            self.fail("log of two tapes", f"{rows[0]} exchanges on the tape of both nodes, {rows[1]} on the two together")
        for part, tapes, to in (("cluster", [self.tape], "copy"), ("cluster, two tapes", both, "copy2")):
            self.restore(SRC, to)
            self.replay(to, tapes=tapes)
            self.compare(part, truth, to, source=SRC)
            self.unchanged(to, tapes=tapes)

    def move(self, stop, moved):
        """Takes the primary from its node: the replica takes over under a new term."""
        c, r = Client(self.port, quiet=True), random.Random(f"move/{self.seed}")
        while not stop.is_set():
            time.sleep(0.3 + r.random() * 0.5)
            shard = r.randrange(2)
            s, a = c.call("GET", f"/_cluster/state/routing_table,nodes/{SRC}")
            copies = a["routing_table"]["indices"][SRC]["shards"][str(shard)]
            if any(x["state"] != "STARTED" for x in copies) or len(copies) < 2:
                continue
            primary = next(x for x in copies if x["primary"])
            s, a = c.call("POST", "/_cluster/reroute", {"commands": [{"cancel": {"index": SRC, "shard": shard, "node": primary["node"], "allow_primary": True}}]})
            if s == 200:
                moved.append(shard)


class Across(Apart):
    """A tape of one version into a node of another: onto a restored copy, and onto nothing, from the tape alone."""

    name = "across"
    PAIRS = {"es5": ("es6", "es7"), "es6": ("es7",), "es7": ("os2",), "os2": ("os3",)}
    RESTORES = {("es5", "es6"), ("es6", "es7"), ("es7", "os2"), ("os2", "os3")}  # else from the tape alone
    without = {"os3": "has no successor here", "es8": "has no successor here"}

    def play(self):
        n = self.node()
        self.use(n)
        self.record()
        self.make(self.r.choice([1, 2, 3]))
        self.writers(self.ops // 2, "/first")
        self.snapshot([SRC])
        self.writers(self.ops, "/second")
        truth = self.accident()
        self.record_end()
        n.stop()
        for kind in self.PAIRS[self.kind]:
            self.into(kind, n, truth)

    def into(self, kind, source, truth):
        t = self.node(kind, repo=source.repo)
        there = Stage(kind, self.seed, name="across")
        try:
            there.use(t)
            plain = {k: {x: v for x, v in h.items() if x != "_type"} for k, h in truth.items()}
            ways = [("restored", True)] if (self.kind, kind) in self.RESTORES else []
            for way, restored in ways + [("from the tape alone", False)]:
                to = "copy" if restored else "alone"
                if restored:
                    there.restore(SRC, to)
                self.replay(to, url=t.url)
                self.compare(f"across: into {kind}, {way}", plain, to, have=there.dump(to), source=SRC)
                state = there.state(to)
                self.replay(to, url=t.url)
                if there.state(to) != state:
                    self.fail("across", f"into {kind}, {way}: a second run changed the target")
        finally:
            there.close()
            t.remove()


class Admin(Apart):
    """Administrative calls between the writes, made again with --admin: settings, blocks, close and open, aliases, a pipeline, a template, a script; then a deletion and a second life."""

    name = "admin"
    RESTORED = ("refresh_interval", "analysis", "blocks", "max_result_window")

    def look(self, index):
        """What the calls left: settings, aliases with their filters, fields."""
        a = next(iter(self.quiet("GET", f"/{index}/_settings").values()))["settings"]["index"]
        m = next(iter(self.quiet("GET", f"/{index}/_mapping").values()))["mappings"]
        m = m.get(self.type, m) if self.typed else m
        aliases = next(iter(self.quiet("GET", f"/{index}/_alias").values()), {}).get("aliases", {})
        return {"settings": {k: a[k] for k in self.RESTORED if k in a}, "aliases": aliases, "fields": {k: v["type"] for k, v in m.get("properties", {}).items() if "type" in v}}

    def said(self, c, verb, path, body=None):
        s, a = c.call(verb, path, body)
        if s != 200:
            raise RuntimeError(f"{verb} {path}: {s} {a}")

    def play(self):
        n = self.node()
        self.use(n)
        self.record()
        self.make(self.r.choice([1, 2]))
        ops, c = self.client("ops"), lambda verb, path, body=None: self.said(ops, verb, path, body)
        self.writers(self.ops // 2, "/first")
        self.snapshot([SRC])
        self.writers(self.ops // 2, "/second")
        c("PUT", f"/{SRC}/_settings", {"index": {"refresh_interval": "7s"}})
        c("PUT", f"/{SRC}/_mapping" + (f"/{self.type}" if self.typed else ""), {"properties": {"added": {"type": "keyword"}}})
        c("PUT", f"/{SRC}/_alias/shown", {"filter": {"term": {"name": "x"}}})
        c("POST", "/_aliases", {"actions": [{"add": {"index": SRC, "alias": "seen"}}, {"add": {"index": SRC, "alias": "gone"}}]})
        self.writers(self.ops // 2, "/third")
        c("POST", "/_aliases", {"actions": [{"remove": {"index": SRC, "alias": "gone"}}]})
        c("PUT", f"/{SRC}/_settings", {"index.blocks.write": True})
        self.client("svc").call("PUT", self.doc(SRC, "blocked"), {"name": "never"})
        c("PUT", f"/{SRC}/_settings", {"index.blocks.write": None})
        c("POST", f"/{SRC}/_close")
        c("PUT", f"/{SRC}/_settings", {"analysis": {"analyzer": {"plain": {"type": "standard"}}}})
        c("POST", f"/{SRC}/_open")
        self.quiet("GET", f"/_cluster/health/{SRC}?wait_for_status=yellow&timeout=30s")
        pipelines = self.kind != "es8"
        if pipelines:
            c("PUT", "/_ingest/pipeline/stamp", {"processors": [{"set": {"field": "stamped", "value": True}}]})
        c("PUT", "/_template/later", {("template" if self.kind == "es5" else "index_patterns"): "later-*" if self.kind == "es5" else ["later-*"], "settings": {"number_of_shards": 1}})
        s, a = ops.call("PUT", self.doc(SRC, "stamp") + ("?pipeline=stamp" if pipelines else ""), {"name": "piped"})
        if s != 201:
            raise RuntimeError(f"{s} {a}")
        self.writers(self.ops // 2, "/fourth")
        want = self.look(SRC)
        truth = self.accident()
        first = self.deletion(SRC)
        # a second life, that the deletion's repetition begins
        self.make(1)
        self.writers(self.ops // 2, "/fifth")
        c("PUT", f"/{SRC}/_settings", {"index": {"max_result_window": 12345}})
        again, reborn = self.look(SRC), self.accident()
        self.record_end()
        for path in (["/_ingest/pipeline/stamp"] if pipelines else []) + ["/_template/later"]:
            self.quiet("DELETE", path)
        self.restore(SRC, "copy")
        report = self.replay("copy", "--admin")
        self.compare("admin", truth, "copy", source=SRC, plain=lambda d: d)
        self.expect_same("admin", want, self.look("copy"))
        for path in (["/_ingest/pipeline/stamp"] if pipelines else []) + ["/_template/later"]:
            if self.q.call("GET", path)[0] != 200:
                self.fail("admin", f"{path} was not made again")
        self.say(f"admin: {report.get('admin')} calls made again, {report.get('admin_refused')} refused")
        self.unchanged("copy", "--admin")
        self.restore(SRC, "copy2")
        last = [json.loads(line) for line in self.estape("log", "-t", self.tape, "--api", "indices.delete", "--json").stdout.splitlines()][-1]["id"]
        if str(last) == first:
            self.fail("admin", "only one deletion on the tape")
        self.estape("replay", "-t", self.tape, "--map", f"{SRC}=copy2", "--target", self.url, "--before", str(last), "--admin", "--yes", "-q", part="admin, a deletion")
        self.compare("admin, a deletion made again", reborn, "copy2", source=SRC)
        self.expect_same("admin, a deletion", again, self.look("copy2"))

    def expect_same(self, part, want, have):
        if want != have:
            self.fail(part, f"left {json.dumps(have)}\n  not {json.dumps(want)}")


PARTS = {c.name: c for c in (Storm, Restart, Cluster, Across, Admin)}
