tape t accident-os2191-a
estape show -t t 15
estape show -t t 15 --json
