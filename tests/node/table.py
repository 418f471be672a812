"""The table of a drill: per part and node the seeds run, the documents compared, and how many differed."""
import sys

ORDER = ("os2", "os3", "es8", "es7", "es6", "es5")
NAMES = {"os2": "OpenSearch 2.19", "os3": "OpenSearch 3.8", "es8": "8.19", "es7": "7.10", "es6": "6.8", "es5": "5.6"}


def main():
    cells, parts, broken = {}, {}, []
    for line in open(sys.argv[1]):
        kind, seed, part, documents, different = line.rstrip("\n").split("\t")
        if part.startswith("FAILED "):
            broken.append((kind, seed, part[7:]))
            continue
        parts[part] = None
        c = cells.setdefault((kind, part), [set(), 0, 0])
        c[0].add(seed)
        c[1] += int(documents)
        c[2] += int(different)
    kinds = [k for k in ORDER if any(k == kind for kind, _ in cells)]
    print("| part | " + " | ".join(NAMES[k] for k in kinds) + " |")
    print("| --- |" + " --- |" * len(kinds))
    for part in parts:
        row = []
        for k in kinds:
            c = cells.get((k, part))
            row.append(f"{len(c[0])}: {c[1]:,}, **{c[2]}**" if c and c[2] else f"{len(c[0])}: {c[1]:,}" if c else "")
        print(f"| {part} | " + " | ".join(row) + " |")
    print("\nEach cell: seeds run: documents compared; in bold how many differed.")
    for kind, seed, part in broken:
        print(f"failed: {kind} seed {seed}: {part}")


if __name__ == "__main__":
    main()
