cat > opaque.talk <<'T'
open
C> "\x16\x03\x01\x00\x2e\x01\x00\x00\x2a\x03\x03" repeat(32, "r") "\x00\x00\x02\x13\x01\x01\x00"
S> "\x16\x03\x03\x00\x04\x02\x00\x00\x00"
close

client 10.0.0.1:40001
conn two
open
C> "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
close
T
"$CASES/../../tools/talk2pcap" opaque.talk -o opaque.pcap || exit 99
estape record -q -r opaque.pcap --tape t
estape info -t t | grep -v '  size  '
estape info -t t --json | tr ',' '\n' > info.json
grep -E '"(connections|listened)' info.json
grep -A6 '"opaque"' info.json
