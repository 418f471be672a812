"""Scenes of the drill: small services side by side on one tape, each with one trap of replay; then each index deleted, restored, replayed.

Each scene writes before and after the snapshot, is deleted, restored under another name, replayed up to its deletion, and
compared document by document with what the node held; a second run must leave every version and number as it is.
"""
import collections, glob, json, os, random, socket, subprocess, threading, time

from scene import Scene
from stage import Stage
from writers import Client


class Join(Scene):
    """Children live on the shard of their parent."""
    name, without = "join", {"es8": "the bare distribution has no join field"}

    def setup(self):
        if self.d.kind == "es5":
            body = {"settings": {"number_of_shards": 3, "number_of_replicas": 0}, "mappings": {"shop": {}, "item": {"_parent": {"type": "shop"}}}}
            self.ok(self.c.call("PUT", f"/{self.index}", body))
        else:
            self.make({"rel": {"type": "join", "relations": {"shop": "item"}}})

    def some(self, phase, i, r, c):
        five = self.d.kind == "es5"
        for _ in range(self.ops):
            shop, k = f"shop{r.randrange(6)}", f"i{i}-{r.randrange(self.ops // 3)}"
            home = f"shop{hash_of(k) % 6}"
            if r.random() < 0.1:  # a child that moves: the same id may stand on two shards
                k, home = f"moved{i}-{r.randrange(4)}", shop
                c.call("PUT" if r.random() < 0.7 else "DELETE", self.d.doc(self.index, k) + (f"?parent={home}" if five else f"?routing={home}"),
                       dict(self.text(r), **({} if five else {"rel": {"name": "item", "parent": home}})))
                continue
            q = f"?parent={home}" if five else f"?routing={home}"
            child = dict(self.text(r), **({} if five else {"rel": {"name": "item", "parent": home}}))
            x = r.random()
            if x < 0.15:
                c.call("PUT", f"/{self.index}/shop/{shop}" if five else self.d.doc(self.index, shop), dict(self.text(r), **({} if five else {"rel": "shop"})))
            elif x < 0.45:
                c.call("PUT", self.d.doc(self.index, k) + q, child)
            elif x < 0.6:
                c.call("POST", self.d.update(self.index, k) + q, {"doc": {"n": r.randrange(99)}})
            elif x < 0.7:
                c.call("POST", self.d.update(self.index, k) + q, {"doc": {"n": r.randrange(99)}, "upsert": child})
            elif x < 0.8:
                c.call("DELETE", self.d.doc(self.index, k) + (q if r.random() < 0.8 or five else ""))  # some forget the routing
            else:
                self.bulk(c, [("index", self.d.meta(self.index, f"i{i}-b{n}", **({"parent": home} if five else {"routing": home})), child) for n in range(r.randrange(1, 6))])


def hash_of(text):
    return sum(ord(x) * 31 ** n for n, x in enumerate(text))


class External(Scene):
    """Clients that number their writes themselves; losers get 409."""
    name = "external"

    def some(self, phase, i, r, c):
        version = getattr(self, "versions", None)
        if version is None:
            version = self.versions = {}
        for _ in range(self.ops):
            k = f"e{i}-{r.randrange(self.ops // 3)}"
            v = max(1, version.get(k, 0) + r.choice([1, 1, 3, 10, 0, -2]))
            kind = r.choice(["external", "external", "external_gte"])
            x = r.random()
            if x < 0.6:
                s = c.call("PUT", self.d.doc(self.index, k) + f"?version={v}&version_type={kind}", self.text(r))[0]
            elif x < 0.75:
                s = c.call("DELETE", self.d.doc(self.index, k) + f"?version={v}&version_type={kind}")[0]
            else:
                a = self.bulk(c, [("index", self.d.meta(self.index, k, version=v, version_type=kind), self.text(r))])[1]
                s = a["items"][0]["index"]["status"]
            if s in (200, 201, 404):
                version[k] = v

    def prove(self):
        super().prove()
        exact = self.index + "_exact"
        self.d.restore(self.index, exact)
        lost = self.replay("--exact-versions", "--journal", os.path.join(self.d.dir, "external.db"), back=exact).get("report", {}).get("parity_lost", 0)
        have = self.d.dump(exact)
        if not lost:
            self.d.compare(self.name + ", versions kept", self.truth, exact, versions=True, have=have, source=self.index)
        self.d.q.call("DELETE", f"/{exact}")


class Scripts(Scene):
    """Scripts whose result follows from the document are compared by value; of chance and the clock only that they were there."""
    name, without = "scripts", {"es8": "the bare distribution has no scripts"}

    def some(self, phase, i, r, c):
        five = self.d.kind == "es5"
        for _ in range(self.ops):
            k = f"s-{r.randrange(self.ops // 2)}"  # shared by all writers
            x = r.random()
            if x < 0.3:
                c.call("PUT", self.d.doc(self.index, k), dict(self.text(r), count=0, seen=[]))
                continue
            if x < 0.36:
                c.call("DELETE", self.d.doc(self.index, k))
                continue
            text, params, more = r.choice([
                ("ctx._source.n += params.by", {"by": r.randrange(9)}, {}),
                ("if (ctx._source.seen == null) { ctx._source.seen = [] } ctx._source.seen.add(params.who)", {"who": f"{i}"}, {}),
                ("ctx._source.remove('deep')", {}, {}),
                ("if (ctx._source.n % 3 == 0) { ctx.op = 'delete' } else { ctx._source.n += 1 }", {}, {}),
                ("ctx.op = params.op", {"op": "none" if not five else "none"}, {}),
                ("ctx._source.n = ctx._source.n == null ? 1 : ctx._source.n * 2 % 1000003", {}, {"scripted_upsert": True, "upsert": {}}),
                ("ctx._source.n += 5", {}, {"upsert": self.text(r)}),
                ("ctx._source.chance = Math.random()", {}, {}),
                ("ctx._source.clock = new Date().getTime()", {}, {}),
            ])
            body = {"script": self.d.script(text, **params), **more}
            if r.random() < 0.3:
                self.bulk(c, [("update", self.d.meta(self.index, k), body)])
            else:
                c.call("POST", self.d.update(self.index, k), body)

    def plain(self, source):
        return {k: (v if k not in ("chance", "clock") else "there") for k, v in source.items()}


class Pipelines(Scene):
    """Ingest pipelines: named by the client, the index's default, refused by `_none`, given and taken while it writes."""
    name, without = "pipelines", {"es8": "the bare distribution has no processors"}

    def setup(self):
        stamp = [{"set": {"field": "stage", "value": "seen"}}, {"uppercase": {"field": "word", "ignore_missing": True}}]
        if self.d.kind == "es5":
            stamp[1]["uppercase"].pop("ignore_missing")
        self.d.quiet("PUT", "/_ingest/pipeline/x_stamp", {"processors": stamp})
        self.d.quiet("PUT", "/_ingest/pipeline/x_mark", {"processors": [{"set": {"field": "mark", "value": "marked"}}]})
        self.names = ["x_stamp", "x_mark", None, None]
        if self.d.kind != "es5":  # since 6.5
            self.d.quiet("PUT", "/_ingest/pipeline/x_drop", {"processors": [{"drop": {"if": "ctx.n % 2 == 0"}}]})
            self.names += ["x_drop", "_none"]
        # A default that comes or goes while it is recorded, and single updates under one, are known to fall short (docs/replay.md).
        self.always = self.d.kind != "es5" and self.d.seed % 2 == 1
        self.d.say("pipelines: the index has a default one" if self.always else "pipelines: the index has no default one")
        self.make({"n": {"type": "integer"}}, {"index.default_pipeline": "x_stamp"} if self.always else None)

    def change(self, c, k, body):
        if self.always:  # a bulk's updates pass no pipeline; the single call's do
            self.bulk(c, [("update", self.d.meta(self.index, k), body)])
        else:
            c.call("POST", self.d.update(self.index, k), body)

    def some(self, phase, i, r, c):
        for _ in range(self.ops):
            k = f"p-{r.randrange(self.ops)}"
            name = r.choice(self.names)
            q = f"?pipeline={name}" if name else ""
            x = r.random()
            if x < 0.45:
                c.call("PUT", self.d.doc(self.index, k) + q, self.text(r))
            elif x < 0.65:
                self.change(c, k, {"doc": {"n": r.randrange(1000), "word": r.choice(["lower", "case"])}})
            elif x < 0.72:
                self.change(c, k, {"doc": {"word": "merged"}, "upsert": self.text(r)})
            elif x < 0.77:
                c.call("DELETE", self.d.doc(self.index, k))
            else:
                items = []
                for _ in range(r.randrange(1, 7)):
                    meta = self.d.meta(self.index, f"p-{r.randrange(self.ops)}")
                    if r.random() < 0.4:
                        meta["pipeline"] = r.choice([x for x in self.names if x])
                    items.append((r.choice(["index", "index", "create"]), meta, self.text(r)))
                self.bulk(c, items, q)


class Filtered(Scene):
    """Log shippers that ask for errors alone: no id, no index, no number comes back. Some documents never had an id of their own."""
    name = "filtered"
    FILTERS = ["errors,items.*.error,items.*.status", "items.*._index,items.*.status,items.*.error", "-items", "took,errors", "-items.*._shards"]

    def setup(self):
        super().setup()
        self.alias = self.index + "_write"
        self.ok(self.c.call("PUT", f"/{self.index}/_alias/{self.alias}"))

    def some(self, phase, i, r, c):
        for _ in range(self.ops):
            where = r.choice([self.index, self.alias])
            x = r.random()
            if x < 0.6:
                items, query = [], r.choice(self.FILTERS)
                blind = query in ("-items", "took,errors")  # which of several items failed is not told then: only what cannot fail
                for _ in range(r.randrange(1, 6)):
                    if r.random() < 0.2:
                        items.append(("index", self.d.meta(where), dict(self.text(r), minted=True)))
                        continue
                    k = f"f{i}-{r.randrange(self.ops)}"  # one writer a document: the order of what has no number
                    verb = r.choice(["index", "index", "create", "update", "delete"] if not blind else ["index"])
                    items.append((verb, self.d.meta(where, k), None if verb == "delete" else {"doc": {"n": r.randrange(99)}} if verb == "update" else self.text(r)))
                self.bulk(c, items, "?filter_path=" + query, zip=r.random() < 0.5, chunk=r.choice([0, 300]))
                continue
            k = f"f{i}-{r.randrange(self.ops)}"
            q = "?filter_path=" + r.choice(["result,_shards", "errors", "_id", "-_shards"])
            if x < 0.8:
                c.call("PUT", self.d.doc(where, k) + q, self.text(r))
            elif x < 0.9:
                c.call("POST", self.d.update(where, k) + q, {"doc": {"n": r.randrange(99)}})
            else:
                c.call("DELETE", self.d.doc(where, k) + q)

    def prove(self):
        self.d.restore(self.index, self.back)
        self.replay()
        have = self.d.dump(self.back)

        def minted(docs):
            return collections.Counter(json.dumps(h["_source"], sort_keys=True) for h in docs.values() if h["_source"].get("minted"))

        def named(docs):
            return {k: h for k, h in docs.items() if not h["_source"].get("minted")}

        self.d.compare(self.name, named(self.truth), self.back, have=named(have), source=self.index)
        want, got = minted(self.truth), minted(have)
        self.d.say(f"filtered: {sum(want.values())} documents without a known id expected, {sum(got.values())} there")
        self.d.results.append((self.d.kind, self.d.seed, self.name, sum(want.values()), sum(((want - got) + (got - want)).values())))
        if want != got:
            self.d.fail(self.name, f"minted: missing {list((want - got).elements())[:3]}, too many {list((got - want).elements())[:3]}")
        self.again()


class Mapping(Scene):
    """The first value of a field decides its type; others are refused. Mapping calls come in between."""
    name = "mapping"

    def setup(self):
        super().setup()
        self.lock, self.decided = threading.Lock(), set()

    def some(self, phase, i, r, c):
        values = [1, 2.5, "text", "2026-11-24", True, {"deep": 1}, {"deep": "x"}, [1, 2], None]
        for n in range(self.ops):
            if i == 0 and n == self.ops // 2:
                self.c.call("PUT", f"/{self.index}/_mapping" + (f"/{self.d.type}" if self.d.typed else ""), {"properties": {f"told{phase}": {"type": "keyword"}, f"f{phase}_3": {"type": "text"}}})
            x, k, field = r.random(), f"m{i}-{r.randrange(self.ops // 2)}", f"f{phase}_{r.randrange(12)}"
            with self.lock:  # writes that overlap may decide a field in an order that nobody sees
                if field not in self.decided:
                    self.decided.add(field)
                    c.call("PUT", self.d.doc(self.index, k), dict(self.text(r), **{field: r.choice(values[:-1])}))
                    continue
                fields = sorted(f for f in self.decided if f.startswith(f"f{phase}_"))
            body = dict(self.text(r), **{field: r.choice(values)})
            if x < 0.5:
                c.call("PUT", self.d.doc(self.index, k), body)
            elif x < 0.6:
                c.call("PUT", self.d.create(self.index, k), body)
            elif x < 0.8:
                c.call("POST", self.d.update(self.index, k), {"doc": {field: r.choice(values)}})
            else:
                self.bulk(c, [("index", self.d.meta(self.index, f"m{i}-{r.randrange(self.ops // 2)}"), dict(self.text(r), **{r.choice(fields): r.choice(values)})) for _ in range(4)])

    def properties(self, index):
        a = next(iter(self.d.quiet("GET", f"/{index}/_mapping").values()))["mappings"]
        return (a.get(self.d.type, {}) if self.d.typed else a).get("properties", {})

    def see(self):
        super().see()
        self.fields = self.properties(self.index)

    def prove(self):
        super().prove()
        have = self.properties(self.back)
        # Mapping calls go first in a replay: a sub-field that dynamic mapping had added before one may be absent then.
        other = [k for k in self.fields if k in have and have[k].get("type") != self.fields[k].get("type")]
        missing = [k for k in self.fields if k not in have]
        self.d.say(f"mapping: {len(self.fields)} fields, {len(other)} of another type, {len(missing)} not there")
        if other:
            self.d.fail(self.name, json.dumps({k: (self.fields[k], have[k]) for k in other[:5]}))


class Barriers(Scene):
    """By-query calls and a reindex, with the service at rest; their counts must be the recorded ones."""
    name, without = "barriers", {"es8": "the bare distribution has no by-query and no reindex"}

    def setup(self):
        super().setup()
        feed = self.index + "_feed"
        self.d.q.call("DELETE", f"/{feed}")
        for n in range(30):
            self.d.quiet("PUT", self.d.doc(feed, f"feed{n}"), {"n": n, "word": "feed", "fed": True})
        self.d.quiet("POST", f"/{feed}/_refresh")
        self.feed = feed

    def write(self, phase):
        super().write(phase)
        if phase == 0:
            return
        up = {"query": {"range": {"n": {"lt": 300}}}, "script": self.d.script("ctx._source.n += params.by", by=1000)}
        self.ok(self.c.call("POST", f"/{self.index}/_refresh"))
        a = self.ok(self.c.call("POST", f"/{self.index}/_update_by_query?refresh=true", up))
        super().write(2)
        b = self.ok(self.c.call("POST", "/_reindex?refresh=true", {"source": {"index": self.feed, "query": {"range": {"n": {"gte": 5}}}}, "dest": {"index": self.index, **({"type": self.d.type} if self.d.typed else {})}}))
        super().write(3)
        self.ok(self.c.call("POST", f"/{self.index}/_refresh"))
        c = self.ok(self.c.call("POST", f"/{self.index}/_delete_by_query?refresh=true", {"query": {"range": {"n": {"gte": 700, "lt": 800}}}}))
        super().write(4)
        self.d.say(f"barriers: {a['updated']} updated, {b['created']} created, {c['deleted']} deleted")

    def prove(self):
        self.d.restore(self.index, self.back)
        told = self.replay()
        planned, different = len(told.get("plan", {}).get("barriers", [])), told.get("report", {}).get("barriers_different")
        if planned != 3 or different != 0:
            self.d.fail(self.name, f"{planned} barriers planned, {different} with other counts")
        self.d.compare(self.name, self.truth, self.back, source=self.index)
        self.again()


class Streams(Scene):
    """A data stream that rolls over after the snapshot; corrections by the backing index's name."""
    name, without = "streams", {k: "has no data streams" for k in ("es5", "es6", "es7", "es8")}

    def setup(self):
        self.stream = "x_streams"
        self.ok(self.c.call("PUT", "/_index_template/x_streams", {"index_patterns": ["x_streams"], "data_stream": {}, "priority": 200,
                                                                    "template": {"settings": {"number_of_shards": self.r.choice([1, 2]), "number_of_replicas": 0}}}))
        self.ok(self.c.call("PUT", "/_data_stream/x_streams"))
        self.backing = [".ds-x_streams-000001"]
        self.index = self.backing[0]

    def some(self, phase, i, r, c):
        for n in range(self.ops):
            body = dict(self.text(r), **{"@timestamp": "2026-11-25T00:00:%02dZ" % r.randrange(60)})
            k = f"l{i}-{phase}-{r.randrange(self.ops)}"
            x = r.random()
            if x < 0.3:
                c.call("POST", f"/{self.stream}/_doc", body)
            elif x < 0.5:
                c.call("PUT", f"/{self.stream}/_create/{k}", body)
            elif x < 0.8:
                self.bulk(c, [("create", {"_index": self.stream, **({"_id": f"{k}-{m}"} if r.random() < 0.5 else {})}, dict(body, m=m)) for m in range(r.randrange(1, 6))])
            elif x < 0.9:
                c.call("POST", f"/{self.backing[0]}/_update/l{i}-{r.choice([0, phase])}-{r.randrange(self.ops)}", {"doc": {"n": -1}})
            else:
                c.call("DELETE", f"/{self.backing[0]}/_doc/l{i}-{r.choice([0, phase])}-{r.randrange(self.ops)}")

    def write(self, phase):
        super().write(phase)
        if phase == 1:
            a = self.ok(self.c.call("POST", f"/{self.stream}/_rollover"))
            self.backing.append(a["new_index"])
            super().write(2)

    def see(self):
        self.truths = [self.d.dump(b) for b in self.backing]

    def delete(self):
        self.ok(self.c.call("DELETE", f"/_data_stream/{self.stream}"))

    def maps(self):
        return [x for n, b in enumerate(self.backing) for x in ("--map", f"{b}={self.back}{n + 1}")]

    def replay(self, *more, **_):
        row = json.loads(self.d.estape("log", "-t", self.d.tape, "--api", "indices.delete_data_stream", "--json").stdout.splitlines()[-1])
        return json.loads(self.d.estape("replay", "-t", self.d.tape, *self.maps(), "--target", self.d.url, "--before", str(row["id"]), "--yes", "--json", *more, part=self.name).stdout or "{}")

    def prove(self):
        self.back = "x_streams_back"
        self.d.restore(self.backing[0], self.back + "1")
        self.replay()
        for n, (b, truth) in enumerate(zip(self.backing, self.truths)):
            self.d.compare(self.name, truth, f"{self.back}{n + 1}", source=b)
        state = [self.d.state(f"{self.back}{n + 1}") for n in range(2)]
        self.replay()
        if [self.d.state(f"{self.back}{n + 1}") for n in range(2)] != state:
            self.d.fail(self.name, "a second run changed the target")


class Export(Scene):
    """The plan as _bulk bodies, sent by curl in the order of their names onto an empty index."""
    name = "export"

    def prove(self):
        out = os.path.join(self.d.dir, "export")
        self.d.estape("export", "-t", self.d.tape, *self.maps(), "--before", self.d.deletion(self.index), "--ndjson", out, part=self.name)
        self.d.quiet("PUT", f"/{self.back}", {"settings": {"number_of_shards": 2, "number_of_replicas": 0}, "mappings": self.d.mapped({"n": {"type": "integer"}, "word": {"type": "keyword"}})})
        for f in sorted(glob.glob(out + "/*.ndjson")):
            r = subprocess.run(["curl", "-sS", "--interface", "127.0.0.2", "-H", "Content-Type: application/x-ndjson", "--data-binary", "@" + f, self.d.url + "/_bulk"], capture_output=True, text=True)
            a = json.loads(r.stdout)
            if "items" not in a or any(next(iter(i.values()))["status"] not in (200, 201, 404) for i in a["items"]):
                self.d.fail(self.name, f"{f}: {r.stdout[:500]}")
        self.d.compare(self.name, self.truth, self.back, source=self.index)


class Live(Scene):
    """The copy is in use during the replay: what its own writers wrote last is what stays."""
    name, without = "livewriters", {"es5": "has no if_seq_no: live writes are not recognised there (docs/replay.md)"}
    statuses = (0, 1)

    def prove(self):
        self.d.restore(self.index, self.back)
        stop, last = threading.Event(), [{}, {}]
        ids = [k[0] for k in self.truth] + [f"new{n}" for n in range(20)]

        def live(i):
            r, c = random.Random(f"{self.d.seed}/live/{i}"), Client(self.d.port, quiet=True)
            mine = [x for n, x in enumerate(ids) if n % 4 == i]
            n = 0
            while not stop.is_set() and n < 3000:
                k, n = r.choice(mine), n + 1
                body = {"live": n, "by": i}
                if c.call("PUT", self.d.doc(self.back, k), body)[0] in (200, 201):
                    last[i][k] = body
                time.sleep(0.002)

        ts = [threading.Thread(target=live, args=(i,), daemon=True) for i in range(2)]
        [t.start() for t in ts]
        told = self.replay("--lanes", "2").get("report", {})
        stop.set()
        [t.join() for t in ts]
        want = {k: h for k, h in self.truth.items()}
        want.update({(k, None): {"_source": body} for by in last for k, body in by.items()})
        self.d.say(f"livewriters: {sum(map(len, last))} documents written by others meanwhile, {told.get('left_alone')} left alone, {told.get('applied')} applied")
        self.d.compare(self.name, want, self.back, source=self.index)


class Snapshots(Scene):
    """An index older than the tape, with a snapshot from before it and one since: which of them is enough?"""
    name = "snapshots"

    def before_recording(self):
        # An index that was there before anybody listened.
        self.d.q.call("DELETE", f"/{self.index}")
        self.d.q.call("DELETE", "/_snapshot/backup/s0")
        self.d.quiet("PUT", f"/{self.index}", {"settings": {"number_of_shards": 2, "number_of_replicas": 0}, "mappings": self.d.mapped({"n": {"type": "integer"}})})
        for n in range(20):
            self.d.quiet("PUT", self.d.doc(self.index, f"d0-{n}"), {"n": n, "old": True})
        self.d.quiet("PUT", "/_snapshot/backup/s0?wait_for_completion=true", {"indices": self.index, "include_global_state": False})
        for n in range(5):
            self.d.quiet("PUT", self.d.doc(self.index, f"unheard{n}"), {"n": n})

    def setup(self):
        pass

    def prove(self):
        row = None
        for line in self.d.estape("log", "-t", self.d.tape, "--api", "indices.delete", "--json").stdout.splitlines():
            if self.index in json.loads(line)["targets"]:
                row = json.loads(line)
        a = self.d.estape("snapshots", "-t", self.d.tape, "--index", self.index, "--target", self.d.url, "--until", row["time"], "--json", want=(0, 1), part=self.name)
        told = {(x.get("snapshot") or "").split("/")[-1]: x for x in map(json.loads, a.stdout.splitlines())}
        for name, complete, proven in (("s1", True, self.d.numbered), ("s0", False, False)):
            if (told.get(name, {}).get("complete"), told.get(name, {}).get("proven")) != (complete, proven):
                self.d.fail(self.name, f"{name}: {told.get(name)}")
        # A copy of the older snapshot must be refused.
        self.d.restore(self.index, self.index + "_old", "s0")
        self.replay(statuses=(3,), back=self.index + "_old")
        self.d.q.call("DELETE", f"/{self.index}_old")
        return super().prove()


class Evidence(Scene):
    """Clients that hang up: the write happened all the same, and something later shows it."""
    name = "evidence"

    def hang_up(self, verb, path, body=None):
        data = json.dumps(body).encode() if body is not None else b""
        s = socket.create_connection(("127.0.0.1", self.d.port))
        s.sendall(f"{verb} {path} HTTP/1.1\r\nHost: es\r\nUser-Agent: impatient\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
        s.close()

    def write(self, phase):
        super().write(phase)
        r = random.Random(f"evidence/{self.d.seed}/{phase}")
        for n in range(12):
            k = f"e{phase}-{n}"
            self.hang_up("PUT", self.d.doc(self.index, k), dict(self.text(r), hung=True))
            for _ in range(300):  # until it happened; unseen by the recorder
                if self.d.q.call("GET", self.d.doc(self.index, k))[0] == 200:
                    break
                time.sleep(0.02)
            how = n % 4
            if how == 0:
                self.c.call("POST", self.d.update(self.index, k), {"doc": {"n": 5}})
            elif how == 1:
                self.c.call("PUT", self.d.create(self.index, k), self.text(r))  # 409
            elif how == 2:
                self.c.call("GET", self.d.doc(self.index, k))
            elif self.d.numbered:
                pass  # the hole in the shard's numbers alone
            else:
                self.c.call("POST", self.d.update(self.index, k), {"doc": {"n": 5}})
        super().write(phase + 10)

    def prove(self):
        if not self.d.numbered:  # what only a read shows is listed there, never guessed
            self.d.restore(self.index, self.back)
            told = self.replay(statuses=(3,))
            notes = {x.get("id") for x in told.get("plan", {}).get("notes", []) if x.get("kind") == "unknown"}
            want = {f"e{phase}-{n}" for phase in (0, 1) for n in (2, 6, 10)}
            if not notes <= want:
                self.d.fail(self.name, f"not known: {sorted(notes - want)}, though later answers show them")
            self.more = ("--unknown=apply",)
            self.d.q.call("DELETE", f"/{self.back}")
        super().prove()


SCENES = {c.name: c for c in (Join, External, Scripts, Pipelines, Filtered, Mapping, Barriers, Streams, Export, Live, Snapshots, Evidence)}


class Scenes(Stage):
    """All chosen scenes on one tape."""

    def __init__(self, kind, seed, ops, keep):
        super().__init__(kind, seed, keep, "scenes")
        self.ops = ops

    def each(self, scenes, step, together=False):
        """The step of every scene; a scene that breaks is out, the others go on."""
        def one(s):
            try:
                step(s)
            except Exception as e:  # noqa: BLE001
                self.fail(s.name, f"{type(e).__name__}: {e}")
                s.out = True

        ts = [threading.Thread(target=one, args=(s,), daemon=True) for s in scenes if not s.out]
        for t in ts:
            t.start()
            if not together:
                t.join()
        [t.join() for t in ts]

    def run(self, n, names):
        self.use(n)
        for index in self.quiet("GET", "/x_*/_settings?expand_wildcards=all"):
            self.q.call("DELETE", f"/{index}")
        self.q.call("DELETE", "/_data_stream/x_streams")
        self.q.call("DELETE", "/_snapshot/backup/s1")
        scenes = []
        for name in names:
            why = SCENES[name].without.get(self.kind)
            if why:
                self.say(f"left out: {name}: {self.kind} {why}")
            else:
                scenes.append(SCENES[name](self))
        for s in scenes:
            s.out = False
        if not scenes:
            return
        self.each([s for s in scenes if hasattr(s, "before_recording")], lambda s: s.before_recording())
        self.record()
        self.each(scenes, lambda s: s.setup())
        self.each(scenes, lambda s: s.write(0), together=True)
        self.snapshot([s.index for s in scenes if not s.out])
        self.each(scenes, lambda s: s.write(1), together=True)
        self.each(scenes, lambda s: s.see())
        self.each(scenes, lambda s: s.delete())
        self.record_end()
        self.each(scenes, lambda s: s.prove())
