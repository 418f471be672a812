tape t accident-os2191-a.loss1
estape log -t t --until 2026-11-23T04:39:44.3Z
estape log -t t --gaps only | head -4
estape log -t t --gaps only --json | head -2
estape log -t t --gaps hide | grep -c 'not seen'
