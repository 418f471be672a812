tape t elasticdump-from-os2 js-es16-es6
set -- t/*.log.db
estape log -t t --json | wc -l
dd if=/dev/zero of="$1" bs=512 seek=1 count=40 conv=notrunc status=none
estape log -t t --json | wc -l
estape fsck -t t -q >/dev/null; echo "fsck $?"
