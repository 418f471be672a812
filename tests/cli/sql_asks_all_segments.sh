tape t elasticdump-from-os2 js-es16-es6
estape sql -t t "SELECT principal, count(*) AS n, sum(docs) FROM audit GROUP BY 1 ORDER BY n DESC"
estape sql -t t --csv "SELECT id, verb, path FROM audit WHERE api='search' ORDER BY time LIMIT 3"
estape sql -t t --json "SELECT number, exchanges, ops, sealed, state, bodies FROM segments"
estape sql -t t "SELECT count(*) FROM ops WHERE \"index\"='js'"
estape sql -t t "SELECT * FROM audit WHERE 0"
