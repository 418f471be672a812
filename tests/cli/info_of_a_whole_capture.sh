tape t accident-os2191-a
estape info -t t | grep -v '  size  '
