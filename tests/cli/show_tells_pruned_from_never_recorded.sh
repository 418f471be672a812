tape t elasticdump-from-os2 js-es16-es6
estape show -t t 9999; echo "status $?"
estape show -t t x12; echo "status $?"
estape show -t t --request 20 | wc -c
estape prune -t t --segment "$(basename t/*02.log.db .log.db)" --keep-log >/dev/null
estape show -t t --request 20; echo "status $?"
estape prune -t t --segment "$(basename t/*02.log.db .log.db)" >/dev/null
estape show -t t 20; echo "status $?"
id=$(estape sql -t t --json "SELECT min(id) FROM audit WHERE api='bulk'" | tr -dc 0-9)
rm t/*01.body.db
estape show -t t "$id" | grep 'body file'
estape show -t t --request "$id"; echo "status $?"
estape doc -t t "$(estape sql -t t --csv "SELECT \"index\" || '/' || id FROM ops LIMIT 1" | tail -1 | tr -d '\r')" 2>/dev/null | head -3
