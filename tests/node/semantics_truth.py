"""Compares a tape with the journal of a tour, with what the node held, and with the node's own request log."""
import json, os, re, subprocess, urllib.parse

READS = {"get", "exists", "get_source", "search", "count", "mget", "msearch", "scroll", "clear_scroll", "cluster.health", "cat.indices", "indices.get", "indices.exists", "indices.get_alias",
         "indices.exists_alias", "indices.get_mapping", "indices.get_settings", "indices.get_template", "indices.get_data_stream", "snapshot.get", "tasks.get", "info", "ping", "indices.stats"}
NO_WRITE = READS | {"indices.refresh", "indices.flush", "indices.forcemerge", "indices.clear_cache"}
SINGLE = {"index": "index", "create": "create", "update": "update", "delete": "delete"}
FLAG = {"scripted": 1, "upsert": 2, "minted": 4, "id_unknown": 8, "external": 32, "cas": 1024, "detect_off": 4096, "from_bulk": 8192}


def error_type(answer):
    e = answer.get("error") if isinstance(answer, dict) else None
    return e.get("type") if isinstance(e, dict) else None


def op_of(kind, item, status):
    """What one answered write must be on a tape."""
    if status >= 300 and not (status == 404 and item.get("result") in ("not_found",) or status == 404 and item.get("found") is False and kind == "delete"):
        return {"op": kind, "result": "failed", "status": status, "index": None, "id": item.get("_id"), "error_type": error_type(item)}
    dropped = kind in ("index", "create") and item.get("result") == "noop"
    return {"op": kind, "result": "dropped" if dropped else item.get("result"), "status": status, "index": item.get("_index"), "id": None if dropped else item.get("_id"),
            "version": None if dropped else item.get("_version"), "seq_no": item.get("_seq_no"), "primary_term": item.get("_primary_term")}


def expected_ops(call):
    """Document writes of a call, from its own answer or as the tour says."""
    w = call.want
    if "ops" in w:
        return None if w["ops"] is False else [{"op": o, "id": i, "result": r} for o, i, r in w["ops"]]
    api, answer = w.get("api"), call.answer
    if w.get("ops_if_taken") and call.status != 200:
        return None
    if call.want.get("silent"):
        return None
    if api in SINGLE:
        if w.get("blind") or not isinstance(answer, dict):
            return [{"op": None, "result": {200: "updated|accepted|created|deleted", 201: "created"}.get(call.status)}]
        if call.status == 405 or (call.status in (400, 404, 406, 403, 409) and "result" not in answer and "found" not in answer):
            return [{"op": w.get("kind", SINGLE[api]), "result": "failed", "status": call.status, "error_type": error_type(answer)}]
        if w.get("kind"):
            return [dict(op_of(w["kind"], answer, call.status))]
        kind = SINGLE[api]
        return [dict(op_of(kind, answer, call.status), op="index|create" if kind == "index" and call.verb == "POST" else kind)]
    if api == "bulk":
        if call.status >= 300:
            n = [next(iter(x)) for x in call.lines if isinstance(x, dict) and len(x) == 1 and next(iter(x)) in SINGLE]
            return [{"op": k, "result": "failed", "status": call.status} for k in n]
        return [op_of(*next(iter(i.items())), status=next(iter(i.values()))["status"]) for i in answer["items"]]
    return []


def expected_outcome(call, ops):
    w = call.want
    if "outcome" in w:
        return w["outcome"]
    if w.get("api") == "bulk" and call.status == 200 and ops:
        bad = sum(o["result"] == "failed" for o in ops)
        return "ok" if not bad else "failed" if bad == len(ops) else "partial"
    if call.status < 400 or (call.status == 404 and (call.verb in ("GET", "HEAD") or ops and ops[0]["result"] == "not_found")):
        return "ok"
    return "failed"


def expected_targets(call):
    """Index expressions of a path and of bulk lines, each once."""
    if "targets" in call.want:
        return call.want["targets"]
    first = call.path.split("?")[0].split("/")[1]
    found = []
    if not first.startswith("_"):
        found = [t for t in urllib.parse.unquote(first).split(",") if t]
    for line in call.lines:
        if isinstance(line, dict) and len(line) == 1:
            meta = next(iter(line.values()))
            if isinstance(meta, dict) and "_index" in meta and meta["_index"] not in found:
                found.append(meta["_index"])
    return found


def expected_indices(call, ops):
    """Concrete indices that an answer names; None: this call says nothing of them."""
    if "indices" in call.want:
        return call.want["indices"]
    if call.want.get("blind") or call.status is None or call.status >= 300:
        return None
    if ops:
        return sorted({o["index"] for o in ops if o.get("index")}) if all(o.get("index") or o["result"] == "failed" for o in ops) and not any(o["result"] == "failed" for o in ops) else None
    a = call.answer
    if isinstance(a, dict):
        if isinstance(a.get("hits"), dict):
            return sorted({h["_index"] for h in a["hits"]["hits"]}) or None
        if isinstance(a.get("docs"), list):
            return sorted({d["_index"] for d in a["docs"] if "_index" in d})
        if a.get("_index"):
            return [a["_index"]]
    return None


def among(word, allowed):
    return word in allowed.split("|") if isinstance(allowed, str) else word == allowed


class Truth:
    def __init__(self, kind, estape, tape, result):
        self.kind, self.estape, self.tape, self.result = kind, estape, tape, result
        self.rows = [json.loads(x) for x in self.ask("log", "--json")]
        self.by_oid = {}
        for r in self.rows:
            self.by_oid.setdefault(r["opaque_id"], []).append(r)
        self.ops = {}
        for x in self.ask("sql", "--json", "SELECT * FROM ops"):
            o = json.loads(x)
            self.ops.setdefault(o["exchange"], []).append(o)
        for v in self.ops.values():
            v.sort(key=lambda o: o["item"])

    def ask(self, command, *args):
        r = subprocess.run([self.estape, command, "-t", self.tape, *args], capture_output=True, text=True)
        if r.returncode:
            self.result(f"command_{command}", f"ended with {r.returncode}: {r.stderr[-300:]}")
        return r.stdout.splitlines()

    def check(self, call, aspect, have, want):
        ok = among(have, want) if isinstance(want, str) or want is None else have == want
        self.result(f"{call.name}_{aspect}", "" if ok else f"{aspect} is {have!r} instead of {want!r} ({call.verb} {call.path} {call.status})")

    # ---- every call of the journal ----
    def calls(self, journal):
        for call in journal:
            rows = self.by_oid.get(call.oid, [])
            if len(rows) != 1:
                self.result(f"{call.name}_recorded_once", f"{len(rows)} rows for {call.verb} {call.path} ({call.oid})")
                continue
            self.result(f"{call.name}_recorded_once", "")
            self.call(call, rows[0])

    def call(self, call, row):
        w, ops = call.want, expected_ops(call)
        self.check(call, "request", (row["verb"], row["path"]), (call.verb, call.path))
        self.check(call, "status", row["status"], call.status)
        if "status" in w:
            self.check(call, "node_status", call.status, w["status"])
        if "api" in w:
            self.check(call, "api", row["api"], w["api"])
        outcome = expected_outcome(call, ops)
        if outcome:
            self.check(call, "outcome", row["outcome"], outcome)
        reason = w.get("reason") or (error_type(call.answer) if outcome == "failed" and w.get("api") != "bulk" and isinstance(call.answer, dict) else None)
        if reason and not w.get("blind"):
            self.check(call, "reason", row["reason"], reason)
        if w.get("client"):
            return self.documents(call, row, ops)
        self.check(call, "who", (row["principal"], row["agent"], row["client_ip"]), (w.get("user", "tourist"), "tour/1", "127.0.0.1"))
        if w.get("api"):
            self.check(call, "write", bool(row["write"]), w["write"] if "write" in w else w["api"] not in READS and w["api"] not in NO_WRITE if w["api"] not in NO_WRITE - READS else bool(row["write"]))
        self.check(call, "destructive", row["destructive"], w.get("danger"))
        targets = expected_targets(call)
        if targets is not None:
            self.check(call, "targets", row["targets"], targets)
        indices = expected_indices(call, ops)
        if indices is not None:
            self.check(call, "indices", sorted(row["indices"]), sorted(indices))
        self.documents(call, row, ops)

    def documents(self, call, row, ops):
        w = call.want
        if w.get("lines_twice"):
            ops = ops and ops
        if w.get("docs") is not None and w["docs"] is not False:
            self.check(call, "docs", (row["docs"], row["docs_ok"], row["docs_failed"], row["docs_deleted"]), tuple(w["docs"]))
        elif ops and all(isinstance(o["result"], str) and "|" not in o["result"] and o["result"] != "unknown" for o in ops) and "docs" not in w:
            failed = sum(o["result"] == "failed" for o in ops)
            deleted = sum(o["result"] == "deleted" for o in ops if o["op"] == "delete" or True)
            self.check(call, "docs", (row["docs"], row["docs_ok"], row["docs_failed"], row["docs_deleted"]), (len(ops), len(ops) - failed, failed, deleted))
        if ops is None or w.get("never"):
            return
        have = self.ops.get(row["id"], [])
        if len(have) != len(ops):
            self.result(f"{call.name}_ops", f"{len(have)} ops instead of {len(ops)} ({call.verb} {call.path})")
            return
        for i, (h, e) in enumerate(zip(have, ops)):
            bad = [f"{k} {h.get(k)!r} instead of {v!r}" for k, v in e.items()
                   if v is not None and not (h.get(k) == v or isinstance(v, str) and k in ("op", "result") and among(h.get(k), v))]
            for k in ("routing", "pipeline", "type"):
                if w.get(k) and h.get(k) != w[k]:
                    bad.append(f"{k} {h.get(k)!r} instead of {w[k]!r}")
            if w.get("id") and h.get("id") != w["id"]:
                bad.append(f"id {h.get('id')!r} instead of {w['id']!r}")
            if bad:
                self.result(f"{call.name}_ops", f"item {i}: {'; '.join(bad)} ({call.verb} {call.path})")
                return
        self.result(f"{call.name}_ops", "")
        self.flags(call, have)

    def flags(self, call, have):
        """What a request asked for shows in the flags of its op."""
        if call.want.get("api") not in SINGLE or len(have) != 1 or call.want.get("client"):
            return
        f, q = have[0]["flags"], call.path.partition("?")[2]
        want = {"external": "version_type=external" in q or "version_type=force" in q, "cas": "if_seq_no" in q or ("version=" in q and "version_type" not in q), "from_bulk": False}
        for word, on in want.items():
            self.check(call, word, bool(f & FLAG[word]), on)
        if call.name.startswith("post_without_id"):
            self.check(call, "minted", bool(f & FLAG["minted"]), True)
        if call.name in ("script_updates", "upsert_inserts", "update_detect_noop_off"):
            word = {"script_updates": "scripted", "upsert_inserts": "upsert", "update_detect_noop_off": "detect_off"}[call.name]
            self.check(call, word, bool(f & FLAG[word]), True)

    # ---- what the node held ----
    def states(self, journal, states):
        oid_of = {r["id"]: r["opaque_id"] for r in self.rows}
        place = {c.oid: n for n, c in enumerate(journal)}
        at = {i: place.get(o, -1) for i, o in oid_of.items()}
        everything = sorted((o for v in self.ops.values() for o in v), key=lambda o: (at.get(o["exchange"], -1), o["item"]))
        for state in states:
            for index, docs in state["docs"].items():
                # Where a filter hid the index, the op has the name asked for: the next call whose answer told that name decides.
                names = {c.want["asked"]: i for c in journal for i in [self.index_of(journal, c)] if c.want.get("asked")}
                self.index_state(state, index, docs, [o for o in everything if (o["index"] == index or o["flags"] & 256 and names.get(o["index"]) == index) and -1 < at.get(o["exchange"], -1) < state["after"]])

    @staticmethod
    def index_of(journal, call):
        """The index that the write before this one, by the same name, went to."""
        first = call.path.split("/")[1]
        told = [c.answer["_index"] for c in journal[:journal.index(call)] if c.path.split("/")[1] == first and isinstance(c.answer, dict) and "_index" in c.answer]
        return told[-1] if told else None

    def index_state(self, state, index, docs, ops):
        """The newest life's documents, as they must follow from the recorded answers."""
        name = f"{state['name']}_{index}" if len(state["docs"]) > 1 else state["name"]
        life = max((o["life"] for o in ops), default=0)
        ops = [o for o in ops if o["life"] == life or o["flags"] & 256]
        held, consumed, blind = {}, [], 0
        for o in ops:
            key = (o["id"], o["routing"] or "")
            if o["result"] in ("created", "updated", "accepted"):
                held[key] = (o["version"], o["seq_no"], o["primary_term"])
                blind += o["seq_no"] is None
            elif o["result"] == "deleted":
                held.pop(key, None)
                blind += o["seq_no"] is None
            elif o["result"] == "not_found":
                blind += o["seq_no"] is None
            if o["seq_no"] is not None and o["result"] not in ("noop", "failed", "dropped"):
                consumed.append(o["seq_no"])
            if o["result"] == "unknown":
                blind += 1
        self.result(f"node_{name}_count", "" if state["counts"].get(index) == len(docs) else f"_cat says {state['counts'].get(index)}, search {len(docs)}")
        if state["by_query"]:
            return
        missing = [k for k in docs if k not in held]
        over = [k for k in held if k not in docs]
        unknown = {o["id"] for o in ops if o["result"] == "unknown"}
        missing, over = [k for k in missing if k[0] not in unknown], [k for k in over if k[0]]
        hidden = sum(not o["id"] and o["result"] == "created" for o in ops)  # ids that the cluster chose and a filter hid
        missing = missing if len(missing) != hidden else []
        self.result(f"node_{name}_documents", "" if not missing and not over else f"the node has {missing[:3]}, the tape {over[:3]} beyond")
        wrong = [(k, v, held[k]) for k, v in docs.items() if k in held and any(a is not None and b is not None and a != b for a, b in zip(v, held[k]))]
        self.result(f"node_{name}_versions", "" if not wrong else f"{len(wrong)} of {len(docs)} differ, one is {wrong[0]}")
        told = [k for k in docs if held.get(k, (None,))[0] is not None]
        if not blind:
            self.result(f"node_{name}_all_told", "" if len(told) == len(docs) else f"only {len(told)} of {len(docs)} have a version")
            shards = state["shards"].get(index, [])
            if len(shards) == 1 and shards[0] is not None:
                self.result(f"node_{name}_numbers_dense", "" if sorted(consumed) == list(range(shards[0] + 1)) else
                            f"node's highest is {shards[0]}, recorded {len(consumed)} with holes {sorted(set(range(shards[0] + 1)) - set(consumed))[:5]}, doubles {sorted(n for n in set(consumed) if consumed.count(n) > 1)[:5]}")

    def doc_command(self, index, ident, versions):
        """estape doc: every accepted version of one document, oldest first."""
        out = "\n".join(self.ask("doc", f"{index}/{ident}", "--json"))
        have = [v.get("version") for v in json.loads(out or "{}").get("versions", []) if v.get("result") in ("created", "updated", "deleted")]
        self.result("doc_lists_every_version", "" if have == versions else f"versions {have} instead of {versions}")

    def documents_by_export(self, states, folder):
        """Sources, from bodies however they were coded, and documents whose index only an alias told."""
        for state in states:
            if state["name"] not in ("coded", "odd_names", "stock"):
                continue
            for index, sources in state["sources"].items():
                out = os.path.join(folder, "docs.ndjson")
                r = subprocess.run([self.estape, "export", "-t", self.tape, "--index", index, "--docs", out], capture_output=True, text=True)
                told = {d["_id"]: d["_source"] for d in map(json.loads, open(out))} if os.path.exists(out) else {}
                if os.path.exists(out):
                    os.unlink(out)
                wrong = [i for i in sources.keys() | told.keys() if sources.get(i) != told.get(i)]
                self.result(f"node_{state['name']}_sources", "" if not wrong else f"{len(wrong)} of {len(sources)} differ, one is {wrong[0]!r}: node {str(sources.get(wrong[0]))[:80]}, tape {str(told.get(wrong[0]))[:80]}; {r.stderr.strip()[-200:]}")

    def filters(self):
        """What the filters of the log select is what the columns say."""
        # What a recording began with is told by no column here: rows are compared by id.
        wanted = (("writes", ["--writes"], lambda r: r["write"]), ("destructive", ["--destructive"], lambda r: r["destructive"]), ("api", ["--api", "bulk"], lambda r: r["api"] == "bulk"),
                  ("who", ["--who", "tourist"], lambda r: r["principal"] == "tourist"), ("status", ["--status", "409"], lambda r: r["status"] == 409),
                  ("outcome", ["--outcome", "partial"], lambda r: r["outcome"] == "partial"), ("verb", ["--verb", "DELETE"], lambda r: r["verb"] == "DELETE"),
                  ("index", ["--index", "stock-1"], lambda r: "stock-1" in r["targets"] + r["indices"]), ("index_wildcard", ["--index", "logs-0*"], lambda r: any(n.startswith("logs-0") for n in r["targets"] + r["indices"])))
        for word, options, picks in wanted:
            have = {json.loads(x)["id"] for x in self.ask("log", "--json", *options)}
            want = {r["id"] for r in self.rows if picks(r)}
            missing = want - have
            more = have - want if word[:5] != "index" else {i for i in have - want if not self.may_match(i)}
            self.result(f"log_by_{word}", "" if want and not missing and not more else f"{len(want)} rows wanted, missing {sorted(missing)[:3]}, too many {sorted(more)[:3]}")

    def may_match(self, ident):
        """A wildcard or an alias among a row's targets may stand for the index that was asked for."""
        row = next(r for r in self.rows if r["id"] == ident)
        return any(c in t for t in row["targets"] for c in "*<") or "_all" in row["targets"] or not row["targets"] or bool({"stock", "logs_w", "both"} & set(row["targets"]))

    def hole_explained(self, highest):
        """A term that Lucene refuses consumes a number without telling: the one hole of that index. 8.19 looks at terms before it numbers."""
        ops = [o for v in self.ops.values() for o in v if o["index"] == "limited"]
        if highest is None:
            return
        told = {o["seq_no"] for o in ops if o["seq_no"] is not None}
        self.result("immense_term_consumes_a_number", "" if set(range(highest + 1)) - told == (set() if self.kind == "es8" else {0}) else f"highest {highest}, told {sorted(told)}")

    # ---- the node's own request log ----
    def request_log(self, folder, journal):
        """The HTTP tracer's account: every request it has, in its order, with its status."""
        seen = read_tracer(folder)
        if not seen:
            self.result("node_log_read", "the node logged no request")
            return
        asked = [s for s in seen if s["oid"] and s["oid"].startswith(("raw-", "py-"))]
        mine = {r["opaque_id"]: r for r in self.rows if (r["opaque_id"] or "").startswith(("raw-", "py-"))}
        missed = [s for s in asked if s["oid"] not in mine]
        self.result("node_log_nothing_missed", "" if not missed else f"{len(missed)} missed, one is {missed[0]}")
        known = {s["oid"]: s for s in asked}
        extra = [o for o in mine if o not in known and o not in {c.oid for c in journal if c.want.get("never")}]
        # What the node refuses before it dispatches is in no log of its own.
        extra = [o for o in extra if mine[o]["status"] not in (405, 406, 415) and mine[o]["outcome"] != "failed"]
        self.result("node_log_nothing_invented", "" if not extra else f"{len(extra)} of no request, one is {mine[extra[0]]['verb']} {mine[extra[0]]['path']} {mine[extra[0]]['status']}")
        wrong = [(s, mine[s["oid"]]["verb"], mine[s["oid"]]["path"]) for s in asked if s["oid"] in mine and (s["verb"], s["path"]) != (mine[s["oid"]]["verb"], mine[s["oid"]]["path"])]
        self.result("node_log_verb_and_path", "" if not wrong else f"{len(wrong)} differ, one is {wrong[0]}")
        wrong = [(s, mine[s["oid"]]["status"]) for s in asked if s["oid"] in mine and mine[s["oid"]]["status"] is not None and s.get("status") not in (None, mine[s["oid"]]["status"])]
        self.result("node_log_status", "" if not wrong else f"{len(wrong)} differ, one is {wrong[0]}")
        one_by_one = {c.oid for c in journal if not c.want.get("unordered")}
        order = [s["oid"] for s in asked if s["oid"] in mine and s["oid"] in one_by_one]
        told = [r["opaque_id"] for r in self.rows if r["opaque_id"] in set(order)]
        first = next((i for i, (a, b) in enumerate(zip(order, told)) if a != b), None)
        self.result("node_log_order", "" if order == told else f"differs at {first}: node {order[first] if first is not None else len(order)}, tape {told[first] if first is not None else len(told)}")
        print(f"  {self.kind}: {len(asked)} requests in the node's log, {len(mine)} on the tape")


def read_tracer(folder):
    """Requests in the order in which the node's HTTP tracer logged them, with the status it says it sent."""
    received = re.compile(r"\[(\d+)\]\[([^\]]*)\]\[([A-Z]+)\]\[(.*?)\] received request from \[")
    sent = re.compile(r"\[(\d+)\]\[([^\]]*)\]\[(?:([A-Z_]+)|(\d+))\]\[[^\]]*\]\[[^\]]*\] sent response")
    names = {"OK": 200, "CREATED": 201, "ACCEPTED": 202, "NO_CONTENT": 204, "BAD_REQUEST": 400, "FORBIDDEN": 403, "NOT_FOUND": 404, "METHOD_NOT_ALLOWED": 405, "NOT_ACCEPTABLE": 406, "CONFLICT": 409,
             "INTERNAL_SERVER_ERROR": 500}
    seen, by_number = [], {}
    for root, _, files in os.walk(folder):
        for f in sorted(files):
            if not f.endswith((".log", ".txt")):
                continue
            for line in open(os.path.join(root, f), errors="replace"):
                m = received.search(line)
                if m and m.group(1) not in by_number:
                    s = {"oid": m.group(2) if m.group(2) != "null" else None, "verb": m.group(3), "path": m.group(4), "status": None}
                    seen.append(s)
                    by_number[m.group(1)] = s
                    continue
                m = sent.search(line)
                if m and m.group(1) in by_number:
                    by_number[m.group(1)]["status"] = int(m.group(4)) if m.group(4) else names.get(m.group(3))
    return seen
