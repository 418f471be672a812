"""What every scene of the drill is: a small service with an index of its own, from its first write to the comparison of its copy."""
import gzip, json, random, threading


class Scene:
    """One service. `why_not` tells on which nodes it cannot be had."""

    name, without = None, {}  # kind -> reason
    statuses = (0,)           # of replay
    more = ()                 # options of replay

    def __init__(self, d):
        self.d, self.r, self.index = d, random.Random(f"{self.name}/{d.seed}"), "x_" + self.name
        self.back = self.index + "_back"
        self.c = d.client(self.name)
        self.ops = max(20, d.ops // 2)

    def setup(self):
        self.make({"n": {"type": "integer"}, "word": {"type": "keyword"}})

    def make(self, properties, settings=None, **mapping):
        body = {"settings": {"number_of_shards": self.r.choice([1, 2, 3]), "number_of_replicas": 0, **(settings or {})}, "mappings": self.d.mapped(properties, **mapping)}
        self.ok(self.c.call("PUT", f"/{self.index}", body))

    @staticmethod
    def ok(answer, statuses=(200, 201)):
        if answer[0] not in statuses:
            raise RuntimeError(f"{answer}")
        return answer[1]

    def text(self, r):
        return {"n": r.randrange(1000), "word": r.choice(["crème", "größe", "walnut", "日本"]), "tags": [r.choice("abc") for _ in range(r.randrange(3))], "deep": {"a": r.randrange(9)}}

    def together(self, phase, fn, threads=3):
        """Runs fn(number, random, client) in threads."""
        errors = []

        def one(i):
            try:
                fn(i, random.Random(f"{self.name}/{self.d.seed}/{phase}/{i}"), self.d.client(f"{self.name}{i}"))
            except Exception as e:  # noqa: BLE001
                errors.append(e)

        ts = [threading.Thread(target=one, args=(i,), daemon=True) for i in range(threads)]
        [t.start() for t in ts]
        [t.join() for t in ts]
        if errors:
            raise errors[0]

    def bulk(self, c, items, query="", **how):
        """items: (verb, meta, body or None)."""
        lines = []
        for verb, meta, body in items:
            lines.append(json.dumps({verb: meta}, ensure_ascii=False))
            if body is not None:
                lines.append(json.dumps(body, ensure_ascii=False))
        raw, headers = ("\n".join(lines) + "\n").encode(), {"Content-Type": "application/x-ndjson"}
        if how.get("zip"):
            raw, headers["Content-Encoding"] = gzip.compress(raw), "gzip"
        return c.call("POST", "/_bulk" + query, None, headers, raw, chunk=how.get("chunk", 0))

    def write(self, phase):
        self.together(phase, lambda i, r, c: self.some(phase, i, r, c))

    def some(self, phase, i, r, c):
        """Ordinary writes of one writer."""
        for _ in range(self.ops):
            k = f"d{i}-{r.randrange(self.ops // 2)}"
            x = r.random()
            if x < 0.5:
                c.call("PUT", self.d.doc(self.index, k), self.text(r))
            elif x < 0.75:
                c.call("POST", self.d.update(self.index, k), {"doc": {"n": r.randrange(1000), "deep": {"b": r.randrange(9)}}})
            elif x < 0.85:
                c.call("DELETE", self.d.doc(self.index, k))
            else:
                self.bulk(c, [("index", self.d.meta(self.index, f"d{i}-{r.randrange(self.ops // 2)}"), self.text(r)) for _ in range(r.randrange(1, 9))])

    def see(self):
        self.truth = self.d.dump(self.index)

    def delete(self):
        self.ok(self.c.call("DELETE", f"/{self.index}"))

    def maps(self):
        return ["--map", f"{self.index}={self.back}"]

    def replay(self, *more, statuses=None, back=None):
        maps = ["--map", f"{self.index}={back}"] if back else self.maps()
        a = self.d.estape("replay", "-t", self.d.tape, *maps, "--target", self.d.url, "--before", self.d.deletion(self.index), "--yes", "--json", *self.more, *more,
                          want=self.statuses if statuses is None else statuses, part=self.name)
        try:
            return json.loads(a.stdout)
        except ValueError:
            return {}

    def prove(self):
        self.d.restore(self.index, self.back)
        told = self.replay()
        self.d.compare(self.name, self.truth, self.back, source=self.index, plain=self.plain, left=self.left())
        self.again()
        return told

    def again(self):
        state = self.d.state(self.back)
        self.replay()
        if self.d.state(self.back) != state:
            self.d.fail(self.name, "a second run changed the target")

    def plain(self, source):
        return source

    def left(self):
        return ()
