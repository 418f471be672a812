"""The real client's part of the tour: semantics_client.py KIND PORT SCRIPTS; prints what went over the wire as JSON lines."""
import base64, gzip, json, sys

import urllib3

KIND, PORT, SCRIPTS = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "yes"
MAJOR = {"es5": 5, "es6": 6, "es7": 7, "es8": 8, "os2": 102, "os3": 103}[KIND]
TYPED = MAJOR < 7
journal, now = [], {"api": None, "name": None, "want": {}}


def watch(pool):
    """Every request of the client passes here: it gets its opaque id, and an entry."""
    inner = pool.urlopen

    def urlopen(self, method, url, body=None, headers=None, *args, **more):
        oid = f"py-{len(journal):04d}"
        headers = dict(headers or {})
        headers["x-opaque-id"] = oid
        r = inner(self, method, url, body, headers, *args, **more)
        text = r.data
        lines = []
        if body:
            raw = body.encode() if isinstance(body, str) else bytes(body)
            raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
            try:
                lines = [json.loads(x) for x in raw.splitlines() if x]
            except ValueError:
                pass
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        journal.append({"oid": oid, "name": f"client_{now['name']}", "api": now["api"], "verb": method, "path": url, "status": r.status, "answer": answer, "lines": lines if now["api"] == "bulk" else [], "want": now["want"]})
        return r
    pool.urlopen = urlopen


watch(urllib3.connectionpool.HTTPConnectionPool)
url = f"http://127.0.0.1:{PORT}"
if MAJOR > 100:
    from opensearchpy import OpenSearch as Client, helpers
    make = lambda **more: Client([url], http_auth=("client", "secret-8"), **more)
elif MAJOR == 8:
    from elasticsearch import Elasticsearch as Client, helpers
    make = lambda **more: Client([url], basic_auth=("client", "secret-8"), **more)
else:
    from elasticsearch import Elasticsearch as Client, helpers
    make = lambda **more: Client([url], http_auth=("client", "secret-8"), **more)


def call(name, api, f, **want):
    now.update(api=api, name=name, want=want)
    before = len(journal)
    try:
        return f()
    except Exception as e:  # noqa: BLE001: a refusal is part of the tour, a client that sends nothing is not
        if len(journal) == before:
            raise
        return {"refused": type(e).__name__}


def tour(es, p):
    t = {"doc_type": "item"} if TYPED else {}
    doc = (lambda d: {"document": d}) if MAJOR == 8 else (lambda d: {"body": d})
    i = p + "shop"
    body = {"settings": {"number_of_shards": 1, "number_of_replicas": 0}}
    call(p + "create_index", "indices.create", lambda: es.indices.create(index=i, body=body) if MAJOR != 8 else es.indices.create(index=i, settings=body["settings"]))
    call(p + "index", "index", lambda: es.index(index=i, id="1", **t, **doc({"n": 1})))
    call(p + "index_again", "index", lambda: es.index(index=i, id="1", **t, **doc({"n": 2})))
    call(p + "index_minted", "index", lambda: es.index(index=i, **t, **doc({"n": 3})))
    call(p + "index_odd_id", "index", lambda: es.index(index=i, id="größe/ 日本+,?", **t, **doc({"n": 3})), id="größe/ 日本+,?")
    call(p + "create", "create", lambda: es.create(index=i, id="2", **t, **doc({"n": 1})), kind="create")
    call(p + "create_conflict", "create", lambda: es.create(index=i, id="2", **t, **doc({"n": 1})), kind="create", reason="version_conflict_engine_exception")
    call(p + "update", "update", lambda: es.update(index=i, id="1", **t, body={"doc": {"n": 5}}) if MAJOR != 8 else es.update(index=i, id="1", doc={"n": 5}))
    call(p + "update_missing", "update", lambda: es.update(index=i, id="zz", **t, body={"doc": {"n": 5}}) if MAJOR != 8 else es.update(index=i, id="zz", doc={"n": 5}))
    call(p + "delete", "delete", lambda: es.delete(index=i, id="2", **t))
    call(p + "delete_missing", "delete", lambda: es.delete(index=i, id="2", **t))
    call(p + "get", "get", lambda: es.get(index=i, id="1", **t))
    call(p + "exists", "exists", lambda: es.exists(index=i, id="1", **t))
    actions = [dict({"_op_type": "index", "_index": i, "_id": f"h{k}", "_source": {"n": k, "s": "x" * 60}}, **({"_type": "item"} if TYPED else {})) for k in range(120)]
    call(p + "helpers_bulk", "bulk", lambda: helpers.bulk(es, actions, chunk_size=50))
    actions = [dict({"_op_type": o, "_index": i, "_id": f"h{k}"}, **({"doc": {"n": -k}} if o == "update" else {"_source": {"n": k}} if o == "create" else {}), **({"_type": "item"} if TYPED else {}))
               for k, o in enumerate(["update", "delete", "create", "delete", "update"])]
    call(p + "helpers_mixed", "bulk", lambda: helpers.bulk(es, actions, raise_on_error=False))
    call(p + "refresh", "indices.refresh", lambda: es.indices.refresh(index=i))
    call(p + "search", "search", lambda: es.search(index=i, size=2))
    call(p + "count", "count", lambda: es.count(index=i))
    call(p + "alias", "indices.put_alias", lambda: es.indices.put_alias(index=i, name=p + "door"))
    call(p + "index_by_alias", "index", lambda: es.index(index=p + "door", id="9", **t, **doc({"n": 9})))
    if SCRIPTS:
        q = {"query": {"range": {"n": {"gte": 100}}}}
        call(p + "update_by_query", "update_by_query", lambda: es.update_by_query(index=i, body=q, refresh=True), ops=[], docs=[20, 20, 0, 0])
        call(p + "delete_by_query", "delete_by_query", lambda: es.delete_by_query(index=i, body=q, refresh=True), ops=[], docs=[20, 20, 0, 20])
        call(p + "reindex", "reindex", lambda: es.reindex(body={"source": {"index": i}, "dest": {"index": p + "shop-copy"}}), ops=[])
    call(p + "delete_index", "indices.delete", lambda: es.indices.delete(index=i))


es = make()
if MAJOR not in (8,):
    call("info", "info", es.info)
tour(es, "plain-")
if MAJOR >= 7:
    tour(make(http_compress=True), "gzip-")
for j in journal:
    print(json.dumps(j))
