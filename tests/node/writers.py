"""Writers for drills: keep-alive connections, random services with a seed, and the model of what their writes come to."""
import base64, gzip, http.client, json, random, socket, threading, time


class Client:
    """A keep-alive connection; `quiet` ones come from another address, which the recorder's filter leaves out."""

    def __init__(self, port, quiet=False, user=None):
        self.port, self.source = port, ("127.0.0.2", 0) if quiet else None
        self.auth = {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()} if user else {}
        self.c = None

    def call(self, verb, path, body=None, headers=None, raw=None, chunk=0):
        """Status and answer. `chunk`: the body goes in chunks of so many bytes, without a length."""
        data = raw if raw is not None else json.dumps(body, ensure_ascii=False).encode() if body is not None else None
        h = dict(self.auth, **(headers or {}))
        if chunk and data:
            h["Transfer-Encoding"] = "chunked"
        if data is not None:
            h.setdefault("Content-Type", "application/json")
        for attempt in (0, 1):
            try:
                if self.c is None:
                    self.c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60, source_address=self.source)
                pieces = (data[i:i + chunk] for i in range(0, len(data), chunk)) if chunk and data else data
                self.c.request(verb, path, pieces, h, encode_chunked=bool(chunk and data))
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
            d[f"dyn{r.randrange(12)}"] = r.choice([1, 2, 3])
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
        base = f"/{self.d.index}/{self.d.type}" if typed else f"/{self.d.index}"
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
        if self.life == 0 and x > 0.985 and "script" not in body:  # of a script while the snapshot is taken nobody could know whether it is in it
            path += ("&" if "?" in path else "?") + "filter_path=result,_shards"
        if self.life == 0 and 0.44 < x < 0.45 and not raw and body is not None:
            raw, headers = b'{"broken": ', {}
        if self.life == 0 and kind == "index" and verb == "PUT" and not raw and r.random() < 0.15:
            path += self.condition(ident, path)
        status, answer = self.c.call(verb, path, body, headers, raw, chunk=97 if body is not None and r.random() < 0.1 else 0)
        self.remember(kind, body, dict(answer if isinstance(answer, dict) else {}, status=status), ident)

    def condition(self, ident, path):
        """A condition on what this writer knew last: it wins unless somebody wrote since."""
        known = next((o for o in reversed(self.log) if o["id"] == ident[0] and o["version"] and o["result"] in ("created", "updated")), None)
        if not known or self.d.kind == "es5" and known["version"] < 0:
            return ""
        sign = "&" if "?" in path else "?"
        return f"{sign}version={known['version']}" if self.d.kind == "es5" else f"{sign}if_seq_no={known['seq']}&if_primary_term={known['term']}" if known["seq"] is not None else ""

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
            meta = {"_index": self.d.index}
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
        status, answer = self.c.call("POST", "/_bulk", None, headers, raw, chunk=1000 if r.random() < 0.15 else 0)
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
                time.sleep(self.d.pause_s)
        except Exception as e:  # noqa: BLE001
            self.error = e


def merge(base, doc):
    """What a partial update makes of a document (XContentHelper.update): maps grow together, all else is replaced."""
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
