# What the catalog keeps of sealed segments says the same as the segments themselves; a file that was cut is not believed from the catalog.
for c in accident-os2191-a.loss1 accident-os2191-a.mid; do
    zstd -dcq "$CORPUS/$c.pcap.zst" | estape record -q -r - --segment-age 10s --tape t || exit 99
done
estape info --json --tape t > catalog.json
python3 - <<'END'
import sqlite3
d = sqlite3.connect("t/tape.db")
print(d.execute("SELECT count(*) > 6 FROM coverage WHERE what=''").fetchone()[0], "several segments are covered")
d.execute("DELETE FROM coverage")
d.commit()
END
estape info --json --tape t > segments.json
cmp catalog.json segments.json && echo the same
last=$(ls t/*.log.db | tail -1)
head -c 5000 "$last" > cut && cat cut > "$last"
estape info --tape t 2>&1 | grep -c "damaged segments          1"
