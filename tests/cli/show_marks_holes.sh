tape t accident-os2191-a.loss1
id=$(estape sql -t t --json "SELECT id FROM audit WHERE truncated AND api='bulk' UNION ALL SELECT id FROM audit WHERE truncated LIMIT 1" | tr -dc 0-9)
estape show -t t "$id"
estape show -t t --request "$id" >body; echo "status $?"
