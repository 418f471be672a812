tape t accident-os2191-a
estape log -t t | head -1
estape log -t t --json | head -c 10
