cat > session.talk <<'T'
let hits = "{\"took\":1,\"timed_out\":false,\"hits\":{\"total\":{\"value\":1,\"relation\":\"eq\"},\"hits\":[]}}"
let ok = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "
let pki = "{\"username\":\"frank\",\"authentication_realm\":{\"name\":\"pki1\",\"type\":\"pki\"}}"
let told = "{\"user_name\":\"erin\",\"backend_roles\":[]}"
let wrote = "{\"_index\":\"a\",\"_id\":\"1\",\"_version\":1,\"result\":\"created\",\"_seq_no\":0,\"_primary_term\":1}"
conn first
open
C> "GET /a/_search HTTP/1.1\r\nHost: es\r\n\r\n"
S> $ok size($hits) "\r\n\r\n" $hits
C> "GET /_security/_authenticate HTTP/1.1\r\nHost: es\r\n\r\n"
S> $ok size($pki) "\r\n\r\n" $pki
C> "PUT /a/_doc/1 HTTP/1.1\r\nHost: es\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"b\":1}"
S> $ok size($wrote) "\r\n\r\n" $wrote
client 10.0.0.1:40009
conn second
open
C> "GET /a/_search HTTP/1.1\r\nHost: es\r\n\r\n"
S> $ok size($hits) "\r\n\r\n" $hits
C> "GET /_plugins/_security/authinfo HTTP/1.1\r\nHost: es\r\nCookie: security_authentication=c00kie\r\n\r\n"
S> $ok size($told) "\r\n\r\n" $told
conn first
C> "GET /a/_search HTTP/1.1\r\nHost: es\r\nCookie: security_authentication=c00kie\r\n\r\n"
S> $ok size($hits) "\r\n\r\n" $hits
C> "GET /a/_search HTTP/1.1\r\nHost: es\r\n\r\n"
S> "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"
C> "GET /a/_search HTTP/1.1\r\nHost: es\r\n\r\n"
S> $ok size($hits) "\r\n\r\n" $hits
close
conn second
close
T
"$CASES/../../tools/talk2pcap" session.talk -o session.pcap || exit 99
estape record -q -r session.pcap --tape t || exit 99
echo "all of it"
estape log --tape t --json | sed -n 's/.*"client_port":\([0-9]*\).*"principal":\([^,]*\),"auth":"\([a-z_]*\)".*"path":"\([^"]*\)".*"status":\([0-9]*\).*/\1 \2 \3 \4 \5/p'
echo "one connection"
estape log --tape t --conn 2 --json | wc -l
estape log --tape t --who frank --json | wc -l
echo "the document's writer, and where that was told"
estape doc a/1 --tape t | sed -n 2p
estape show 3 --tape t | grep ^who
estape timeline --tape t | grep -A3 '^by who'
echo "no cookie on disk"
grep -l c00kie t/* ; echo $?
