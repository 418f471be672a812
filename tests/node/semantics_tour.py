"""The tour of semantics: every kind of write and administrative call, raw, with what each means. Nothing here knows estape.

Each call leaves an entry in the journal: verb, path, status, the answer, and what the published API says it is (api, targets,
destructive class where that is not "none"). An X-Opaque-Id per call joins it with the node's own request log and with a tape.
"""
import base64, gzip, http.client, json, socket, struct, time, urllib.parse

USER = "tourist"
SYNONYM = {"es5": "inline"}


def cbor(v):
    """A JSON value as CBOR (RFC 8949), as far as the tour needs it."""
    def head(major, n):
        return bytes([major << 5 | n]) if n < 24 else bytes([major << 5 | 24, n]) if n < 256 else bytes([major << 5 | 25]) + struct.pack(">H", n)
    if isinstance(v, dict):
        return head(5, len(v)) + b"".join(cbor(k) + cbor(x) for k, x in v.items())
    if isinstance(v, str):
        return head(3, len(v.encode())) + v.encode()
    return head(0, v) if v >= 0 else head(1, -1 - v)


def smile(v, top=True):
    """A JSON value as SMILE without shared names: short ASCII strings and small numbers."""
    out = b":)\n\x00" if top else b""
    if isinstance(v, dict):
        return out + b"\xfa" + b"".join(bytes([0x7f + len(k)]) + k.encode() + smile(x, False) for k, x in v.items()) + b"\xfb"
    if isinstance(v, str):
        return out + bytes([0x3f + len(v)]) + v.encode()
    return out + bytes([0xc0 + (v << 1)])


class Call:
    """One entry of the journal. `want` overrides what is derived from the answer."""

    def __init__(self, oid, name, verb, path, **want):
        self.oid, self.name, self.verb, self.path, self.want = oid, name, verb, path, want
        self.status, self.answer, self.connection, self.lines = None, None, 0, []


class Tour:
    def __init__(self, kind, port, repo):
        self.kind, self.port, self.repo = kind, port, repo
        self.major = {"es5": 5, "es6": 6, "es7": 7, "es8": 8, "os2": 102, "os3": 103}[kind]
        self.opensearch = self.major > 100
        self.typed = self.major < 7             # paths with a type of the index's own
        self.types = self.major < 8             # bodies and bulk lines may carry one
        self.numbered = self.major > 5          # answers carry _seq_no and _primary_term
        self.cas = self.major > 5               # 6.6 and later
        self.scripts = self.by_query = kind != "es8"  # the bare distribution has no modules
        self.journal, self.states, self.forgotten = [], [], []
        self.c, self.connections = None, 0
        self.quiet_c = None

    # ---- talking ----
    def auth(self):
        return "Basic " + base64.b64encode(f"{USER}:tour-secret-9".encode()).decode()

    def note(self, name, verb, path, want):
        c = Call(f"raw-{len(self.journal):04d}", name, verb, path, **want)
        c.connection = self.connections
        self.journal.append(c)
        return c

    def call(self, name, verb, path, body=None, headers=None, raw=None, **want):
        """Sends one request on the kept-alive connection; returns (status, answer)."""
        lines = want.pop("lines", None)
        if self.c is None:
            self.c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            self.connections += 1
        call = self.note(name, verb, path, want)
        call.lines = lines or []
        data = raw if raw is not None else json.dumps(body, ensure_ascii=False).encode() if body is not None else None
        h = {"X-Opaque-Id": call.oid, "User-Agent": "tour/1", "Authorization": self.auth()}
        if data is not None:
            h["Content-Type"] = "application/json"
        h.update(headers or {})
        try:
            self.c.request(verb, path, data, h, encode_chunked=h.get("Transfer-Encoding") == "chunked")
            r = self.c.getresponse()
            text = r.read()
        except BaseException:
            self.c = None
            raise
        if r.getheader("Connection", "").lower() == "close" or r.will_close:
            self.c = None
        if r.getheader("Content-Encoding") == "gzip":
            text = gzip.decompress(text)
        call.status = r.status
        call.location = r.getheader("Location")
        try:
            call.answer = json.loads(text)
        except ValueError:
            call.answer = None
        return call.status, call.answer

    def quiet(self, verb, path, body=None):
        """Asks the node from an address that the recorder leaves out."""
        for attempt in (0, 1):
            try:
                if self.quiet_c is None:
                    self.quiet_c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60, source_address=("127.0.0.2", 0))
                self.quiet_c.request(verb, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json", "X-Opaque-Id": "quiet"})
                r = self.quiet_c.getresponse()
                text = r.read()
                return r.status, json.loads(text) if text[:1] in (b"{", b"[") else text.decode()
            except (http.client.HTTPException, ConnectionError):
                self.quiet_c = None
                if attempt:
                    raise

    def hang_up(self, name, head, body=b"", **want):
        """Sends bytes and closes without reading."""
        verb, path = head.split(" ")[:2]
        self.connections += 1
        call = self.note(name, verb, path, want)
        text = f"{head}\r\nHost: es\r\nUser-Agent: tour/1\r\nX-Opaque-Id: {call.oid}\r\nAuthorization: {self.auth()}\r\n"
        s = socket.create_connection(("127.0.0.1", self.port))
        s.sendall(text.encode() + (want.get("more", "") + "\r\n").encode() + body)
        s.close()

    # ---- saying what the node holds ----
    def state(self, name, index, by_query=False):
        """Every document of an index as the node tells it, with versions and numbers, and the shards' highest numbers."""
        self.quiet("POST", f"/{index}/_refresh")
        body = {"size": 1000, "version": True, "query": {"match_all": {}}}
        if self.cas:
            body["seq_no_primary_term"] = True
        s, a = self.quiet("POST", f"/{index}/_search", body)
        if s != 200:
            raise RuntimeError(f"search of {index}: {s} {a}")
        s, stats = self.quiet("GET", f"/{index}/_stats/docs?level=shards")
        shards = {i: [(c.get("seq_no") or {}).get("max_seq_no") for p in v["shards"].values() for c in p] for i, v in stats["indices"].items()}
        docs, sources = {}, {}
        for h in a["hits"]["hits"]:
            sources.setdefault(h["_index"], {})[h["_id"]] = h.get("_source")
            docs.setdefault(h["_index"], {})[(h["_id"], h.get("_routing") or "")] = (h.get("_version"), h.get("_seq_no"), h.get("_primary_term"))
        for i in shards:
            docs.setdefault(i, {})
        s, cat = self.quiet("GET", f"/_cat/indices/{index}?format=json&h=index,docs.count,status")
        counts = {r["index"]: int(r["docs.count"] or 0) for r in cat}
        self.states.append({"name": name, "docs": docs, "shards": shards, "counts": counts, "sources": sources, "by_query": by_query, "after": len(self.journal)})

    # ---- paths of this version ----
    def doc(self, index, ident=None, query=""):
        p = f"/{index}/" + ("item" if self.typed else "_doc")
        return p + (f"/{ident}" if ident is not None else "") + query

    def create(self, index, ident, query=""):
        return (f"/{index}/item/{ident}/_create" if self.typed else f"/{index}/_create/{ident}") + query

    def update(self, index, ident, query=""):
        return (f"/{index}/item/{ident}/_update" if self.typed else f"/{index}/_update/{ident}") + query

    def meta(self, kind, index=None, ident=None, **more):
        m = dict(more)
        if index:
            m["_index"] = index
        if self.typed and index:
            m["_type"] = "item"
        if ident is not None:
            m["_id"] = ident
        if "routing" in m and self.major == 5:
            m["_routing"] = m.pop("routing")
        return {kind: m}

    def script(self, source, **params):
        s = {SYNONYM.get(self.kind, "source"): source, "lang": "painless"}
        if params:
            s["params"] = params
        return s

    def settings(self, **more):
        return dict({"number_of_shards": 1, "number_of_replicas": 0}, **more)

    def mappings(self, properties):
        m = {"properties": properties}
        return {"item": m} if self.typed else m

    def make(self, index, name=None, **more):
        body = {"settings": self.settings(), "mappings": self.mappings({"n": {"type": "integer"}, "name": {"type": "keyword"}})}
        body.update(more)
        return self.call(name or f"index_{index}_made", "PUT", f"/{index}", body, api="indices.create", indices=[index])

    def bulk(self, name, lines, path="/_bulk", verb="POST", headers=None, raw=None, **want):
        text = raw if raw is not None else ("\n".join(json.dumps(x, ensure_ascii=False) for x in lines) + "\n").encode()
        h = {"Content-Type": "application/x-ndjson"}
        h.update(headers or {})
        return self.call(name, verb, path, None, h, text, api="bulk", lines=lines, **want)

    # ---- the tour ----
    def run(self):
        for stop in (self.single_writes, self.updates, self.deletes, self.old_habits, self.limits, self.concurrency, self.spellings, self.encodings, self.binary, self.filters, self.bulks,
                     self.names, self.pipelines, self.refusals, self.streams, self.by_queries, self.tasks, self.administration, self.lives,
                     self.snapshots, self.reads, self.cut_off):
            stop()
        self.quiet_end()

    def quiet_end(self):
        if self.c:
            self.c.close()
            self.c = None

    def single_writes(self):
        self.make("goods")
        self.call("put_new_creates", "PUT", self.doc("goods", "1"), {"n": 1, "name": "a"}, api="index")
        self.call("put_again_updates", "PUT", self.doc("goods", "1"), {"n": 2, "name": "a"}, api="index")
        self.call("post_with_id", "POST", self.doc("goods", "2"), {"n": 3}, api="index")
        self.call("post_without_id_mints", "POST", self.doc("goods"), {"n": 4}, api="index")
        self.call("op_type_create", "PUT", self.doc("goods", "3", "?op_type=create"), {"n": 5}, api="index", kind="create")
        self.call("op_type_create_conflicts", "PUT", self.doc("goods", "3", "?op_type=create"), {"n": 5}, api="index", kind="create", reason="version_conflict_engine_exception")
        self.call("create_new", "PUT", self.create("goods", "4"), {"n": 6}, api="create")
        self.call("create_by_post", "POST", self.create("goods", "5"), {"n": 6}, api="create")
        self.call("create_conflicts", "PUT", self.create("goods", "4"), {"n": 6}, api="create", reason="version_conflict_engine_exception")
        self.call("routed_index", "PUT", self.doc("goods", "r1", "?routing=north"), {"n": 7}, api="index", routing="north")
        self.call("routed_update", "POST", self.update("goods", "r1", "?routing=north"), {"doc": {"n": 8}}, api="update", routing="north")
        self.call("refresh_true", "PUT", self.doc("goods", "6", "?refresh=true&timeout=5s"), {"n": 9}, api="index")
        self.call("unicode_body", "PUT", self.doc("goods", "7"), {"name": "größe 日本 😀"}, api="index")
        if self.major == 7:
            self.call("typed_path_on_7", "PUT", "/goods/_doc/t7?routing=east", {"n": 1}, api="index", routing="east")
            self.call("own_type_on_7", "PUT", "/typed/item/1", {"n": 1}, api="index", type="item")
            self.call("own_type_create_on_7", "PUT", "/typed/item/2/_create", {"n": 1}, api="create", type="item")
            self.call("own_type_update_on_7", "POST", "/typed/item/1/_update", {"doc": {"n": 2}}, api="update", type="item")
            self.call("own_type_delete_on_7", "DELETE", "/typed/item/2", api="delete", type="item")
        if self.major == 6:
            self.call("underscore_doc_on_6", "PUT", "/under/_doc/1", {"n": 1}, api="index")
        self.state("goods_after_single_writes", "goods")

    def updates(self):
        u = lambda name, ident, body, query="", **w: self.call(name, "POST", self.update("goods", ident, query), body, api="update", **w)
        u("update_merges", "1", {"doc": {"n": 10}})
        u("update_noop", "1", {"doc": {"n": 10}})
        u("update_detect_noop_off", "1", {"doc": {"n": 10}, "detect_noop": False})
        u("upsert_inserts", "u1", {"doc": {"n": 1}, "upsert": {"n": 100}})
        u("upsert_merges", "u1", {"doc": {"n": 1}, "upsert": {"n": 100}})
        u("doc_as_upsert_inserts", "u2", {"doc": {"n": 1}, "doc_as_upsert": True})
        u("doc_as_upsert_noop", "u2", {"doc": {"n": 1}, "doc_as_upsert": True})
        u("update_missing", "nobody", {"doc": {"n": 1}}, reason="document_missing_exception")
        u("update_retry", "1", {"doc": {"n": 11}}, "?retry_on_conflict=3&_source=true" if self.major > 5 else "?retry_on_conflict=3")
        if self.scripts:
            u("script_updates", "1", {"script": self.script("ctx._source.n += params.k", k=5)})
            u("script_none_is_noop", "1", {"script": self.script("ctx.op = 'none'")})
            u("scripted_upsert_inserts", "u3", {"scripted_upsert": True, "script": self.script("ctx._source.n = 1"), "upsert": {}})
            u("script_with_upsert", "u4", {"script": self.script("ctx._source.n = 1"), "upsert": {"n": 4}})
            u("script_deletes", "u4", {"script": self.script("ctx.op = 'delete'")}, danger="docs.script")
            u("script_fails", "1", {"script": self.script("throw new RuntimeException('no')")}, outcome="failed")
        self.state("goods_after_updates", "goods")

    def deletes(self):
        self.call("delete_found", "DELETE", self.doc("goods", "2"), api="delete")
        self.call("delete_not_found", "DELETE", self.doc("goods", "never-was"), api="delete")
        self.call("delete_again", "DELETE", self.doc("goods", "2"), api="delete")
        self.call("delete_routed", "DELETE", self.doc("goods", "r1", "?routing=north"), api="delete", routing="north")
        self.call("index_after_delete", "PUT", self.doc("goods", "2"), {"n": 1}, api="index")
        self.state("goods_after_deletes", "goods")

    def old_habits(self):
        """What only 5.x and 6.x take, and what became of it."""
        self.call("external_delete_creates_index", "DELETE", self.doc("made-by-delete", "1", "?version=3&version_type=external"), api="delete", indices=["made-by-delete"])
        self.call("delete_in_no_index", "DELETE", self.doc("no-index-here", "1"), api="delete")
        self.state("made_by_delete", "made-by-delete")
        if self.major > 6:
            return
        self.make("habits")
        self.call("habit_base", "PUT", self.doc("habits", "1"), {"n": 1}, api="index")
        self.call("update_internal_version", "POST", self.update("habits", "1", "?version=1"), {"doc": {"n": 2}}, api="update")
        self.call("update_internal_version_lost", "POST", self.update("habits", "1", "?version=1"), {"doc": {"n": 3}}, api="update", reason="version_conflict_engine_exception")
        old = lambda kind, ident, **more: {kind: dict({"_index": "habits", "_type": "item", "_id": ident}, **more)}
        self.bulk("bulk_old_keys", [old("index", "r", _routing="old"), {"n": 1}, old("index", "v", _version=4, _version_type="external"), {"n": 1}, old("update", "1", _retry_on_conflict=2), {"doc": {"n": 9}},
                                    old("delete", "v", _version=9, _version_type="external")])
        self.state("habits", "habits")
        if self.major > 5:
            return
        self.call("family_made", "PUT", "/family", {"settings": self.settings(), "mappings": {"mother": {}, "child": {"_parent": {"type": "mother"}}}}, api="indices.create")
        self.call("parent_index", "PUT", "/family/mother/p1", {"n": 1}, api="index", type="mother")
        self.call("child_index", "PUT", "/family/child/c1?parent=p1", {"n": 1}, api="index", routing="p1", type="child")
        self.call("child_update", "POST", "/family/child/c1/_update?parent=p1", {"doc": {"n": 2}}, api="update", routing="p1", type="child")
        self.bulk("child_bulk", [{"index": {"_index": "family", "_type": "child", "_id": "c2", "_parent": "p1"}}, {"n": 1}, {"index": {"_index": "family", "_type": "child", "_id": "c3", "parent": "p1"}}, {"n": 1}])
        self.call("two_types_one_id_a", "PUT", "/pair/left/1", {"n": 1}, api="index", type="left")
        self.call("two_types_one_id_b", "PUT", "/pair/right/1", {"n": 1}, api="index", type="right")
        self.call("two_types_update", "POST", "/pair/right/1/_update", {"doc": {"n": 2}}, api="update", type="right")
        self.call("force_version", "PUT", "/pair/left/2?version=5&version_type=force", {"n": 1}, api="index", type="left")

    def limits(self):
        """Refusals that consume a number, and those that come before the engine."""
        self.make("limited")
        self.call("immense_term", "PUT", self.doc("limited", "im"), {"name": "i" * 33000}, api="index", outcome="failed", status=400)
        self.call("behind_immense_term", "PUT", self.doc("limited", "1"), {"n": 1}, api="index")
        self.call("too_few_shards", "PUT", self.doc("limited", "2", "?wait_for_active_shards=2&timeout=100ms"), {"n": 1}, api="index", outcome="failed", status=503, reason="unavailable_shards_exception")
        self.call("expect_continue", "PUT", self.doc("limited", "3"), {"n": 1}, {"Expect": "100-continue"}, api="index")
        self.call("alias_of_two", "POST", "/_aliases", {"actions": [{"add": {"indices": ["limited", "goods"], "alias": "both"}}]}, api="indices.update_aliases", targets=["limited", "goods", "both"])
        self.call("write_to_alias_of_two", "PUT", self.doc("both", "1"), {"n": 1}, api="index", outcome="failed", status=400, targets=["both"])
        self.bulk("bulk_to_alias_of_two", [self.meta("index", "both", "1"), {"n": 1}, self.meta("index", "limited", "4"), {"n": 1}])
        if self.kind in ("es7", "es8", "os2", "os3"):
            self.bulk("bulk_require_alias", [self.meta("index", "limited", "5", require_alias=True), {"n": 1}, self.meta("index", "limited", "6"), {"n": 1}], outcome="partial")
        self.hole = (self.quiet("GET", "/limited/_stats/docs?level=shards")[1]["indices"]["limited"]["shards"]["0"][0].get("seq_no") or {}).get("max_seq_no")

    def concurrency(self):
        self.make("cas")
        self.call("external_version", "PUT", self.doc("cas", "x", "?version=10&version_type=external"), {"n": 1}, api="index")
        self.call("external_version_lost", "PUT", self.doc("cas", "x", "?version=9&version_type=external"), {"n": 2}, api="index", reason="version_conflict_engine_exception")
        self.call("external_gte", "PUT", self.doc("cas", "x", "?version=10&version_type=external_gte"), {"n": 3}, api="index")
        self.call("external_delete", "DELETE", self.doc("cas", "x", "?version=12&version_type=external"), api="delete")
        self.call("external_delete_lost", "DELETE", self.doc("cas", "x", "?version=3&version_type=external"), api="delete", reason="version_conflict_engine_exception")
        self.call("external_reborn", "PUT", self.doc("cas", "x", "?version=40&version_type=external"), {"n": 3}, api="index")
        if self.cas:
            s, a = self.call("cas_base", "PUT", self.doc("cas", "y"), {"n": 1}, api="index")
            right = f"?if_seq_no={a['_seq_no']}&if_primary_term={a['_primary_term']}"
            self.call("cas_won", "PUT", self.doc("cas", "y", right), {"n": 2}, api="index")
            self.call("cas_lost", "PUT", self.doc("cas", "y", right), {"n": 3}, api="index", reason="version_conflict_engine_exception")
            self.call("cas_delete_lost", "DELETE", self.doc("cas", "y", right), api="delete", reason="version_conflict_engine_exception")
        self.call("internal_base", "PUT", self.doc("cas", "z"), {"n": 1}, api="index")
        self.call("internal_version", "PUT", self.doc("cas", "z", "?version=1"), {"n": 2}, api="index")
        self.call("internal_version_lost", "PUT", self.doc("cas", "z", "?version=1"), {"n": 3}, api="index", outcome="failed")
        self.state("cas", "cas")

    def spellings(self):
        self.make("odd-names")
        for name, ident in (("id_slash_space", "a/b c"), ("id_plus", "a+b"), ("id_percent", "100%"), ("id_unicode", "größe-日本-😀"), ("id_comma", "a,b"), ("id_question", "who?me&you=1#x"),
                            ("id_colon", "a:b"), ("id_dots", "..")):
            self.call(name, "PUT", self.doc("odd-names", urllib.parse.quote(ident, safe="")), {"n": 1}, api="index", id=ident)
        self.call("encoded_index", "PUT", self.doc("odd%2Dnames", "enc"), {"n": 1}, api="index", targets=["odd-names"])
        self.call("encoded_delete", "DELETE", self.doc("odd-names", "a%2Bb"), api="delete", id="a+b")
        self.call("trailing_slash", "PUT", self.doc("odd-names", "slash/"), {"n": 1}, api="index", id="slash")
        self.call("date_math", "PUT", self.doc(urllib.parse.quote("<day-{now/d}>", safe=""), "1"), {"n": 1}, api="index", targets=["<day-{now/d}>"])
        self.state("odd_names", "odd-names")
        self.state("date_math", "day-*")

    def encodings(self):
        self.make("coded")
        doc = lambda i: json.dumps({"n": i, "name": "x" * 300}).encode()
        pieces = lambda b, size: (b[i:i + size] for i in range(0, len(b), size))
        j = {"Content-Type": "application/json"}
        self.call("gzip_body", "PUT", self.doc("coded", "1"), None, dict(j, **{"Content-Encoding": "gzip"}), gzip.compress(doc(1)), api="index")
        self.call("chunked_body", "PUT", self.doc("coded", "2"), None, dict(j, **{"Transfer-Encoding": "chunked"}), pieces(doc(2), 17), api="index")
        self.call("gzip_chunked_body", "PUT", self.doc("coded", "3"), None, dict(j, **{"Transfer-Encoding": "chunked", "Content-Encoding": "gzip"}), pieces(gzip.compress(doc(3)), 13), api="index")
        self.call("gzip_answer", "PUT", self.doc("coded", "4"), {"n": 4}, {"Accept-Encoding": "gzip"}, api="index")
        self.call("pretty_answer", "PUT", self.doc("coded", "5", "?pretty&human&error_trace=true"), {"n": 5}, api="index")
        self.call("yaml_answer", "PUT", self.doc("coded", "6", "?format=yaml"), {"n": 6}, api="index", blind=True)
        lines = [x for i in range(40) for x in (self.meta("index", "coded", f"b{i}"), {"n": i, "name": "y" * 50})]
        text = ("\n".join(map(json.dumps, lines)) + "\n").encode()
        self.bulk("bulk_gzip", lines, headers={"Content-Encoding": "gzip", "Accept-Encoding": "gzip"}, raw=gzip.compress(text))
        self.bulk("bulk_chunked_torn", lines, headers={"Transfer-Encoding": "chunked"}, raw=pieces(text, 7))
        self.bulk("bulk_gzip_chunked", lines, headers={"Transfer-Encoding": "chunked", "Content-Encoding": "gzip"}, raw=pieces(gzip.compress(text), 11))
        self.state("coded", "coded")

    def binary(self):
        self.make("binary")
        forms = (("cbor", cbor, "application/cbor"), ("smile", smile, "application/smile"), ("yaml", lambda d: ("---\n" + "".join(f"{k}: {v}\n" for k, v in d.items())).encode(), "application/yaml"))
        for word, encode, kind in forms:
            self.call(f"{word}_document", "PUT", self.doc("binary", word), None, {"Content-Type": kind, "Accept": "application/json"}, encode({"n": 3, "name": word}), api="index")
            self.call(f"{word}_both_ways", "PUT", self.doc("binary", word + "2"), None, {"Content-Type": kind, "Accept": kind}, encode({"n": 4}), api="index", blind=True)
            self.call(f"{word}_update", "POST", self.update("binary", word), None, {"Content-Type": kind, "Accept": "application/json"}, encode({"doc": {"n": 5}} if word != "yaml" else {"doc": "{n: 5}"}), api="update")
        lines = [self.meta("index", "binary", "sb1"), {"n": 1}, self.meta("create", "binary", "sb2"), {"n": 2}, self.meta("delete", "binary", "cbor2")]
        self.bulk("smile_bulk", lines, headers={"Content-Type": "application/smile", "Accept": "application/json"}, raw=b"".join(smile(x) + b"\xff" for x in lines), targets=None)
        self.state("binary", "binary")

    def filters(self):
        self.make("filtered")
        put = lambda name, path, verb="PUT", **w: self.call(name, verb, path, {"n": 1}, blind=True, indices=None, **dict({"api": "index"}, **w))
        put("filter_result", self.doc("filtered", "1", "?filter_path=result"), ops=[("index", "1", "created")])
        put("filter_result_again", self.doc("filtered", "1", "?filter_path=result"), ops=[("index", "1", "updated")])
        put("filter_nothing_left", self.doc("filtered", "2", "?filter_path=nothing"), ops=[("index", "2", "created")])
        put("filter_location_tells_id", self.doc("filtered", None, "?filter_path=result"), "POST", ops=[("index", None, "created")])
        self.call("filter_delete_gone", "DELETE", self.doc("filtered", "none", "?filter_path=took"), api="delete", blind=True, indices=None, outcome="ok", ops=[("delete", "none", "not_found")])
        lines = [self.meta("index", "filtered", "b1"), {"n": 1}, self.meta("create", "filtered", "1"), {"n": 1}, self.meta("delete", "filtered", "2"), self.meta("delete", "filtered", "zz"),
                 self.meta("index", "filtered"), {"n": 1}, self.meta("update", "filtered", "b1"), {"doc": {"n": 2}}, self.meta("update", "filtered", "mm"), {"doc": {"n": 2}}]
        results = [("index", "b1", "created"), ("create", "1", "failed"), ("delete", "2", "accepted|deleted"), ("delete", "zz", "not_found"), ("index", None, "created"), ("update", "b1", "accepted"), ("update", "mm", "failed")]
        self.bulk("filter_as_beats", lines, "/_bulk?filter_path=errors,items.*.error,items.*.status", blind=True, indices=None, outcome="partial", reason="version_conflict_engine_exception", ops=results)
        lines = [x for i in range(3) for x in (self.meta("index", "filtered", f"c{i}"), {"n": i})]
        self.bulk("filter_errors_only", lines, "/_bulk?filter_path=errors", blind=True, indices=None, outcome="ok", ops=[("index", f"c{i}", "accepted") for i in range(3)])
        lines = [x for i in range(3) for x in (self.meta("index", "filtered", f"d{i}"), {"n": i})]
        self.bulk("filter_minus_items", lines, "/_bulk?filter_path=-items", blind=True, indices=None, outcome="ok", ops=[("index", f"d{i}", "accepted") for i in range(3)])
        lines = [self.meta("index", "filtered", "e1"), {"n": 1}, self.meta("create", "filtered", "e1"), {"n": 1}]
        self.bulk("filter_refusals_only", lines, "/_bulk?filter_path=items.*.error", blind=True, indices=None, outcome="partial|unknown",
                  ops=[("index", "e1", "unknown|accepted"), ("create", "e1", "unknown|failed")])
        self.state("filtered", "filtered")

    def bulks(self):
        self.make("bulked")
        m = self.meta
        every = [m("index", "bulked", "1"), {"n": 1}, m("index", "bulked", "1"), {"n": 2}, m("create", "bulked", "2"), {"n": 1}, m("create", "bulked", "2"), {"n": 1}, m("index", "bulked"), {"n": 9},
                 m("update", "bulked", "1"), {"doc": {"n": 3}}, m("update", "bulked", "1"), {"doc": {"n": 3}}, m("update", "bulked", "3"), {"doc": {"n": 3}, "upsert": {"n": 33}},
                 m("update", "bulked", "4"), {"doc": {"n": 4}, "doc_as_upsert": True}, m("update", "bulked", "missing"), {"doc": {"n": 4}}, m("delete", "bulked", "2"), m("delete", "bulked", "2"),
                 m("delete", "bulked", "never"), m("index", "bulked", "bad"), {"n": "no number"}, m("index", "bulked", "rr", routing="south"), {"n": 5}, m("index", "other-bulked", "o1"), {"n": 5},
                 m("index", "bulked", "größe/日本 😀"), {"n": 6, "name": "line\\nbreak \\u2028"}, m("index", "Bad,Name", "x"), {"n": 1}]
        self.bulk("bulk_everything", every, outcome="partial", indices=None)
        if self.scripts:
            self.bulk("bulk_scripts", [m("update", "bulked", "1"), {"script": self.script("ctx._source.n += 1")}, m("update", "bulked", "4"), {"script": self.script("ctx.op = 'delete'")},
                                       m("update", "bulked", "5"), {"script": self.script("ctx._source.n = 1"), "scripted_upsert": True, "upsert": {}}], danger="docs.script")
        self.bulk("bulk_all_fail", [m("create", "bulked", "1"), {"n": 1}, m("update", "bulked", "nope"), {"doc": {}}], outcome="failed")
        one = [m("index", "bulked", "crlf"), {"n": 1}]
        self.bulk("bulk_crlf_and_empty_lines", one, raw=("\r\n".join(map(json.dumps, one)) + "\r\n\n\n" + "\n".join(map(json.dumps, one)) + "\n").encode(), lines_twice=True)
        self.bulk("bulk_without_last_newline", one, raw="\n".join(map(json.dumps, one)).encode(), outcome="failed", status=400)
        two = [m("index", "bulked", "whole"), {"n": 1}, m("index", "bulked", "tail"), {"n": 1}]
        self.bulk("bulk_tail_without_newline", two, raw="\n".join(map(json.dumps, two)).encode(), **({"outcome": "partial", "reason": "not_executed", "docs": (2, 1, 1, 0),
                  "ops": [("index", "whole", "created"), ("index", "tail", "failed")]} if self.major == 5 else {"outcome": "failed", "status": 400}))
        base = "/bulked/item/_bulk" if self.typed else "/bulked/_bulk"
        self.bulk("bulk_index_in_url", [{"index": {"_id": "url1"}}, {"n": 1}, {"create": {}}, {"n": 2}, {"delete": {"_id": "url1"}}], base, targets=["bulked"])
        self.bulk("bulk_by_put", [{"index": {"_id": "put1"}}, {"n": 1}], base, "PUT", targets=["bulked"])
        self.bulk("bulk_url_routing", [{"index": {"_id": "ur"}}, {"n": 1}], base + "?routing=west&refresh=wait_for", targets=["bulked"], routing="west")
        if self.major == 7:
            self.bulk("bulk_typed_url_on_7", [{"index": {"_id": "ty"}}, {"n": 1}], "/bulked/_doc/_bulk", targets=["bulked"])
        self.bulk("bulk_external", [m("index", "bulked", "ev", version=7, version_type="external"), {"n": 1}, m("index", "bulked", "ev", version=6, version_type="external"), {"n": 1},
                                    m("delete", "bulked", "ev", version=9, version_type="external")], outcome="partial")
        if self.cas:
            s, a = self.call("bulk_cas_base", "PUT", self.doc("bulked", "cas"), {"n": 1}, api="index")
            k = {"if_seq_no": a["_seq_no"], "if_primary_term": a["_primary_term"]}
            self.bulk("bulk_cas", [m("index", "bulked", "cas", **k), {"n": 2}, m("delete", "bulked", "cas", **k)], outcome="partial")
        self.bulk("bulk_bad_line", one, raw=(json.dumps(m("index", "bulked", "bl")) + '\n{"n":1}\n{"nonsense":{}}\n{"n":1}\n').encode(), ops_if_taken=True)
        self.bulk("bulk_empty", [], raw=b"\n", outcome="failed", status=400, ops=False, docs=False)
        big = [x for i in range(500) for x in (m("index", "bulked", f"big{i}"), {"n": i, "name": "z" * 200})]
        self.bulk("bulk_of_500", big)
        self.state("bulked", "bulked")
        self.state("other_bulked", "other-bulked")

    def names(self):
        self.make("stock-1")
        self.call("alias_by_actions", "POST", "/_aliases", {"actions": [{"add": {"index": "stock-1", "alias": "stock"}}, {"add": {"index": "goods", "alias": "stock-read"}}]},
                  api="indices.update_aliases", targets=["stock-1", "stock", "goods", "stock-read"])
        self.call("write_by_alias", "PUT", self.doc("stock", "1"), {"n": 1}, api="index", targets=["stock"])
        self.bulk("bulk_by_alias", [self.meta("index", "stock", "2"), {"n": 1}, self.meta("delete", "stock", "1")], targets=["stock"])
        self.call("filtered_by_alias", "PUT", self.doc("stock", "3", "?filter_path=result"), {"n": 1}, api="index", blind=True, targets=["stock"], indices=None, asked="stock", ops=[("index", "3", "created")])
        self.call("alias_put", "PUT", "/stock-1/_alias/shelf", api="indices.put_alias", targets=["stock-1", "shelf"])
        self.call("alias_get", "GET", "/_alias/shelf", api="indices.get_alias", targets=["shelf"], indices=None)
        self.call("alias_exists", "HEAD", "/_alias/shelf", api="indices.exists_alias", targets=["shelf"], indices=None)
        self.call("alias_delete", "DELETE", "/stock-1/_alias/shelf", api="indices.delete_alias", targets=["stock-1", "shelf"])
        self.state("stock", "stock-1")
        body = {"settings": self.settings(), "aliases": {"logs_w": {"is_write_index": True} if self.major > 5 else {}}}
        self.call("rollover_first", "PUT", "/logs-000001", body, api="indices.create", indices=["logs-000001"], targets=None)
        self.call("rollover_write_before", "PUT", self.doc("logs_w", "1"), {"n": 1}, api="index", targets=["logs_w"])
        self.call("rollover_dry", "POST", "/logs_w/_rollover?dry_run=true", {"conditions": {"max_docs": 1}}, api="indices.rollover", targets=["logs_w"], indices=None, outcome="ok", write=False)
        self.call("reroute_dry", "POST", "/_cluster/reroute?dry_run=true&filter_path=acknowledged", {}, api="cluster.reroute", targets=[], indices=None, outcome="ok", write=False)
        self.call("rollover", "POST", "/logs_w/_rollover", {"conditions": {"max_docs": 1}}, api="indices.rollover", targets=["logs_w"], indices=None, outcome="ok|partial")
        self.quiet("POST", "/logs-000001/_refresh")
        if self.quiet("GET", "/logs-000002")[0] == 404:
            self.call("rollover_unconditional", "POST", "/logs_w/_rollover", {}, api="indices.rollover", targets=["logs_w"], indices=None)
        self.call("rollover_write_behind", "PUT", self.doc("logs_w", "1"), {"n": 1}, api="index", targets=["logs_w"])
        self.call("rollover_filtered_behind", "PUT", self.doc("logs_w", "2", "?filter_path=result"), {"n": 1}, api="index", blind=True, targets=["logs_w"], indices=None, asked="logs_w", ops=[("index", "2", "created")])
        self.state("rolled", "logs-0*")

    def pipelines(self):
        s, a = self.quiet("PUT", "/_ingest/pipeline/probe", {"processors": [{"set": {"field": "seen", "value": 1}}]})
        if s != 200:
            self.forgotten.append("pipelines: this node has no ingest processors")
            return
        drop = self.quiet("PUT", "/_ingest/pipeline/probe", {"processors": [{"drop": {}}]})[0] == 200
        self.quiet("DELETE", "/_ingest/pipeline/probe")
        self.make("piped")
        p = lambda name, ident, body, **w: self.call(name, "PUT", f"/_ingest/pipeline/{ident}", body, api="ingest.put_pipeline", indices=None, **w)
        p("pipeline_put", "stamp", {"processors": [{"set": {"field": "seen", "value": 1}}]})
        p("pipeline_moves", "move", {"processors": [{"set": {"field": "_index", "value": "piped-elsewhere"}}]})
        self.call("pipelined_index", "PUT", self.doc("piped", "1", "?pipeline=stamp"), {"n": 1}, api="index", pipeline="stamp")
        self.call("pipeline_reroutes", "PUT", self.doc("piped", "2", "?pipeline=move"), {"n": 1}, api="index", pipeline="move", indices=["piped-elsewhere"])
        self.call("pipeline_unknown", "PUT", self.doc("piped", "3", "?pipeline=none-such"), {"n": 1}, api="index", outcome="failed")
        lines = [self.meta("index", "piped", "4", pipeline="stamp"), {"n": 1}, self.meta("index", "piped", "5", pipeline="move"), {"n": 1}, self.meta("delete", "piped", "1")]
        if drop:
            p("pipeline_drops", "drop", {"processors": [{"drop": {}}]}, danger="pipeline.change")
            self.call("dropped_index", "PUT", self.doc("piped", "6", "?pipeline=drop"), {"n": 1}, api="index", pipeline="drop")
            self.call("dropped_create", "PUT", self.create("piped", "9", "?pipeline=drop"), {"n": 1}, api="create", pipeline="drop")
            self.call("dropped_external", "PUT", self.doc("piped", "9", "?pipeline=drop&version=7&version_type=external"), {"n": 1}, api="index", pipeline="drop")
            self.call("dropped_without_id", "POST", self.doc("piped", None, "?pipeline=drop"), {"n": 1}, api="index", pipeline="drop")
            lines += [self.meta("index", "piped", "7", pipeline="drop"), {"n": 1}, self.meta("index", "piped", "8"), {"n": 1}, self.meta("create", "piped", "10", pipeline="drop"), {"n": 1}]
        self.bulk("bulk_pipelines", lines)
        self.state("piped", "piped")
        self.state("piped_elsewhere", "piped-elsewhere")
        self.call("pipeline_deleted", "DELETE", "/_ingest/pipeline/stamp", api="ingest.delete_pipeline", danger="pipeline.change")

    def refusals(self):
        self.call("malformed_json", "PUT", self.doc("goods", "bad"), raw=b'{"n": ', api="index", outcome="failed", status=400)
        self.call("mapping_refuses", "PUT", self.doc("goods", "bad"), {"n": "word"}, api="index", outcome="failed", status=400)
        self.call("no_body", "PUT", self.doc("goods", "bad"), api="index", outcome="failed", status=400)
        self.call("unknown_parameter", "PUT", self.doc("goods", "bad", "?no_such=1"), {"n": 1}, api="index", outcome="failed", status=400)
        self.call("index_name_refused", "PUT", "/UPPER", api="indices.create", outcome="failed", status=400, reason="invalid_index_name_exception")
        self.call("index_exists_already", "PUT", "/goods", api="indices.create", outcome="failed", status=400)
        self.call("get_of_missing_index", "GET", self.doc("no-such-index", "1"), api="get", status=404)
        self.call("unknown_call", "GET", "/_no/such/call/here", api=None, outcome=None, targets=None)
        self.call("method_not_allowed", "PUT", "/_search", {"query": {"match_all": {}}}, api=None, outcome=None, targets=None)
        self.call("delete_missing_index", "DELETE", "/no-such-index", api="indices.delete", outcome="failed", status=404, danger="index.delete", reason="index_not_found_exception")
        self.call("wrong_content_type", "PUT", self.doc("goods", "bad"), None, {"Content-Type": "text/plain"}, b"n: 1", api="index", outcome="failed")
        self.call("block_write", "PUT", "/cas/_settings", {"index.blocks.write": True}, api="indices.put_settings", danger="index.block")
        self.call("write_to_blocked", "PUT", self.doc("cas", "q"), {"n": 1}, api="index", outcome="failed", status=403, reason="cluster_block_exception")
        self.bulk("bulk_to_blocked", [self.meta("index", "cas", "q"), {"n": 1}, self.meta("index", "goods", "bb"), {"n": 1}], outcome="partial")
        self.call("unblock_write", "PUT", "/cas/_settings", {"index.blocks.write": False}, api="indices.put_settings")
        self.call("close", "POST", "/cas/_close", api="indices.close", danger="index.close", indices=["cas"] if self.major > 6 else None)
        self.call("write_to_closed", "PUT", self.doc("cas", "q"), {"n": 1}, api="index", outcome="failed", status=400 if self.major > 5 else 403, reason="index_closed_exception")
        self.call("open", "POST", "/cas/_open", api="indices.open", indices=None)
        self.call("write_after_open", "PUT", self.doc("cas", "after"), {"n": 1}, api="index")
        self.state("cas_after_open", "cas")

    def streams(self):
        body = {"index_patterns": ["events-*"], "data_stream": {}, "priority": 200, "template": {"settings": self.settings()}}
        if self.major < 7 or self.quiet("GET", "/_data_stream/*")[0] != 200 or self.quiet("PUT", "/_index_template/probe", dict(body, index_patterns=["no-such-*"]))[0] != 200 or not self.quiet("DELETE", "/_index_template/probe"):
            self.forgotten.append("data streams: this node has none")
            return
        self.call("stream_template", "PUT", "/_index_template/events", body, api="indices.put_index_template", targets=None, indices=None, danger="template.change")
        now = {"@timestamp": "2026-11-25T00:00:00Z", "n": 1}
        self.call("stream_append", "POST", "/events-a/_doc", now, api="index", kind="index|create", targets=["events-a"])
        self.call("stream_create", "PUT", "/events-a/_create/e1", now, api="create", targets=["events-a"])
        self.call("stream_refuses_index", "PUT", "/events-a/_doc/e2", now, api="index", outcome="failed", targets=["events-a"])
        self.bulk("stream_bulk", [{"create": {"_index": "events-a", "_id": "e3"}}, now, {"index": {"_index": "events-a", "_id": "e4"}}, now], outcome="partial", targets=["events-a"])
        s, a = self.call("stream_get", "GET", "/_data_stream/events-a", api="indices.get_data_stream", targets=None, indices=None)
        backing = a["data_streams"][0]["indices"][0]["index_name"]
        self.call("backing_delete", "DELETE", f"/{backing}/_doc/e1", api="delete", targets=[backing])
        self.state("stream", "events-a")
        self.call("stream_deleted", "DELETE", "/_data_stream/events-a", api="indices.delete_data_stream", danger="stream.delete", targets=["events-a"], indices=None)

    def by_queries(self):
        if not self.by_query:
            self.forgotten.append("by-query and reindex: this node has neither")
            return
        self.make("asked")
        self.bulk("by_query_base", [x for i in range(20) for x in (self.meta("index", "asked", str(i)), {"n": i})], "/_bulk?refresh=true")
        few = {"query": {"range": {"n": {"lt": 5}}}}
        q = lambda name, path, body, api, **w: self.call(name, "POST", path, body, api=api, ops=[], **w)
        q("update_by_query", "/asked/_update_by_query?refresh=true", dict(few, script=self.script("ctx._source.name = 'low'")), "update_by_query", docs=(5, 5, 0, 0), danger="docs.update_by_query")
        q("update_by_query_bare", "/asked/_update_by_query?refresh=true", few, "update_by_query", docs=(5, 5, 0, 0))
        q("update_by_query_deletes", "/asked/_update_by_query?refresh=true", {"query": {"term": {"n": 19}}, "script": self.script("ctx.op = 'delete'")}, "update_by_query", docs=(1, 1, 0, 1), danger="docs.update_by_query")
        q("delete_by_query", "/asked/_delete_by_query?refresh=true", few, "delete_by_query", docs=(5, 5, 0, 5), danger="docs.delete_by_query")
        self.call("by_query_seed", "PUT", self.doc("asked", "conflict"), {"n": 50}, api="index")
        text = urllib.parse.quote(json.dumps({"query": {"term": {"n": 7}}}))
        q("delete_by_query_in_url", f"/asked/_delete_by_query?refresh=true&source={text}&source_content_type=application/json", None, "delete_by_query", docs=(1, 1, 0, 1), danger="docs.delete_by_query")
        q("reindex", "/_reindex?refresh=true", {"source": {"index": "asked"}, "dest": {"index": "copied"}}, "reindex", docs=None, danger="docs.reindex", targets=["asked", "copied"], indices=None)
        q("reindex_create_only", "/_reindex?refresh=true", {"conflicts": "proceed", "source": {"index": "asked"}, "dest": {"index": "copied", "op_type": "create"}}, "reindex", docs=None, outcome="partial",
          danger="docs.reindex", targets=["asked", "copied"], indices=None)
        q("reindex_into_free_ids", "/_reindex?refresh=true", {"source": {"index": "asked"}, "dest": {"index": "copied-twice", "op_type": "create"}}, "reindex", docs=None, targets=["asked", "copied-twice"], indices=None)
        q("delete_by_query_all", "/copied/_delete_by_query?refresh=true", {"query": {"match_all": {}}}, "delete_by_query", docs=None, danger="docs.delete_all")
        if self.major == 5:
            q("typed_delete_by_query", "/asked/item/_delete_by_query?refresh=true", {"query": {"term": {"n": 6}}}, "delete_by_query", docs=(1, 1, 0, 1), danger="docs.delete_by_query")
        self.state("asked", "asked", by_query=True)

    def tasks(self):
        if not self.by_query:
            return
        self.make("later")
        self.bulk("task_base", [x for i in range(30) for x in (self.meta("index", "later", str(i)), {"n": i})], "/_bulk?refresh=true")
        for name, path, body, api, docs, danger, targets in (
                ("task_delete_by_query", "/later/_delete_by_query?wait_for_completion=false&refresh=true", {"query": {"range": {"n": {"lt": 7}}}}, "delete_by_query", (7, 7, 0, 7), "docs.async", ["later"]),
                ("task_update_by_query", "/later/_update_by_query?wait_for_completion=false&refresh=true", {"query": {"range": {"n": {"lt": 10}}}}, "update_by_query", (3, 3, 0, 0), "docs.async", ["later"]),
                ("task_reindex", "/_reindex?wait_for_completion=false", {"source": {"index": "later"}, "dest": {"index": "later-copy"}}, "reindex", (23, 23, 0, 0), "docs.async|docs.reindex", ["later", "later-copy"])):
            s, a = self.call(name, "POST", path, body, api=api, ops=[], docs=docs, danger=danger, targets=targets, indices=None)
            for _ in range(100):
                s, t = self.call(name + "_asked", "GET", f"/_tasks/{a['task']}", api="tasks.get", targets=None, indices=None)
                if s == 200 and t.get("completed"):
                    break
                time.sleep(0.1)

    def administration(self):
        a = lambda name, verb, path, api, body=None, **w: self.call(name, verb, path, body, api=api, **dict({"indices": None}, **w))
        m = "/goods/_mapping/item" if self.typed else "/goods/_mapping"
        a("mapping_put", "PUT", m, "indices.put_mapping", {"properties": {"extra": {"type": "keyword"}}})
        a("mapping_get", "GET", "/goods/_mapping", "indices.get_mapping")
        a("settings_get", "GET", "/goods/_settings", "indices.get_settings")
        a("settings_put", "PUT", "/goods/_settings", "indices.put_settings", {"index": {"max_result_window": 20000}})
        a("settings_weaken", "PUT", "/goods/_settings", "indices.put_settings", {"index": {"refresh_interval": "-1"}}, danger="index.weaken")
        a("settings_everywhere", "PUT", "/_settings", "indices.put_settings", {"index": {"refresh_interval": "2s"}}, danger="index.settings_all", targets=None)
        template = {"template": "tpl-*", "settings": self.settings()} if self.major == 5 else {"index_patterns": ["tpl-*"], "settings": self.settings()}
        a("template_put", "PUT", "/_template/t1", "indices.put_template", template, danger="template.change", targets=None)
        a("template_get", "GET", "/_template/t1", "indices.get_template", targets=None)
        a("template_delete", "DELETE", "/_template/t1", "indices.delete_template", danger="template.change", targets=None)
        a("refresh", "POST", "/goods/_refresh", "indices.refresh")
        a("flush", "POST", "/goods/_flush", "indices.flush")
        a("forcemerge", "POST", "/goods/_forcemerge?max_num_segments=1", "indices.forcemerge", danger="index.forcemerge")
        a("cache_clear", "POST", "/goods/_cache/clear", "indices.clear_cache")
        a("cluster_settings", "PUT", "/_cluster/settings", "cluster.put_settings", {"transient": {"cluster.routing.allocation.enable": "none"}}, danger="cluster.allocation")
        a("cluster_settings_back", "PUT", "/_cluster/settings", "cluster.put_settings", {"transient": {"cluster.routing.allocation.enable": None}})
        if self.scripts:
            stored = {"script": {"lang": "painless", "source" if self.major > 5 else "code": "ctx._source.n = 1"}}
            a("script_put", "PUT", "/_scripts/s1" if self.major > 5 else "/_scripts/s1", "put_script", stored, danger="script.change")
            a("script_delete", "DELETE", "/_scripts/s1", "delete_script", danger="script.change")

    def lives(self):
        put = lambda name, index, ident: self.call(name, "PUT", self.doc(index, ident), {"n": 1}, api="index", indices=[index])
        for i in ("tmp1", "tmp2", "tmp3", "tmp4", "tmp-a", "tmp-b", "gone"):
            put(f"auto_create_{i}", i, "1")
        gone = lambda name, path, danger, targets, **w: self.call(name, "DELETE", path, api="indices.delete", danger=danger, targets=targets, indices=None, **w)
        gone("delete_one", "/tmp1", "index.delete", ["tmp1"])
        gone("delete_two", "/tmp2,tmp3", "index.delete.many", ["tmp2", "tmp3"])
        gone("delete_encoded_comma", "/tmp4%2Cgone", "index.delete.many", ["tmp4", "gone"])
        gone("delete_wildcard", "/tmp-*", "index.delete.many", ["tmp-*"])
        put("born_again_by_write", "tmp1", "1")
        put("born_again_second", "tmp1", "2")
        self.state("tmp1_second_life", "tmp1")
        gone("delete_second_life", "/tmp1", "index.delete", ["tmp1"])
        self.make("tmp1", "born_again_by_create")
        self.bulk("third_life", [self.meta("index", "tmp1", "1"), {"n": 1}, self.meta("index", "tmp1", "1"), {"n": 2}])
        self.state("tmp1_third_life", "tmp1")
        put("auto_create_swapped", "swapped", "1")
        self.call("alias_remove_index", "POST", "/_aliases", {"actions": [{"remove_index": {"index": "swapped"}}, {"add": {"index": "tmp1", "alias": "swapped"}}]}, api="indices.update_aliases",
                  danger="alias.remove_index", targets=["swapped", "tmp1"], indices=None)
        self.call("write_behind_swap", "PUT", self.doc("swapped", "9"), {"n": 1}, api="index", targets=["swapped"], indices=["tmp1"])
        self.state("tmp1_behind_swap", "tmp1")

    def snapshots(self):
        a = lambda name, verb, path, api, body=None, **w: self.call(name, verb, path, body, api=api, **dict({"indices": None, "targets": None}, **w))
        a("repository_put", "PUT", "/_snapshot/tour", "snapshot.create_repository", {"type": "fs", "settings": {"location": self.repo + "/tour"}}, danger="repository.change")
        self.call("before_snapshot", "PUT", self.doc("kept", "1"), {"n": 1}, api="index")
        self.bulk("before_snapshot_bulk", [self.meta("index", "kept", "2"), {"n": 1}, self.meta("index", "kept", "1"), {"n": 2}])
        a("snapshot", "PUT", "/_snapshot/tour/s1?wait_for_completion=true", "snapshot.create", {"indices": "kept", "include_global_state": False}, targets=["kept"])
        self.call("after_snapshot", "PUT", self.doc("kept", "3"), {"n": 3}, api="index")
        self.call("delete_snapshotted", "DELETE", "/kept", api="indices.delete", danger="index.delete", indices=None)
        a("restore", "POST", "/_snapshot/tour/s1/_restore?wait_for_completion=true", "snapshot.restore", {"indices": "kept"}, danger="snapshot.restore", targets=["kept"])
        self.quiet("GET", "/_cluster/health/kept?wait_for_status=yellow&timeout=10s")
        self.call("after_restore", "PUT", self.doc("kept", "4"), {"n": 4}, api="index")
        self.state("kept_restored", "kept", by_query=True)
        self.call("rename_source_made", "PUT", self.doc("kept", "5"), {"n": 5}, api="index")
        a("restore_renamed", "POST", "/_snapshot/tour/s1/_restore?wait_for_completion=true", "snapshot.restore", {"indices": "kept", "rename_pattern": "(.+)", "rename_replacement": "re_$1"}, danger="snapshot.restore",
          targets=["kept", "re_kept"])
        self.quiet("GET", "/_cluster/health/re_kept?wait_for_status=yellow&timeout=10s")
        self.call("after_renamed_restore", "PUT", self.doc("re_kept", "4"), {"n": 4}, api="index")
        self.state("renamed_restored", "re_kept", by_query=True)
        if self.major > 6:
            a("clone_block", "PUT", "/re_kept/_settings", "indices.put_settings", {"index.blocks.write": True}, targets=["re_kept"], danger="index.block")
            a("clone", "POST", "/re_kept/_clone/cloned", "indices.clone", targets=["re_kept", "cloned"], indices=["cloned"])
            self.quiet("GET", "/_cluster/health/cloned?wait_for_status=yellow&timeout=10s")
            a("clone_unblock", "PUT", "/cloned/_settings", "indices.put_settings", {"index.blocks.write": None}, targets=["cloned"])
            self.call("write_to_clone", "PUT", self.doc("cloned", "1"), {"n": 9}, api="index")
        a("snapshot_get", "GET", "/_snapshot/tour/_all", "snapshot.get")
        a("snapshot_delete", "DELETE", "/_snapshot/tour/s1", "snapshot.delete", danger="snapshot.delete")
        a("repository_delete", "DELETE", "/_snapshot/tour", "snapshot.delete_repository", danger="repository.delete")

    def reads(self):
        r = lambda name, verb, path, api, body=None, **w: self.call(name, verb, path, body, api=api, **w)
        self.quiet("POST", "/goods/_refresh")
        r("read_get", "GET", self.doc("goods", "1"), "get")
        r("read_exists", "HEAD", self.doc("goods", "1"), "exists")
        r("read_missing", "GET", self.doc("goods", "no"), "get")
        r("read_exists_missing", "HEAD", self.doc("goods", "no"), "exists")
        r("read_search", "POST", "/goods/_search", "search", {"size": 3})
        r("read_search_by_get", "GET", "/goods/_search?q=n:10", "search")
        r("read_search_two", "GET", "/goods,bulked/_search?size=1", "search", targets=["goods", "bulked"], indices=None)
        r("read_search_wildcard", "GET", "/goo*/_search", "search", targets=["goo*"])
        r("read_search_exclusion", "GET", "/*,-goods/_search?size=0", "search", targets=["*", "-goods"], indices=None)
        r("read_count", "GET", "/goods/_count", "count", indices=None)
        r("read_mget", "POST", "/_mget", "mget", {"docs": [dict({"_index": i, "_id": "1"}, **({"_type": "item"} if self.typed else {})) for i in ("goods", "bulked")]}, targets=["goods", "bulked"])
        lines = b'{"index":"goods"}\n{"size":1}\n{"index":"bulked"}\n{"size":1}\n'
        self.call("read_msearch", "POST", "/_msearch", None, {"Content-Type": "application/x-ndjson"}, lines, api="msearch", targets=["goods", "bulked"])
        s, a = r("read_scroll", "POST", "/goods/_search?scroll=1m", "search", {"size": 1})
        r("read_scroll_on", "POST", "/_search/scroll", "scroll", {"scroll": "1m", "scroll_id": a["_scroll_id"]}, targets=None, indices=None)
        r("read_scroll_clear", "DELETE", "/_search/scroll", "clear_scroll", {"scroll_id": [a["_scroll_id"]]}, targets=None, indices=None)
        r("read_health", "GET", "/_cluster/health", "cluster.health", targets=None, indices=None)
        r("read_cat", "GET", "/_cat/indices/goods?format=json", "cat.indices", targets=["goods"], indices=None)
        r("read_index", "GET", "/goods", "indices.get", indices=None)
        r("read_index_exists", "HEAD", "/goods", "indices.exists", indices=None)

    def cut_off(self):
        """Last: calls whose answers nobody reads."""
        self.call("cut_off_base", "PUT", self.doc("victim", "1"), {"n": 1}, api="index")
        self.hang_up("cancelled_delete", "DELETE /victim HTTP/1.1", api="indices.delete", outcome="unanswered", reason="client_left", danger="index.delete", targets=["victim"], indices=None, silent=True)
        for _ in range(100):
            if self.quiet("HEAD", "/victim")[0] == 404:
                break
            time.sleep(0.05)
        self.victim_gone = self.quiet("HEAD", "/victim")[0] == 404
        path = self.doc("goods", "torn")
        self.hang_up("torn_write", f"PUT {path} HTTP/1.1", b'{"n":', more="Content-Type: application/json\r\nContent-Length: 500\r\n", api="index", outcome="failed", reason="request_incomplete",
                     targets=["goods"], indices=None, silent=True, never=True)
        time.sleep(0.3)
        self.torn_there = self.quiet("HEAD", path)[0] == 200
        s = socket.create_connection(("127.0.0.1", self.port))
        self.connections += 1
        calls = []
        text = b""
        for i in range(5):
            c = self.note(f"pipelined_{i}", "PUT", self.doc("piping", str(i)), {"api": "index", "targets": ["piping"], "blind": True, "indices": None, "ops": [("index", str(i), "created")], "unordered": True})
            b = json.dumps({"n": i}).encode()
            text += (f"PUT {c.path} HTTP/1.1\r\nHost: es\r\nUser-Agent: tour/1\r\nX-Opaque-Id: {c.oid}\r\nAuthorization: {self.auth()}\r\nContent-Type: application/json\r\nContent-Length: {len(b)}\r\n\r\n").encode() + b
            calls.append(c)
        s.sendall(text)
        f = s.makefile("rb")
        for c in calls:
            c.status = int(f.readline().split()[1])
            length = 0
            while (line := f.readline()).strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            c.answer = json.loads(f.read(length))
        s.close()
        self.state("piping", "piping")
