tape t accident-os2191-a
estape log --tape t --csv --destructive
