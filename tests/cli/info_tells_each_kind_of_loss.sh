# Every kind of thing that can be missing has its line: one side only, heads cut, times without a recorder, packets that the kernel dropped.
missing() { estape info --tape "$1" | sed -n '/what is not on it/,/^$/p'; }
tape clients accident-os2191-a.clients
missing clients
tape cut accident-os2191-a.snap96
missing cut
python3 "$CASES/../../tools/talk2pcap" "$CASES/../golden/fault_server_side_only.talk" -o server.pcap && estape record -q -r server.pcap --tape server
missing server
tape pause accident-os2191-a rsyslog-os2
estape info --tape pause | grep -A1 'nobody was recording' | sed 's/ (.*//'
estape info --json --tape pause | jq -c '[(.not_recording | length), (.gaps[] | select(.cause == "not_recording") | .gaps)]'
tape dropped rsyslog-os2
python3 - <<'END'
import glob, sqlite3
log = sqlite3.connect(glob.glob("dropped/*.log.db")[0])
log.execute("INSERT INTO gap(from_us, to_us, cause, bytes, packets, side, n) SELECT first_us, last_us, 'kernel', 0, 1234, -1, 2 FROM segment")
log.execute("UPDATE beat SET kernel_dropped=1234, interface_dropped=5 WHERE time_us=(SELECT max(time_us) FROM beat)")
log.commit()
tape = sqlite3.connect("dropped/tape.db")
tape.execute("DELETE FROM coverage")
tape.commit()
END
missing dropped
