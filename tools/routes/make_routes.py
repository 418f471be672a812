#!/usr/bin/env python3
"""Makes src/es/routes.tsv, the one table of REST routes, from published specifications and the checked-in supplement.

usage: make_routes.py [--cache DIR] [--out FILE]

The specifications are packages (below); what is not in the cache is fetched by the ordinary maven, npm and pip clients.
What the packages do not hold (pairs that nodes register beyond the lists, plugins that publish none) stands in supplement.tsv,
each row with where it comes from. Names of transport actions stand in actions.tsv, and since when OpenSearch has an API of a
plugin in opensearch_since.tsv.
"""
import argparse
import os
import re
import sys

from classify import flags_of
from packages import READERS, fetch

HERE = os.path.dirname(os.path.abspath(__file__))
BITS = {"es5": 1, "es6": 2, "es7": 4, "es8": 8, "es9": 16, "os1": 32, "os2": 64, "os3": 128}

# Newest first: the first list that knows a verb and path names the API. (kind, package, version, products)
SOURCES = [
    ("classic", "org.elasticsearch:rest-api-spec", "9.5.3", ["es9"]),
    ("schema", "@elastic/request-converter", "9.5.0", ["es9"]),
    ("schema", "@elastic/request-converter", "8.19.1", ["es8"]),
    ("os_client", "@opensearch-project/opensearch", "3.9.0", ["os3"]),  # with plugins; older majors by opensearch_since.tsv
    ("classic", "org.opensearch:rest-api-spec", "3.1.0", ["os3"]),
    ("classic", "org.opensearch:rest-api-spec", "2.19.0", ["os2"]),
    ("client", "@elastic/elasticsearch", "7.17.14", ["es7"]),  # with X-Pack
    ("classic", "org.elasticsearch:rest-api-spec", "7.10.2", ["es7", "os1"]),  # OpenSearch 1.x began as 7.10.2
    ("client", "@elastic/elasticsearch", "6.8.8", ["es6"]),  # with X-Pack
    ("classic", "org.elasticsearch:rest-api-spec", "6.6.0", ["es6"]),
    ("python", "elasticsearch-xpack", "5.4.0", ["es5"]),
    ("classic", "org.elasticsearch:rest-api-spec", "5.6.4", ["es5"]),
]
# X-Pack of 7.x still answers the spellings of 6.8 (ReplacedRoute of its handlers), but for these, which ended with 6.8.
ENDED_WITH_6 = re.compile(r"^/_xpack/(migration/(assistance|upgrade)|watcher/_restart|rollup/_rollup_search)")


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


def action_of(row, actions):
    """The action as the newest product of the row names it; else the newest of its family; never X-Pack's for OpenSearch."""
    name, bits = row["name"], row["bits"]
    if row["path"].startswith("/_opendistro/"):  # on Elasticsearch too, but never X-Pack
        bits = BITS["os1"] | BITS["os2"]
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
    since = {r["api"]: int(r["since"]) for r in read_tsv("opensearch_since.tsv")}
    for kind, package, version, products in SOURCES:
        count = 0
        for name, verb, path, body in READERS[kind](fetch(kind, package, version, args.cache)):
            bits = sum(BITS[p] for p in products)
            if kind == "os_client":
                bits = sum(BITS[f"os{major}"] for major in range(since.get(name, 3), 4))
            if "/_xpack/" in path and products == ["es6"] and not ENDED_WITH_6.match(path):
                bits |= BITS["es7"]
            table.add(name, verb, path, body, bits)
            count += 1
        print(f"{package} {version}: {count} verb and path pairs", file=sys.stderr)
    for r in read_tsv("supplement.tsv"):
        bits = sum(BITS[p] for p in r["products"].split(","))
        if r["path"].startswith("/_opendistro/"):
            bits |= BITS["es6"] | BITS["es7"]
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
            out.write("\t".join([row["verb"], row["path"], row["name"], action_of(row, actions), products,
                                 row["kind"], ",".join(flags) or "-"]) + "\n")
    print(f"{len(table.rows)} routes, {len(verbs)} APIs", file=sys.stderr)


if __name__ == "__main__":
    main()
