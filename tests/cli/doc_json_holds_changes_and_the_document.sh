tape t accident-os2191-a
estape doc -t t catalog/p10 --json
