tape t accident-os2191-a.mid accident-os2191-a.loss1
estape info -t t | grep -v '  size  '
