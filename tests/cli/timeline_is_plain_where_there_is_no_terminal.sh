tape t accident-os2191-a
estape timeline -t t
tape gaps accident-os2191-a.loss1
estape timeline -t gaps | grep 'not seen'
