# A writer that goes round in a ring of files (tcpdump -C -W) begins the followed one anew: what went to the others is missing.
zstd -dcq "$CORPUS/accident-os2191-a.pcap.zst" > whole.pcap
python3 - <<'PY'
import struct
data = open("whole.pcap", "rb").read()
at, packets = 24, []
while at < len(data) and len(packets) < 5000:
    size = struct.unpack_from("<I", data, at + 8)[0]
    packets.append(data[at:at + 16 + size])
    at += 16 + size
for name, part in ("first", packets[:400]), ("later", packets[4800:]):
    open(name, "wb").write(data[:24] + b"".join(part))
PY
cat first > ring.pcap
"$ESTAPE" record -F -r ring.pcap --tape t --rules none > said 2>&1 & pid=$!
sleep 1.2
cat later > ring.pcap
sleep 1.2
kill -INT $pid; wait $pid; echo "status $?"
grep -c 'begun anew' said
estape log -t t --gaps only --json | grep not_recording
estape info -t t | grep -A1 'nobody was recording'
