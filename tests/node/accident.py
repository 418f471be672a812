"""The accident, live: a real node, three services on official clients, the recorder on lo, the DELETE, and what the index would hold without it.

The model stands on the services' journals alone: each writes a line for every write it counts as done, and no two of them write
the same field of a document. It never asks the cluster, the wire or the tape.
"""
import base64, http.client, json, os, pwd, shutil, signal, socket, subprocess, sys, tempfile, time

import clients, node, writers

HERE = os.path.dirname(os.path.abspath(__file__))
INDEX, COPY = "catalog", "catalog_restored"
# A service: who it is, its share of the rate.
SERVICES = {"prices": 15, "stock": 40, "import": 15}
POSTMAN = ("DELETE /{index} HTTP/1.1\r\nAuthorization: Basic {auth}\r\nUser-Agent: PostmanRuntime/7.39.0\r\nAccept: */*\r\n"
           "Postman-Token: 5f1c2c8e-6b4f-4a52-9d0c-0b7b7a3a9b11\r\nHost: 127.0.0.1:{port}\r\nAccept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\n\r\n")


def fold(model, line):
    """One line of a journal onto a model that never saw the DELETE: there every document is still there to be updated."""
    op, ident, there = line["op"], line["id"], model.get(line["id"])
    if op == "index" or op == "upsert" and there is None:
        model[ident] = line["doc"]
    elif op == "delete":
        model.pop(ident, None)
    elif there is not None and op == "add":
        model[ident] = dict(there, sold=there["sold"] + line["n"])
    elif there is not None:
        model[ident] = writers.merge(there, line["doc"])


class Cluster:
    """Plain calls to a node by one user."""

    def __init__(self, port, user="backup", source=None):
        self.port, self.source = port, (source, 0) if source else None
        self.auth = {"Authorization": "Basic " + base64.b64encode(f"{user}:secret".encode()).decode(), "User-Agent": "curl/7.88.1"}

    def call(self, verb, path, body=None, refused=False):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60, source_address=self.source)
        try:
            c.request(verb, path, None if body is None else json.dumps(body), dict(self.auth, **({"Content-Type": "application/json"} if body is not None else {})))
            r = c.getresponse()
            text = r.read()
        finally:
            c.close()
        if r.status > 299 and not refused:
            raise RuntimeError(f"{verb} {path}: {r.status} {text[:400].decode(errors='replace')}")
        return json.loads(text) if text[:1] in b"{[" and text else r.status


class Services:
    """The three processes and their journals. They end when their input does, so none outlives the program that started it."""

    def __init__(self, kind, ports, folder, java, shared, seed=1, rate=1.0):
        self.kind, self.folder, self.java, self.shared, self.seed, self.rate = kind, folder, java, shared, seed, rate
        self.ports = ",".join(map(str, ports))  # of the nodes among which each client goes round
        self.running = {}
        self.python, self.jars, self.source = clients.python_path(kind), clients.java_path(kind), clients.java_source(kind, folder)

    def journal(self, name):
        return os.path.join(self.folder, name + ".journal")

    def command(self, role, rate):
        if role == "import":
            return [self.java, "-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", self.jars, self.source, self.ports, "typed" if self.kind in ("es5", "es6") else "plain",
                    self.journal(role), str(rate), str(self.seed), INDEX]
        return [sys.executable, os.path.join(HERE, "services.py"), role, self.kind, self.ports, self.journal(role), str(rate), str(self.seed), INDEX, str(self.shared)]

    def spawn(self, role, rate):
        with open(os.path.join(self.folder, role + ".txt"), "a") as words:
            return subprocess.Popen(self.command(role, rate), stdin=subprocess.PIPE, stdout=words, stderr=words, start_new_session=True,
                                    env=dict(os.environ, PYTHONPATH=self.python, PYTHONDONTWRITEBYTECODE="1", PYTHONWARNINGS="ignore"))

    def words(self, role):
        return open(os.path.join(self.folder, role + ".txt"), errors="replace").read()[-600:]

    def fill(self):
        """The first documents, before anything else; ends when they are in."""
        p = self.spawn("seed", self.shared)
        try:
            if p.wait(120):
                raise RuntimeError("the first documents: " + self.words("seed"))
        finally:
            self.end(p)

    def start(self):
        for role, share in SERVICES.items():
            self.running[role] = self.spawn(role, share * self.rate)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not all(os.path.exists(self.journal(r)) and os.path.getsize(self.journal(r)) for r in self.running):
            self.check()
            time.sleep(0.1)
        self.check()

    def check(self):
        for role, p in self.running.items():
            if p.poll() is not None:
                raise RuntimeError(f"the service {role} ended with {p.returncode}: {self.words(role)}")

    def end(self, p):
        if p.poll() is None:
            p.stdin.close()
            try:
                return p.wait(150)
            except subprocess.TimeoutExpired:
                p.kill()
        return p.wait()

    def stop(self):
        """Each finishes what it is at. An ending that is not clean is an error: its last write would be uncertain."""
        for p in self.running.values():
            if p.poll() is None and not p.stdin.closed:
                p.stdin.close()
        bad = [f"{role} ended with {p.returncode}: {self.words(role)}" for role, p in self.running.items() if self.end(p)]
        self.running = {}
        if bad:
            raise RuntimeError("; ".join(bad))

    def lines(self):
        """All journals, the first documents first; a service's own order is kept."""
        for role in ("seed", *SERVICES):
            if os.path.exists(self.journal(role)):
                with open(self.journal(role)) as f:
                    for line in f:
                        if line.endswith("\n"):
                            yield json.loads(line)

    def written(self):
        return sum(1 for _ in self.lines())

    def model(self):
        model = {}
        for line in self.lines():
            fold(model, line)
        return model


class Recorder:
    """`estape record` on lo. Root's own user where it is root, so that its folder stays reachable."""

    def __init__(self, estape, folder, port, more=(), name="tape", where=None):
        self.tape, self.words = os.path.join(folder, name), os.path.join(folder, name + ".txt")
        user = os.environ.get("SUDO_USER") or "root"
        self.command = [estape, "record", "-i", "lo", "--port", str(port), "--tape", self.tape, *(["-u", user] if os.geteuid() == 0 else []), *more, *([where] if where else [])]
        self.sudo = [] if os.geteuid() == 0 else ["sudo"]
        self.process = None

    def start(self):
        self.process = subprocess.Popen([*self.sudo, *self.command], stdout=subprocess.DEVNULL, stderr=open(self.words, "w"), start_new_session=not self.sudo)
        deadline = time.monotonic() + (120 if self.sudo else 20)  # sudo may ask for a password
        while time.monotonic() < deadline and self.process.poll() is None and not os.path.exists(os.path.join(self.tape, "lock")):
            time.sleep(0.05)
        time.sleep(0.5)
        if self.process.poll() is not None or not os.path.exists(os.path.join(self.tape, "lock")):
            raise RuntimeError("the recorder did not start: " + open(self.words).read().strip()[-400:])
        return self

    def pid(self):
        """Of the recorder itself, also where sudo stands before it: the tape's lock names it."""
        try:
            return int(open(os.path.join(self.tape, "lock")).read().split()[0])
        except (OSError, ValueError, IndexError):
            return self.process.pid

    def stop(self):
        """Ends it as Ctrl-C would; its exit status."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            try:
                os.kill(self.pid(), signal.SIGINT)
                return self.process.wait(60)
            except ProcessLookupError:
                pass
            except subprocess.TimeoutExpired:
                os.kill(self.pid(), signal.SIGKILL)
        return self.process.wait()

    def said(self):
        return open(self.words, errors="replace").read().strip()


class Accident:
    """The story's parts, in the order in which they are to be called; `close` undoes whatever was done, at any point."""

    def __init__(self, kind, estape, folder=None, port=None, documents=2000, rate=1.0, seed=1, heap="640m", settings=None):
        self.kind, self.estape, self.documents, self.rate, self.seed = kind, os.path.abspath(estape), documents, rate, seed
        self.typed, self.scripts = kind in ("es5", "es6"), kind != "es8"
        self.folder = folder or tempfile.mkdtemp(prefix=f"estape-live-{kind}-")
        self.nodes, self.recorders, self.services = [], [], None
        self.port, self.heap, self.settings = port or clients.free_port(), heap, settings
        self.replicas = 0

    def start_node(self):
        self.node = node.Node(self.kind, port=self.port, heap=self.heap, settings=self.settings)
        self.nodes.append(self.node)
        self.node.start()
        self.reach()

    def start_pair(self):
        """A cluster of two nodes, each a process of its own; the second one's port is the next."""
        seeds = ",".join(f"127.0.0.1:{self.port + 100 + i}" for i in (0, 1))
        first = "cluster.initial_cluster_manager_nodes" if self.kind.startswith("os") else "cluster.initial_master_nodes"
        for i in (0, 1):
            settings = dict(self.settings or {}, **{"node.name": f"n{i + 1}", "discovery.seed_hosts": seeds, first: "n1"})
            self.nodes.append(node.Node(self.kind, port=self.port + i, heap=self.heap, settings=settings, repo=os.path.join(self.folder, "repo")))
            self.nodes[-1].start()
        self.node, self.replicas = self.nodes[0], 1
        self.reach()
        self.backup.call("GET", "/_cluster/health?wait_for_nodes=2&timeout=60s")

    def reach(self):
        self.port, self.url = self.node.port, self.node.url
        self.backup, self.setup = Cluster(self.port, "backup"), Cluster(self.port, "setup")
        if self.node.repo not in json.dumps(self.setup.call("GET", "/_nodes/_local?filter_path=nodes.*.settings.path")):
            raise RuntimeError(f"another node took port {self.port} in the meantime: try again")

    def start_recorder(self, *more, port=None, name="tape"):
        self.recorder = Recorder(self.estape, self.folder, port or self.port, more, name)
        self.recorders.append(self.recorder)
        self.recorder.start()
        self.tape = self.recorder.tape

    def fill(self):
        mapping = {"properties": {"name": {"type": "keyword"}, "sku": {"type": "keyword"}, "stock": {"type": "integer"}, "price": {"type": "double"}}}
        self.setup.call("PUT", f"/{INDEX}", {"settings": {"number_of_shards": 2, "number_of_replicas": self.replicas}, "mappings": {"item": mapping} if self.typed else mapping})
        self.services = Services(self.kind, [n.port for n in self.nodes], self.folder, self.node.java, self.documents, self.seed, self.rate)
        self.services.fill()
        self.first_life = self.life()
        self.services.start()

    def life(self):
        """The index's uuid; None while there is none."""
        a = self.setup.call("GET", f"/{INDEX}/_settings", refused=True)
        return a[INDEX]["settings"]["index"]["uuid"] if isinstance(a, dict) and INDEX in a else None

    def await_rebirth(self, seconds=60):
        """Until the services' writes have made an index of that name anew."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.life() in (None, self.first_life):
            self.let_write(0.2)

    def snapshot(self):
        self.backup.call("PUT", "/_snapshot/backup", {"type": "fs", "settings": {"location": self.node.repo}})
        self.backup.call("PUT", "/_snapshot/backup/s1?wait_for_completion=true", {"indices": INDEX, "include_global_state": False})

    def let_write(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.services.check()
            time.sleep(min(0.2, max(0, deadline - time.monotonic())))

    def delete_and_cancel(self, port=None):
        """The wrong request: sent whole, then the client hangs up at once, as after Cancel. Returns the moment it was sent."""
        port = port or self.port
        auth = base64.b64encode(b"alice:secret").decode()
        with socket.create_connection(("127.0.0.1", port)) as s:
            sent = time.time()
            s.sendall(POSTMAN.format(index=INDEX, auth=auth, port=port).encode())
        return sent

    def count(self, index=INDEX):
        """Documents in it, or None while there is no such index."""
        self.setup.call("POST", f"/{index}/_refresh", refused=True)
        a = self.setup.call("GET", f"/{index}/_count", refused=True)
        return a.get("count") if isinstance(a, dict) else None

    def ask(self, *words, tapes=None):
        """A command over the tape, or over the ones that are named: exit status, output, errors."""
        r = subprocess.run([self.estape, *words, *(x for t in tapes or [self.tape] for x in ("--tape", t))], capture_output=True, text=True)
        return r.returncode, r.stdout, r.stderr

    def find_delete(self, seconds=5, tapes=None):
        """The number of the exchange that deleted the index, as `estape log` tells it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            rows = [json.loads(x) for x in self.ask("log", "--json", "--api", "indices.delete", "--index", INDEX, tapes=tapes)[1].splitlines()]
            if rows:
                return str(rows[0]["id"])
            time.sleep(0.2)
        raise RuntimeError("the DELETE is not on the tape")

    def restore(self):
        self.backup.call("POST", "/_snapshot/backup/s1/_restore?wait_for_completion=true", {"indices": INDEX, "rename_pattern": INDEX, "rename_replacement": COPY})

    def replay_command(self, gone):
        return ["replay", "--skip", gone, "--map", f"{INDEX}={COPY}", "--target", self.url, "--casualties=apply", "--cutover", INDEX]

    def dump(self, index=INDEX):
        """Every document: id to source."""
        c = Cluster(self.port, "audit")
        c.call("POST", f"/{index}/_refresh")
        found = {}
        a = c.call("POST", f"/{index}/_search?scroll=1m", {"size": 1000, "sort": ["_doc"]})
        while a["hits"]["hits"]:
            found.update((h["_id"], h["_source"]) for h in a["hits"]["hits"])
            a = c.call("POST", "/_search/scroll", {"scroll": "1m", "scroll_id": a["_scroll_id"]})
        return found

    def compare(self, index=INDEX):
        """What the model holds, how many of these are there, and the ids that differ."""
        want, have = self.services.model(), self.dump(index)
        return want, have, sorted(k for k in want.keys() | have.keys() if want.get(k) != have.get(k))

    def history(self, ident):
        """Every journal line about one document, for a failure's report."""
        return [line for line in self.services.lines() if line["id"] == ident]

    def close(self, keep=False):
        ends = [self.services.stop] if self.services else []
        ends += [r.stop for r in self.recorders] + [lambda n=n: n.stop(kill=True) for n in self.nodes] + [n.remove for n in self.nodes]
        for end in ends:
            try:
                end()
            except Exception as e:  # noqa: BLE001: the rest has to go as well
                print(f"while ending: {e}", file=sys.stderr)
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)
