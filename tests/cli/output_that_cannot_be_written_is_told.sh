tape t elasticdump-from-os2
echo 'SELECT * FROM audit' > q
for c in log "log --json" "log --csv" info timeline "show 1" "sql --file q"; do
    estape $c -t t >/dev/full; echo "status $?"
done
