#!/usr/bin/env python3
"""Makes tests/es-routes/examples.tsv: for every line of src/es/routes.tsv a request line with awkward names that must resolve to it.

usage: make_examples.py > tests/es-routes/examples.tsv
"""
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
# Undecoded on purpose: literals are compared before decoding, names come back as sent.
NAMES = ["logs-2026.11.24", "a%2Fb", "caf%C3%A9", "%3Cd-%7Bnow%2Fd%7D%3E", "x;y=1", "n%20m", "a,b%2C-c", "%2A", "n+1", "%5Fall"]
FIXED = {"type": ["doc", "t%C3%A9", "my%20type"]}


def example(path, seed):
    count = [0]

    def name(match):
        count[0] += 1
        part = match.group(1)
        choice = FIXED.get(part, NAMES)
        return choice[(seed + count[0] * 3) % len(choice)]
    return re.sub(r"\{([^}]*)\}", name, path)


with open(os.path.join(HERE, "../../src/es/routes.tsv")) as f:
    rows = [line.rstrip("\n").split("\t") for line in f if not line.startswith("#")][1:]
print("# Made by tools/routes/make_examples.py from src/es/routes.tsv.")
print("verb\texample\tapi\ttemplate\tproducts")
for number, (verb, path, api, _, products, _, _) in enumerate(rows):
    print("\t".join([verb, example(path, number), api, path, products]))
