#!/usr/bin/env python3
"""Makes src/es/routes.tsv, the one table of REST routes, from published specifications and the checked-in supplement.

usage: make_routes.py [--cache DIR] [--out FILE]

The specifications are packages (below); what is not in the cache is fetched by the ordinary maven and npm clients.
What the packages do not hold (OpenSearch plugins, X-Pack of 5.x and 7.x, pairs that nodes register beyond the lists)
stands in supplement.tsv, each row with where it comes from. Names of transport actions stand in actions.tsv.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile

from classify import flags_of

HERE = os.path.dirname(os.path.abspath(__file__))
BITS = {"es5": 1, "es6": 2, "es7": 4, "es8": 8, "es9": 16, "os1": 32, "os2": 64, "os3": 128}

# Newest first: the first list that knows a verb and path names the API. (kind, package, version, products)
SOURCES = [
    ("maven", "org.elasticsearch:rest-api-spec", "9.5.3", ["es9"]),
    ("schema", "@elastic/request-converter", "9.5.0", ["es9"]),
    ("schema", "@elastic/request-converter", "8.19.1", ["es8"]),
    ("maven", "org.opensearch:rest-api-spec", "3.1.0", ["os3"]),
    ("maven", "org.opensearch:rest-api-spec", "2.19.0", ["os2"]),
    ("maven", "org.elasticsearch:rest-api-spec", "7.10.2", ["es7", "os1"]),  # OpenSearch 1.x began as 7.10.2
    ("client", "@elastic/elasticsearch", "6.8.8", ["es6"]),
    ("maven", "org.elasticsearch:rest-api-spec", "6.6.0", ["es6"]),
    ("maven", "org.elasticsearch:rest-api-spec", "5.6.4", ["es5"]),
]


def fetch(kind, package, version, cache):
    """The package's archive, from the cache or through its registry's client."""
    if kind == "maven":
        group, artifact = package.split(":")
        name = os.path.join(cache, f"{group}-{artifact}-{version}.jar")
        if not os.path.exists(name):
            subprocess.run(["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={package}:{version}",
                            f"-DoutputDirectory={cache}/new"], check=True, stdout=subprocess.DEVNULL)
            os.rename(f"{cache}/new/{artifact}-{version}.jar", name)
        return name
    name = os.path.join(cache, package.lstrip("@").replace("/", "-") + f"-{version}.tgz")
    if not os.path.exists(name):
        subprocess.run(["npm", "pack", "--silent", "--pack-destination", cache, f"{package}@{version}"],
                       check=True, stdout=subprocess.DEVNULL)
    return name


def read_classic(archive):
    """rest-api-spec/api/*.json, both generations: url.paths of objects (7.x on) or of strings with one method list."""
    with zipfile.ZipFile(archive) as z:
        for entry in z.namelist():
            if not re.match(r"(rest-api-spec/)?api/[^/]+\.json$", entry) or "/_common" in entry:
                continue
            for name, spec in json.loads(z.read(entry)).items():
                body = spec.get("body")
                kind = "none" if not body else "ndjson" if body.get("serialize") == "bulk" else "json"
                types = (spec.get("headers") or {}).get("content_type") or []
                if kind == "json" and types and all("ndjson" in t for t in types):
                    kind = "ndjson"
                for path in spec["url"]["paths"]:
                    if isinstance(path, str):
                        for verb in spec["methods"]:
                            yield name, verb, path, kind
                    else:
                        for verb in path["methods"]:
                            yield name, verb, path["path"], kind


def read_schema(archive):
    """The endpoints of the compiled specification."""
    with tarfile.open(archive) as t:
        schema = json.load(t.extractfile("package/dist/schema.json"))
    for e in schema["endpoints"]:
        media = e.get("requestMediaType") or []
        kind = "none" if not media else "ndjson" if any("ndjson" in m for m in media) else "json"
        for url in e["urls"]:
            for verb in url["methods"]:
                yield e["name"], verb, url["path"], kind


def read_client(archive):
    """The generated client of 6.8 read as text: its only list is in the code that builds paths."""
    with tarfile.open(archive) as t:
        for member in t.getmembers():
            m = re.match(r"package/api/api/(.*)\.js$", member.name)
            if not m:
                continue
            text = t.extractfile(member).read().decode()
            verbs = {v for line in re.findall(r"\bmethod = (.*)", text) for v in re.findall(r"'([A-Z]+)'", line)}
            kind = "none" if "body: ''" in text or "body: null" in text else "ndjson" if "bulkBody" in text else "json"
            for expression in re.findall(r"\bpath = (.*)", text):
                parts = re.findall(r"encodeURIComponent\((\w+)\)|'([^']*)'", expression)
                path = "".join("{%s}" % a if a else b for a, b in parts)
                if path:
                    for verb in verbs:
                        yield m.group(1), verb, path, kind


READERS = {"maven": read_classic, "schema": read_schema, "client": read_client}


def shape(path):
    return re.sub(r"\{[^}]*\}", "{}", path)


def read_tsv(name):
    with open(os.path.join(HERE, name)) as f:
        rows = [line.rstrip("\n").split("\t") for line in f if line.strip() and not line.startswith("#")]
    return [dict(zip(rows[0], r)) for r in rows[1:]]


class Table:
    def __init__(self):
        self.rows = {}

    def add(self, name, verb, path, kind, bits, server_only=False):
        path = path.rstrip("/") or "/"
        row = self.rows.setdefault((verb, shape(path)), {
            "path": path, "names": [], "bits": 0, "kind": kind, "server_only": True, "verb": verb})
        row["bits"] |= bits
        row["names"].append((bits, name))
        if row["kind"] == "none":
            row["kind"] = kind
        row["server_only"] &= server_only


def settle_names(table):
    """The newest list's name; of several names of one list (inference.put and its 25 services) the shortest."""
    known = {n for r in table.rows.values() for _, n in r["names"]}
    for row in table.rows.values():
        first = row["names"][0][0]
        name = min((n for b, n in row["names"] if b == first), key=lambda n: (len(n), n))
        if name.startswith("xpack.") and "." in name[6:] and name[6:] in known:  # xpack.X.y of 6.x is the later X.y
            name = name[6:]
        row["name"] = name


NEWEST_FIRST = ["es9", "es8", "es7", "es6", "es5", "os3", "os2", "os1"]


def action_of(name, bits, actions):
    """The action as the newest product of the row names it; else the newest of its family; never X-Pack's for OpenSearch."""
    known = actions.get(name, {})
    mine = [p for p in NEWEST_FIRST if bits & BITS[p]]
    families = {p[:2] for p in mine}
    for product in mine + [p for p in NEWEST_FIRST if p[:2] in families]:
        if product in known:
            return known[product]
    return next((known[p] for p in NEWEST_FIRST if p in known and "/xpack/" not in known[p] and not name.startswith("sql.")), "-")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cache", default=os.path.join(HERE, "../../build/routes-cache"))
    parser.add_argument("--out", default=os.path.join(HERE, "../../src/es/routes.tsv"))
    args = parser.parse_args()
    os.makedirs(args.cache, exist_ok=True)
    table = Table()
    for kind, package, version, products in SOURCES:
        count = 0
        for name, verb, path, body in READERS[kind](fetch(kind, package, version, args.cache)):
            table.add(name, verb, path, body, sum(BITS[p] for p in products))
            count += 1
        print(f"{package} {version}: {count} verb and path pairs", file=sys.stderr)
    for r in read_tsv("supplement.tsv"):
        bits = sum(BITS[p] for p in r["products"].split(","))
        table.add(r["api"], r["verb"], r["path"], r["body"], bits, "node" in r["source"])
    settle_names(table)
    actions = {}
    for r in read_tsv("actions.tsv"):
        for product in r["products"].split(","):
            actions.setdefault(r["api"], {})[product] = r["action"]
    verbs = {}
    for row in table.rows.values():
        verbs.setdefault(row["name"], set()).add(row["verb"])
    with open(args.out, "w") as out:
        out.write("# Made by tools/routes/make_routes.py: REST routes of Elasticsearch 5 to 9 and OpenSearch 1 to 3.\n")
        out.write("verb\tpath\tapi\taction\tproducts\tbody\tflags\n")
        for row in sorted(table.rows.values(), key=lambda r: (shape(r["path"]), r["verb"])):
            products = ",".join(p for p, b in BITS.items() if row["bits"] & b)
            flags = flags_of(row, verbs[row["name"]])
            out.write("\t".join([row["verb"], row["path"], row["name"], action_of(row["name"], row["bits"], actions), products,
                                 row["kind"], ",".join(flags) or "-"]) + "\n")
    print(f"{len(table.rows)} routes, {len(verbs)} APIs", file=sys.stderr)


if __name__ == "__main__":
    main()
