tape t elasticdump-from-os2
estape log --tape t
