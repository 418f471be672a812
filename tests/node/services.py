"""The Python services of the accident, on the official clients: services.py ROLE KIND PORT[,PORT] JOURNAL RATE SEED INDEX, ROLE prices, stock or seed.

Each writes about RATE documents a second until its input ends, and a line to JOURNAL for each write that it counts as done.
prices: one update at a time, some by script. stock: compressed bulks of partial updates, some of them upserts. seed: RATE documents, then ends.
No two services write the same field of a document, so what the index must hold follows from their journals alone.
"""
import json, random, sys, threading, time

ROLE, KIND, PORTS, JOURNAL, RATE, SEED, INDEX = sys.argv[1:8]
RATE = float(RATE)
TYPED = {"_type": "item"} if KIND in ("es5", "es6") else {}
if KIND.startswith("os"):
    from opensearchpy import OpenSearch as Client, helpers
    from opensearchpy.exceptions import TransportError as Refusal
elif KIND == "es8":
    from elasticsearch import ApiError as Refusal, Elasticsearch as Client, helpers
else:
    from elasticsearch import Elasticsearch as Client, helpers
    from elasticsearch.exceptions import TransportError as Refusal

stop = threading.Event()
rng = random.Random(f"{SEED}/{ROLE}")
journal = open(JOURNAL, "a", buffering=1)


def client(name):
    more = {"http_compress": True} if ROLE == "stock" and KIND != "es5" else {}
    auth, patience = ("basic_auth", "request_timeout") if KIND == "es8" else ("http_auth", "timeout")
    return Client([f"http://127.0.0.1:{port}" for port in PORTS.split(",")], **{auth: (name, "secret"), patience: 120}, **more)


def note(op, ident, status, **more):
    journal.write(json.dumps({"op": op, "id": ident, "status": status, **more}, ensure_ascii=False) + "\n")


def product(n):
    return {"sku": f"p-{n}", "name": rng.choice(["crème", "größe", "日本 walnut", "plain 😀", "a\"q\\b"]), "price": rng.randrange(10**5) / 100, "sold": 0,
            "stock": rng.randrange(500), "attrs": {"size": {"h": rng.randrange(9), "w": rng.randrange(9)}, "label": None}, "tags": [rng.choice("abcdef") for _ in range(rng.randrange(4))]}


def seed(es):
    documents = [(f"p-{n}", product(n)) for n in range(int(RATE))]
    helpers.bulk(es, [{"_index": INDEX, "_id": i, "_source": d, **TYPED} for i, d in documents], chunk_size=500)
    for i, d in documents:
        note("index", i, 201, doc=d)


def ident():
    return f"p-{rng.randrange(int(SHARED))}"


def update(es, i, body):
    t = {"doc_type": "item"} if TYPED else {}
    for _ in range(600):
        try:
            es.update(index=INDEX, id=i, **t, **(body if KIND == "es8" else {"body": body}))
            return 200
        except Refusal as e:
            status = e.meta.status if KIND == "es8" else e.status_code
            if status == 404:
                return status  # its document is gone: a service logs that and goes on
            if status not in (403, 409, 429, 503):
                raise
            if stop.is_set():
                return None  # refused to the end: it never happened
            time.sleep(0.1 if status != 409 else 0)
    raise SystemExit("refused for a minute")


def price(es):
    i = ident()
    if KIND != "es8" and rng.random() < 0.15:
        n = rng.randrange(1, 9)
        source = "inline" if KIND == "es5" else "source"
        status = update(es, i, {"script": {source: "ctx._source.sold = (ctx._source.sold == null ? 0 : ctx._source.sold) + params.n", "lang": "painless", "params": {"n": n}}})
        return status and note("add", i, status, n=n)
    doc = {"price": rng.randrange(10**5) / 100} if rng.random() < 0.7 else {"attrs": {"currency": rng.choice(["EUR", "CHF"]), "size": {"d": rng.randrange(9)}}}
    status = update(es, i, {"doc": doc})
    if status:
        note("update", i, status, doc=doc)


def counts(es, number):
    """One bulk of partial updates; what is refused for a moment comes again before anything newer is sent."""
    todo = {}
    for _ in range(number):
        todo[ident()] = ({"stock": rng.randrange(500), "shelf": {"row": rng.choice("ABC"), "n": rng.randrange(40)}}, rng.random() < 0.3)
    for _ in range(600):
        actions = [{"_op_type": "update", "_index": INDEX, "_id": i, "doc": d, **({"doc_as_upsert": True} if up else {}), **TYPED} for i, (d, up) in todo.items()]
        sent, todo = todo, {}
        for (i, (doc, up)), (_, item) in zip(sent.items(), helpers.streaming_bulk(es, actions, raise_on_error=False, raise_on_exception=False)):
            status = next(iter(item.values()))["status"]
            if status in (403, 409, 429, 503):
                todo[i] = (doc, up)
            elif status in (200, 201, 404):
                note("upsert" if up else "update", i, status, doc=doc)
            else:
                raise SystemExit(f"bulk item: {item}")
        if not todo or stop.is_set():
            return
        time.sleep(0.1)
    raise SystemExit("refused for a minute")


def until_told(work, per_second):
    """Runs `work` so often a second, until the input ends."""
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    began, n = time.monotonic(), 0
    while not stop.is_set():
        stop.wait(max(0, began + n / per_second - time.monotonic()))
        work()
        n += 1


SHARED = sys.argv[8] if len(sys.argv) > 8 else RATE
es = client({"prices": "prices", "stock": "stock", "seed": "import"}[ROLE])
if ROLE == "seed":
    seed(es)
elif ROLE == "prices":
    until_told(lambda: price(es), RATE)
else:
    until_told(lambda: counts(es, max(2, int(RATE / 2))), 2)
