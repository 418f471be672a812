tape t accident-os2191-a
for d in catalog catalog/ /p1 catalog/nobody nowhere/p1; do estape doc -t t "$d"; echo "status $?"; done
estape doc -t t; echo "status $?"
