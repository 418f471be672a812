tape t accident-os2191-a
echo "log -n 0: $(estape log -t t -n 0 | wc -l) lines"
echo "log -n 1: $(estape log -t t -n 1 --gaps hide | wc -l) lines"
echo "log -n 0 --csv: $(estape log -t t -n 0 --csv | wc -l) lines"
timeout --preserve-status -s INT 1 "$ESTAPE" log -t t -n 0 -f; echo "followed to status $?"
estape prune -t t --bodies-older 0s --dry-run | sed 's/:.*//'
estape prune -t t --bodies-older 0 --dry-run | sed 's/:.*//'
estape prune -t t --max-size 0; echo "status $?"
estape prune -t t; echo "status $?"
