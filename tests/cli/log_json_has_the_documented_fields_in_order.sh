tape t accident-os2191-a
estape log --tape t --json --after 1271 --before 1273
estape log --tape t --json -n 2
