tape t accident-os2191-a
estape timeline -t t --around 1272 --span 3s --bucket 200ms
estape timeline -t t --around 1272 --span 2s --bucket 1s --json
