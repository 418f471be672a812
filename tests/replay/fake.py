"""A target that is no cluster: it answers what a replay asks, keeps documents in memory, and fails as it is told to.

Where a real node can be made to do the same, tests/node does it; this one is for what a node cannot easily do: refuse one privilege,
lose one answer, be too small, be restarted between two bytes.
"""
import http.server, json, socket, threading
from urllib.parse import unquote, urlsplit


class Target:
    def __init__(self, version="7.10.2", uuid="cluster-a", exists=True, shards=1, restored=True, max_seq=-1, documents=None, start_ms=None):
        self.version, self.uuid, self.exists, self.shards, self.restored, self.max_seq = version, uuid, exists, shards, restored, max_seq
        self.index, self.blocks, self.state, self.alias_of, self.mapping = "copy", {}, "open", None, {"dynamic": "false"}
        self.docs = dict(documents or {})  # id -> dict(_source, _version, _seq_no, _primary_term)
        self.seq = max_seq
        self.start_ms = start_ms
        self.limit = 104857600
        self.hooks = []       # functions (verb, path, body) -> None, or (status, answer), or "drop", or "drop-after"
        self.calls = []       # (verb, path) of everything asked
        self.writes = []      # (action, id, status) of every item
        self.existed_writes = 0
        self.server = None

    # ---- running ----------------------------------------------------------------------------------------------------

    def start(self, port=0):
        target = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle_one_request(self):
                try:
                    super().handle_one_request()
                except (ConnectionError, socket.timeout):
                    self.close_connection = True

            def answer(self):
                n = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(n)
                if self.headers.get("Content-Encoding") == "gzip":
                    import gzip
                    body = gzip.decompress(body)
                status, out = target.take(self.command, self.path, body)
                if status == "drop":
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                data = out if isinstance(out, bytes) else json.dumps(out).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    if out == b"" or not isinstance(target.cut, int):
                        self.wfile.write(data)
                    else:  # half of it, then gone
                        self.wfile.write(data[: target.cut])
                        target.cut = None
                        self.close_connection = True
                        self.connection.shutdown(socket.SHUT_RDWR)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer

        self.cut = None
        http.server.ThreadingHTTPServer.allow_reuse_address = True
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.lock = threading.Lock()
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    # ---- answering --------------------------------------------------------------------------------------------------

    def take(self, verb, path, body):
        with self.lock:
            self.calls.append((verb, path))
            after = False
            for hook in list(self.hooks):
                said = hook(verb, path, body)
                if said == "drop":
                    return "drop", b""
                if said == "drop-after":
                    after = True
                elif said:
                    return said
            answer = self.route(verb, path, body)
            return ("drop", b"") if after else answer

    def route(self, verb, path, body):
        p = unquote(urlsplit(path).path)
        name = f"/{self.index}"
        if p == "/":
            return 200, {"cluster_name": "fake", "cluster_uuid": self.uuid, "version": {"number": self.version}}
        if p == "/_bulk":
            return self.bulk(body)
        if p == "/_mget":
            return 200, {"docs": [self.get(d["_id"]) for d in json.loads(body)["docs"]]}
        if p.startswith("/_nodes"):
            return 200, {"nodes": {"n": {"http": {"max_content_length_in_bytes": self.limit}}}}
        if p.startswith("/_snapshot"):
            return 200, {"snapshots": [{"snapshot": "s1", "start_time_in_millis": self.start_ms or 0, "end_time_in_millis": (self.start_ms or 0) + 10}]}
        if p.startswith("/_tasks"):
            return 200, {"nodes": {}}
        if p.startswith("/_cluster/state"):
            indices = {self.index: {"state": self.state, "routing_num_shards": 1024, "primary_terms": {str(s): 2 for s in range(self.shards)}, "mappings": {"_doc": {}}}} if self.exists else {}
            return 200, {"metadata": {"indices": indices}}
        if verb == "PUT" and p == name:
            self.exists = True
            return 200, {"acknowledged": True}
        if verb == "DELETE" and p == name:
            existed, self.exists, self.docs, self.seq = self.exists, False, {}, -1
            return (200, {"acknowledged": True}) if existed else (404, {"error": {"type": "index_not_found_exception", "reason": "no such index"}})
        if not p.startswith(name + "/"):
            return 200, {"acknowledged": True}
        if not self.exists:
            return 404, {"error": {"type": "index_not_found_exception", "reason": "no such index"}, "status": 404}
        return self.index_call(verb, p[len(name):], body)

    def index_call(self, verb, rest, body):
        if rest == "/_settings" and verb == "GET":
            real = self.alias_of or self.index
            return 200, {real: {"settings": {"index": {"number_of_shards": str(self.shards), "uuid": "index-a", "version": {"created": "7100299"}, "blocks": self.blocks}}}}
        if rest == "/_mapping" and verb == "GET":
            return 200, {self.index: {"mappings": self.mapping}}
        if rest == "/_stats/docs":
            commit = {"user_data": {"max_seq_no": str(self.max_seq), "local_checkpoint": str(self.max_seq)}}
            shard = [{"routing": {"primary": True}, "seq_no": {"max_seq_no": self.seq}, "commit": commit}]
            return 200, {"indices": {self.index: {"primaries": {"docs": {"count": len(self.docs)}}, "shards": {str(s): shard for s in range(self.shards)}}}}
        if rest == "/_stats/indexing":
            return 200, {"_all": {"primaries": {"indexing": {"index_total": len([w for w in self.writes if w[2] < 300]), "delete_total": 0}}}}
        if rest == "/_recovery":
            how = {"type": "SNAPSHOT", "primary": True, "start_time_in_millis": (self.start_ms or 0) + 1, "source": {"repository": "backup", "snapshot": "s1"}}
            return 200, {self.index: {"shards": [how if self.restored else {"type": "EMPTY_STORE", "primary": True}]}}
        if rest.startswith("/_search"):
            return 200, {"hits": {"hits": []}}
        if rest.endswith("_by_query"):
            return 200, {"updated": 1, "deleted": 0, "created": 0}
        return 200, {"acknowledged": True}

    # ---- documents --------------------------------------------------------------------------------------------------

    def get(self, i):
        d = self.docs.get(i)
        return dict(d, _index=self.index, _id=i, found=True) if d else {"_index": self.index, "_id": i, "found": False}

    def bulk(self, body):
        lines, items, errors = body.decode().split("\n"), [], False
        at = 0
        while at < len(lines) and lines[at]:
            (action, meta), = json.loads(lines[at]).items()
            source = None if action == "delete" else json.loads(lines[at + 1])
            at += 1 if action == "delete" else 2
            status, answer = self.write(action, meta, source)
            errors |= status >= 300
            self.writes.append((action, meta["_id"], status))
            items.append({action: dict(answer, _index=self.index, _id=meta["_id"], status=status)})
        return 200, {"took": 1, "errors": errors, "items": items}

    def write(self, action, meta, source):
        now = self.docs.get(meta["_id"])
        conflict = 409, {"error": {"type": "version_conflict_engine_exception", "reason": "version conflict"}}
        if "if_seq_no" in meta and (not now or now["_seq_no"] != meta["if_seq_no"] or now["_primary_term"] != meta["if_primary_term"]):
            return conflict
        if "version" in meta and "version_type" not in meta and (not now or now["_version"] != meta["version"]):
            return conflict
        if action == "create" and now:
            return conflict
        if meta.get("version_type") == "external_gte" and now and now["_version"] > meta["version"]:
            return conflict
        if action == "update" and not now and "upsert" not in source:
            return 404, {"error": {"type": "document_missing_exception", "reason": "document missing"}}
        self.seq += 1
        version = meta["version"] if "version_type" in meta else (now["_version"] + 1 if now else 1)
        done = {"_seq_no": self.seq, "_primary_term": 2, "_version": version}
        if action == "delete":
            self.docs.pop(meta["_id"], None)
            return (200, dict(done, result="deleted")) if now else (404, dict(done, result="not_found"))
        if action == "update":
            if "script" in source:  # the one script that tests use adds one to n
                source = dict(now["_source"], n=now["_source"].get("n", 0) + 1)
            else:
                source = dict(now["_source"], **source["doc"])
        self.docs[meta["_id"]] = dict(done, _source=source)
        return (200 if now else 201), dict(done, result="updated" if now else "created")
