tape t elasticdump-from-os2
estape fsck -t t | sed 's/, [0-9.]* KiB//'
