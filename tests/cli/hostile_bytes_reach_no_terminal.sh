cat > hostile.talk <<'T'
open
C> "GET /a\xe2\x80\xaeb/_doc/\xc2\x9b31m HTTP/1.1\r\nHost: es\r\nUser-Agent: x\x1b]0;owned\x07\x1b[31m\xff\r\nX-Opaque-Id: \xe2\x80\x8b\r\n\r\n"
S> http
  HTTP/1.1 200 OK
  Content-Type: application/json
  Content-Length: *

  {"_id":"1","found":true}
let body = "{\"k\":\"\xc2\x9b\xe2\x80\xae\\u001b[31m\"}"
C> "POST /a/_doc/2 HTTP/1.1\r\nHost: es\r\nContent-Type: application/json\r\nContent-Length: " size($body) "\r\n\r\n" $body
S> http
  HTTP/1.1 201 Created
  Content-Type: application/json
  Content-Length: *

  {"_index":"a","_id":"2","_version":1,"result":"created","_seq_no":0,"_primary_term":1}
close
T
"$CASES/../../tools/talk2pcap" hostile.talk -o hostile.pcap || exit 99
estape record -q -r hostile.pcap --tape t
harmless() { # no control characters but line feeds, no C1, no bidi controls
    LC_ALL=C grep -acP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\x8b-\x8f\xaa-\xae]' "$1"
}
echo 'SELECT * FROM audit' > q
for c in log "log --json" "show 1" "show 2" "show 2 --json" "doc a/2" "doc a/2 --json" timeline info "sql --file q" "sql --file q --json"; do
    estape $c -t t > out 2>&1
    echo "$(harmless out)  $c"
done
estape log -t t --gaps hide
