"""The official clients of each version: Python packages from pip, the Java client from Maven; downloads are kept beside the nodes'."""
import os, random, shutil, socket, subprocess, sys

import node

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = {"es5": "elasticsearch==5.5.3", "es6": "elasticsearch==6.8.2", "es7": "elasticsearch==7.10.1", "es8": "elasticsearch==8.19.3", "os2": "opensearch-py==2.8.0", "os3": "opensearch-py==2.8.0"}
# The low-level client of version 6 speaks to 5 as well, and has the interface of all later ones.
JAVA = {"es5": "org.elasticsearch.client:elasticsearch-rest-client:6.8.9", "es6": "org.elasticsearch.client:elasticsearch-rest-client:6.8.9",
        "es7": "org.elasticsearch.client:elasticsearch-rest-client:7.10.2", "es8": "org.elasticsearch.client:elasticsearch-rest-client:8.19.21",
        "os2": "org.opensearch.client:opensearch-rest-client:2.19.1", "os3": "org.opensearch.client:opensearch-rest-client:3.8.0"}


def free_port():
    """A port that is free, and so are the next one and those a hundred above; below those that connections are given."""
    for _ in range(200):
        port = random.randrange(20000, 32000, 2)
        if all(is_free(port + more) for more in (0, 1, 100, 101)):
            return port
    raise node.Skip("no free ports")


def is_free(port):
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def python_path(kind):
    """A folder with the Python client of this version; installed once by pip, then remembered."""
    spec = PYTHON[kind]
    home = os.path.join(node.CACHE, "py-" + spec.replace("==", "-"))
    if not os.path.isdir(home):
        work = home + f".{os.getpid()}"
        r = subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-input", "--disable-pip-version-check", "--target", work, spec] + (["urllib3<2"] if kind in ("es5", "es6", "es7") else []),
                           capture_output=True, text=True)
        if r.returncode:
            shutil.rmtree(work, ignore_errors=True)
            raise node.Skip(f"pip cannot install {spec}: {(r.stderr.strip().splitlines() or ['?'])[-1]}")
        os.rename(work, home)
    return home


def java_source(kind, folder):
    """Service.java in the words of this version's client: its packages have other names, its code is the same."""
    text = open(os.path.join(HERE, "Service.java")).read()
    if kind.startswith("es"):
        text = text.replace("org.opensearch.client", "org.elasticsearch.client")
    if kind == "os3":
        text = text.replace("org.apache.http.util.EntityUtils", "org.apache.hc.core5.http.io.entity.EntityUtils").replace("org.apache.http.", "org.apache.hc.core5.http.")
        text = text.replace("setConnectTimeout(120000).setSocketTimeout(120000)", "setResponseTimeout(120000, java.util.concurrent.TimeUnit.MILLISECONDS)")
    path = os.path.join(folder, "Service.java")
    with open(path, "w") as f:
        f.write(text)
    return path


def java_path(kind):
    """Class path of the Java client of this version."""
    return node.class_path("java-" + JAVA[kind].replace(":", "-"), JAVA[kind])
