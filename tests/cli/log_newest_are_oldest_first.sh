tape t accident-os2191-a
estape log --tape t -n 3
estape log -t t -n 2 --who alice
