tape t accident-os2191-a
for columns in 80 60; do
    echo "== $columns"
    LC_ALL=C.UTF-8 COLUMNS=$columns script -qec "$ESTAPE log -n 25 -t t --color never" /dev/null | tr -d '\r'
    echo "== dangerous, $columns"
    LC_ALL=C.UTF-8 COLUMNS=$columns script -qec "$ESTAPE log --destructive -t t --color never" /dev/null | tr -d '\r'
done
# Nothing that tells what happened is cut: every status of the file stands in a line of the terminal.
"$ESTAPE" log -t t --json | grep -c '"status":[1-5]'
COLUMNS=80 LC_ALL=C.UTF-8 script -qec "$ESTAPE log -t t --color never --gaps hide" /dev/null | tr -d '\r' | grep -cE '[^0-9 ] +[1-5][0-9][0-9]( |$)'
