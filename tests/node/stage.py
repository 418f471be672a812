"""What every drill stands on: a recorder on a node's port, snapshots, restores, and the comparison of every document."""
import json, os, random, shutil, signal, subprocess, tempfile, time

from writers import Client

ESTAPE = os.path.abspath(os.environ.get("ESTAPE", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../build/estape")))


class Stage:
    """One recording on one node. `results`: one row (kind, seed, part, documents, different) for each comparison."""

    pause_s = 0  # of a writer after each call

    def __init__(self, kind, seed, keep=False, name="drill"):
        self.kind, self.seed, self.keep, self.name = kind, seed, keep, name
        self.r = random.Random(f"{name}/{seed}")
        self.typed, self.type = kind in ("es5", "es6"), "item"
        self.scripts = kind != "es8"  # the bare distribution has none, and no by-query
        self.numbered = kind != "es5"
        self.dir = tempfile.mkdtemp(prefix="estape-drill-")
        self.tape = os.path.join(self.dir, "tape")
        self.failed, self.results, self.all_ops, self.recorders = [], [], [], []
        self.marks = 0

    def say(self, text):
        print(f"[{self.kind} seed {self.seed}] {text}", flush=True)

    def fail(self, part, text=""):
        self.say(f"{part}: {text}")
        self.failed.append(part)

    def use(self, n):
        self.port, self.url, self.q = n.port, n.url, Client(n.port, quiet=True)
        self.quiet("PUT", "/_snapshot/backup", {"type": "fs", "settings": {"location": n.repo}})

    def client(self, user, port=None):
        return Client(port or self.port, user=user + ":secret")

    def quiet(self, verb, path, body=None, ok=True):
        """A call that the recorder does not see."""
        status, answer = self.q.call(verb, path, body)
        if ok and status not in (200, 201):
            raise RuntimeError(f"{verb} {path}: {status} {answer}")
        return answer

    # ---- paths of each version ---------------------------------------------------------------------------------------
    def doc(self, index, ident=""):
        return f"/{index}/{self.type if self.typed else '_doc'}" + (f"/{ident}" if ident else "")

    def create(self, index, ident):
        return f"/{index}/{self.type}/{ident}/_create" if self.typed else f"/{index}/_create/{ident}"

    def update(self, index, ident):
        return f"/{index}/{self.type}/{ident}/_update" if self.typed else f"/{index}/_update/{ident}"

    def meta(self, index, ident=None, **more):
        m = {"_index": index, **({"_type": self.type} if self.typed else {}), **({"_id": ident} if ident else {})}
        for k, v in more.items():  # version 5 spells them with an underscore
            m[("_" + k) if self.kind == "es5" and k in ("routing", "parent", "version", "version_type") else k] = v
        return m

    def mapped(self, properties, **more):
        mapping = {"properties": properties, **more}
        return {self.type: mapping} if self.typed else mapping

    def script(self, text, **params):
        return {"inline" if self.kind == "es5" else "source": text, "lang": "painless", "params": params}

    # ---- recorder and commands ---------------------------------------------------------------------------------------
    def record(self, ports=None, tape=None):
        ports, tape = ports or [self.port], tape or self.tape
        told = os.path.join(self.dir, os.path.basename(tape) + ".record.txt")
        command = [ESTAPE, "record", "-i", "lo", "--tape", tape, "-q", "-u", "root"]
        for p in ports:
            command += ["--port", str(p)]
        recorder = subprocess.Popen(command + ["(" + " or ".join(f"tcp port {p}" for p in ports) + ") and not host 127.0.0.2"],
                                    stdout=subprocess.DEVNULL, stderr=open(told, "w"))
        self.recorders.append(recorder)
        for _ in range(200):
            if os.path.exists(os.path.join(tape, "tape.db")) or recorder.poll() is not None:
                break
            time.sleep(0.05)
        time.sleep(0.4)
        if recorder.poll() is not None:
            raise RuntimeError("the recorder ended: " + open(told).read())

    def record_end(self):
        time.sleep(0.3)
        for r in self.recorders:
            if r.poll() is None:
                r.send_signal(signal.SIGINT)
        for r in self.recorders:
            if r.wait(60):
                self.fail("recorder", f"ended with {r.returncode}")
        self.recorders = []

    def settle(self):
        """Until the tape, which is being written, shows what was sent so far: a call of its own comes last."""
        self.marks += 1
        mark = f"mark{self.marks}"
        self.client(mark).call("GET", "/")
        deadline = time.time() + 30
        while time.time() < deadline:
            if self.estape("log", "-t", self.tape, "--who", mark, "--json", "--gaps", "hide").stdout:
                return
            time.sleep(0.1)
        raise RuntimeError("the recorder does not keep up: a call is not on the tape after 30 s")

    def estape(self, *args, want=(0,), part=None):
        r = subprocess.run([ESTAPE, *args], capture_output=True, text=True)
        if r.returncode not in want:
            self.fail(part or "estape " + args[0], f"estape {' '.join(args)} ended with {r.returncode}\n{r.stdout[-3000:]}\n{r.stderr[-2000:]}")
        return r

    def deletion(self, index, tapes=None):
        """The exchange that deleted this index: tests find it as a user does."""
        args = [x for t in (tapes or [self.tape]) for x in ("-t", t)]
        for line in self.estape("log", *args, "--api", "indices.delete", "--json").stdout.splitlines():
            row = json.loads(line)
            if index in row["targets"]:
                return str(row["id"])
        raise RuntimeError(f"the tape does not show the deletion of {index}")

    # ---- snapshots and documents -------------------------------------------------------------------------------------
    def snapshot(self, indices, name="s1"):
        s, a = self.client("backup").call("PUT", f"/_snapshot/backup/{name}?wait_for_completion=true", {"indices": ",".join(indices), "include_global_state": False})
        if s != 200 or a["snapshot"]["state"] != "SUCCESS":
            raise RuntimeError(f"snapshot: {s} {a}")

    def restore(self, index, name, snapshot="s1"):
        self.quiet("POST", f"/_snapshot/backup/{snapshot}/_restore?wait_for_completion=true",
                   {"indices": index, "rename_pattern": "^.*$", "rename_replacement": name, "include_aliases": False})
        self.quiet("GET", f"/_cluster/health/{name}?wait_for_status=yellow&timeout=30s")

    def dump(self, index, client=None):
        """(id, routing) -> hit, with version and, where there are any, sequence number and term."""
        q = client or self.q

        def call(verb, path, body=None):
            s, a = q.call(verb, path, body)
            if s != 200:
                raise RuntimeError(f"{verb} {path}: {s} {a}")
            return a

        call("POST", f"/{index}/_refresh")
        found, body = {}, {"size": 1000, "version": True, "sort": ["_doc"]}
        if self.numbered:
            body["seq_no_primary_term"] = True
        a = call("POST", f"/{index}/_search?scroll=1m", body)
        while a["hits"]["hits"]:
            for h in a["hits"]["hits"]:
                found[(h["_id"], h.get("_routing"))] = h
            a = call("POST", "/_search/scroll", {"scroll": "1m", "scroll_id": a["_scroll_id"]})
        call("DELETE", "/_search/scroll", {"scroll_id": [a["_scroll_id"]]})
        return found

    def numbers(self, index):
        a = self.quiet("GET", f"/{index}/_stats/docs?level=shards")
        return {k: max(c.get("seq_no", {}).get("max_seq_no", 0) for c in v) for k, v in a["indices"][index]["shards"].items()}

    def state(self, index):
        """What a run that changes nothing leaves as it is: versions and numbers of every document, and of the shards."""
        return self.numbers(index), {k: (h.get("_version"), h.get("_seq_no"), h.get("_primary_term")) for k, h in self.dump(index).items()}

    def compare(self, part, want, index, versions=False, plain=lambda source: source, left=(), have=None, source=None):
        """Every document: presence, routing, parent, JSON value, with `versions` the version. `plain` takes out what cannot be known, `left` documents."""
        have = self.dump(index) if have is None else have
        bad = []
        for k in want.keys() | have.keys():
            w, h = want.get(k), have.get(k)
            if k[0] in left:
                continue
            if w is None or h is None or plain(w["_source"]) != plain(h["_source"]) or w.get("_parent") != h.get("_parent") or (versions and w.get("_version") != h.get("_version")):
                bad.append(k)
        self.say(f"{part}: {len(want)} documents expected, {len(have)} there, {len(bad)} differ")
        for k in sorted(bad, key=str)[:5]:
            show = [json.dumps({x: d[x] for x in ("_version", "_seq_no", "_primary_term", "_source") if x in d}, ensure_ascii=False)[:600] if d else None for d in (want.get(k), have.get(k))]
            self.say(f"  {k}\n    want {show[0]}\n    have {show[1]}")
            ops = [o for o in self.all_ops if o["id"] == k[0]]
            for op in ops:
                self.say("    " + json.dumps({x: op[x] for x in ("life", "kind", "result", "status", "seq", "version", "routing")}) + " " + json.dumps(op["body"], ensure_ascii=False)[:160])
            told = subprocess.run([ESTAPE, "doc", "-t", self.tape, f"{source or index}/{k[0]}"], capture_output=True, text=True).stdout
            self.say("    on the tape:\n      " + "\n      ".join(told.splitlines()[-40:]))
        self.results.append((self.kind, self.seed, part, len(want), len(bad)))
        if bad:
            self.failed.append(part)
        return not bad

    def close(self):
        for r in self.recorders:
            if r.poll() is None:
                r.kill()
                r.wait()
        if self.keep or self.failed:
            self.say("kept in " + self.dir)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)
