"""The drill: random writers on a real node under the recorder, a snapshot, an accident, a restore, a replay, every document compared.

drill.py KIND [--seed N] [--seeds N] [--parts a,b,c] [--docs N] [--ops N] [--keep] [--results FILE]; ESTAPE names the program.
Exit 0: all equal. A failure prints the document, its operations as the writers and as the tape have them, and the seed.
"""
import argparse, base64, json, os, socket, subprocess, sys, threading, time, traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import apart, node, scenes
from stage import ESTAPE, Stage
from writers import Client, Writer, fold

SRC, DST, SKIP, EXACT, LIVE = "catalog", "catalog_restored", "catalog_skip", "catalog_exact", "catalog_live"


class Drill(Stage):
    """The accident: parts before, skip, exact, kills, live, cutover."""

    PARTS = ("before", "skip", "exact", "kills", "live", "cutover")

    def __init__(self, kind, seed, docs, ops, keep, parts):
        super().__init__(kind, seed, keep)
        self.docs, self.ops, self.parts, self.index = docs, ops, parts, SRC
        self.stop = threading.Event()
        self.switched = float("inf")

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

    def run(self, n):
        self.use(n)
        for name in (LIVE, SRC, DST, SKIP, EXACT):
            self.q.call("DELETE", f"/{name}")
        self.q.call("DELETE", "/_snapshot/backup/s1")
        self.record()
        shards = self.r.choice([1, 2, 3])
        body = {"settings": {"number_of_shards": shards, "number_of_replicas": 0}, "mappings": self.mapped({"name": {"type": "keyword"}, "stock": {"type": "integer"}})}
        self.client("setup").call("PUT", f"/{SRC}", body)

        def during(_):
            time.sleep(0.5 + self.r.random())
            self.snapshot([SRC])

        first = self.run_writers(0, self.ops, during)
        if self.scripts:
            self.by_query()
            first += self.run_writers(0, self.ops // 4, salt="/after")
        truth = self.dump(SRC)
        self.say(f"{shards} shards, {len(first)} operations, {len(truth)} documents before the DELETE")
        self.hang_up()
        second = self.run_writers(1, self.ops // 2)
        self.all_ops = sorted(first + second, key=lambda o: (o["life"], o["time"]))
        if {"live", "cutover"} & set(self.parts):
            self.settle()
        else:
            self.record_end()
        gone = self.deletion(SRC)
        self.estape("check", "-t", self.tape, "--index", SRC, want=(0,) if self.numbered else (1,))
        for part, how in (("before", self.before), ("skip", self.second_life), ("exact", self.exact), ("kills", self.interrupted), ("live", self.live_deletes), ("cutover", self.cut_over)):
            if part in self.parts and (self.numbered or part not in ("live", "cutover")):  # without numbers nothing can follow
                how(n, gone, truth, second)

    def before(self, n, gone, truth, second):
        self.restore(SRC, DST)
        args = ["-t", self.tape, "--map", f"{SRC}={DST}", "--target", n.url, "--before", gone]
        a = self.estape("replay", *args, "--yes", "-q")
        self.say("replay --before: " + " | ".join(x.strip() for x in a.stdout.splitlines()[-6:]))
        self.compare("before", truth, DST, source=SRC)
        state = self.state(DST)
        for time_ in ("second", "third"):
            self.estape("replay", *args, "--yes", "-q")
            if self.state(DST) != state:
                self.fail(f"{time_} run", "it changed the target")
        self.estape("verify", *args)

    def exact(self, n, gone, truth, second):
        """Versions kept: all but the reported ones equal the original's."""
        self.q.call("DELETE", f"/{EXACT}")
        self.restore(SRC, EXACT)
        a = self.estape("replay", "-t", self.tape, "--map", f"{SRC}={EXACT}", "--target", n.url, "--before", gone, "--exact-versions", "--yes", "--json")
        if a.returncode:
            return
        lost = json.loads(a.stdout)["report"]["parity_lost"]
        self.compare("exact", truth, EXACT, source=SRC)
        have = self.dump(EXACT)
        other = [k for k in truth if k in have and truth[k]["_version"] != have[k]["_version"]]
        self.say(f"--exact-versions: {len(other)} documents with another version, {lost} told as lost")
        if len(other) > lost and self.numbered:
            self.failed.append("versions")

    def interrupted(self, n, gone, truth, second):
        """kill -9 at random instants, then to the end, then once more: whole, and nothing changes."""
        self.q.call("DELETE", f"/{EXACT}")
        self.restore(SRC, EXACT)
        args = [ESTAPE, "replay", "-t", self.tape, "--map", f"{SRC}={EXACT}", "--target", n.url, "--before", gone, "--yes", "-q", "--journal", os.path.join(self.dir, "kill.db")]
        for _ in range(4):
            p = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(self.r.random() * 0.25)
            p.kill()
            p.wait()
        # A by-query call that a kill interrupted is run again, with other counts: told, exit status 1.
        a = self.estape(*args[1:], want=(0, 1))
        if not self.compare("kills", truth, EXACT, source=SRC):
            self.say(f"the run after the kills ended with {a.returncode}\n{a.stdout[-1500:]}\n{a.stderr[-1500:]}")
        state = self.state(EXACT)
        self.estape(*args[1:], want=(0, 1))
        if self.state(EXACT) != state:
            self.fail("kills", "a run after the one that completed it changed the target")

    def live_deletes(self, n, gone, truth, second):
        """The copy is live before the replay: what a client deletes there stays deleted."""
        self.q.call("DELETE", f"/{EXACT}")
        self.restore(SRC, EXACT)
        c = Client(n.port, user="early:secret")
        ids = sorted(k[0] for k in truth if k[1] is None)[:60]
        for i in ids:
            c.call("DELETE", f"/{EXACT}/{self.type if self.typed else '_doc'}/{i}")
        self.settle()
        self.estape("replay", "-t", self.tape, "--map", f"{SRC}={EXACT}", "--target", n.url, "--before", gone, "--yes", "-q", "--journal", os.path.join(self.dir, "early.db"), want=(1,))
        have = self.dump(EXACT)
        back = [i for i in ids if (i, None) in have]
        self.say(f"live deletes: {len(ids)} deleted, {len(back)} came back, {len(have)} of {len(truth) - len(ids)} others there")
        self.results.append((self.kind, self.seed, "live", len(have), len(back) + abs(len(have) - len(truth) + len(ids))))
        if self.results[-1][4]:
            self.failed.append("live")

    def cut_over(self, n, gone, truth, second):
        """Writers go on during the replay; the copy takes the name over."""
        self.restore(SRC, LIVE)
        args = [ESTAPE, "replay", "-t", self.tape, "--map", f"{SRC}={LIVE}", "--target", n.url, "--skip", gone, "--casualties=apply", "--cutover", SRC, "--yes", "-q"]
        p = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        third, deadline = [], time.time() + 240
        self.pause_s = 0.04  # writers that take all the node can do leave nothing to catch up with
        rounds = 0
        while p.poll() is None and time.time() < deadline:
            third += self.run_writers(1, 10, salt=f"/live{rounds}")
            rounds += 1
            time.sleep(0.05)
        if p.poll() is None:
            p.kill()
        text, self.switched = p.communicate()[0], time.time()
        self.pause_s = 0
        third += self.run_writers(1, 10, salt="/behind")
        if p.returncode:
            self.fail("cutover", "ended with %s: %s" % (p.returncode, text[-3000:]))
            return
        self.say("cut-over: " + " | ".join(x.strip() for x in text.splitlines()[-6:]))
        self.all_ops += third
        self.compare("cutover", {k: {"_source": v} for k, v in self.model(truth, second + third).items()}, SRC)

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

    def second_life(self, n, gone, truth, second):
        model = self.model(truth, second)
        self.restore(SRC, SKIP)
        plan = os.path.join(self.dir, "plan.json")
        self.estape("replay", "-t", self.tape, "--map", f"{SRC}={SKIP}", "--target", n.url, "--skip", gone, "--casualties=apply", "--dry-run", "--plan", plan)
        a = self.estape("replay", "-t", self.tape, "--target", n.url, "--plan", plan, "--yes", "-q")
        self.say("replay --skip: " + " | ".join(x.strip() for x in a.stdout.splitlines()[-8:]))
        self.compare("skip", {k: {"_source": v} for k, v in model.items()}, SKIP, source=SRC)


def run_stage(d, how, results):
    """One recording with its comparisons; whatever goes wrong is that part's failure."""
    try:
        how()
    except Exception as e:  # noqa: BLE001
        d.fail("broken off", f"{type(e).__name__}: {e}\n{traceback.format_exc()}" if d.keep else f"{type(e).__name__}: {e}")
    d.say("FAILED: " + ", ".join(dict.fromkeys(d.failed)) if d.failed else "passed")
    d.close()
    if results:
        with open(results, "a") as f:
            for row in d.results:
                f.write("\t".join(map(str, row)) + "\n")
            for part in dict.fromkeys(d.failed):
                f.write(f"{d.kind}\t{d.seed}\tFAILED {part}\t0\t1\n")
    return not d.failed


def main():
    p = argparse.ArgumentParser()
    p.add_argument("kind", choices=sorted(node.KINDS))
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--seeds", type=int, default=1, help="run so many, from --seed on")
    p.add_argument("--scene-seeds", type=int, help="so many of them for the scenes; default all")
    p.add_argument("--docs", type=int, default=400)
    p.add_argument("--ops", type=int, default=150)
    p.add_argument("--parts", default=",".join(Drill.PARTS + tuple(scenes.SCENES)), help="of " + ", ".join(Drill.PARTS + tuple(scenes.SCENES) + tuple(apart.PARTS)))
    p.add_argument("--keep", action="store_true")
    p.add_argument("--results", help="add a line for each comparison to this file: node, seed, part, documents, different")
    p.add_argument("--port", type=int, help="use the node that runs there (its repo directory in --repo)")
    p.add_argument("--repo")
    a = p.parse_args()
    parts = a.parts.split(",")
    unknown = set(parts) - set(Drill.PARTS) - set(scenes.SCENES) - set(apart.PARTS)
    if unknown:
        p.error("no such part: " + ", ".join(sorted(unknown)))
    main_road, small, own = ([x for x in parts if x in of] for of in (Drill.PARTS, scenes.SCENES, apart.PARTS))
    n, passed, failed = None, 0, 0

    def count(ok):
        nonlocal passed, failed
        passed, failed = passed + ok, failed + (not ok)

    try:
        if a.port:
            n = node.Node(a.kind, port=a.port, repo=a.repo)
        elif main_road or small:
            n = node.Node(a.kind, where=node.RAM).start()
        for seed in range(a.seed, a.seed + a.seeds):
            if main_road:
                d = Drill(a.kind, seed, a.docs, a.ops, a.keep, main_road)
                count(run_stage(d, lambda: d.run(n), a.results))
            if small and seed - a.seed < (a.scene_seeds or a.seeds):
                s = scenes.Scenes(a.kind, seed, a.ops, a.keep)
                count(run_stage(s, lambda: s.run(n, small), a.results))
        if n and not a.port:
            n.remove()
        n = None
        for seed in range(a.seed, a.seed + a.seeds):
            for part in own:
                s = apart.PARTS[part](a.kind, seed, a.ops, a.keep)
                count(run_stage(s, s.run, a.results))
    except node.Skip as e:
        print(f"skipped: {a.kind}: {e}")
        return 0
    finally:
        if n and not a.port:
            n.remove()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
