tape t accident-os2191-a
estape show -t t 1272
