tape t accident-os2191-a
for columns in 40 80 200; do
    for c in timeline "log -n 20" "sql --file q"; do
        echo 'SELECT * FROM audit LIMIT 3' > q
        LC_ALL=C.UTF-8 COLUMNS=$columns script -qec "$ESTAPE $c -t t --color never" /dev/null | tr -d '\r' > screen
        widest=$(LC_ALL=C.UTF-8 wc -L < screen)
        [ "$widest" -le $columns ] && echo "$c fits $columns" || echo "$c is $widest wide, the terminal $columns"
    done
done
