tape t elasticdump-from-os2
escapes() { grep -c "$(printf '\033')" ; }
estape log -t t | escapes
estape log -t t --color always | escapes
COLUMNS=100 script -qec "$ESTAPE log -t t" /dev/null | escapes
NO_COLOR=1 COLUMNS=100 script -qec "$ESTAPE log -t t" /dev/null | escapes
TERM=dumb COLUMNS=100 script -qec "$ESTAPE log -t t" /dev/null | escapes
