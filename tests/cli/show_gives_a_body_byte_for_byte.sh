tape t accident-os2191-a
estape show -t t --request 2 | wc -lc
estape show -t t --request 2 | head -2
estape show -t t --response 2 | head -c 100
echo
estape show -t t --request 1272 | wc -c
