tape node1 accident-os2191-a
tape node2 accident-os2191-a.clients
estape log -t node2 --json --outcome unknown | wc -l
estape log -t node1 -t node2 --json | wc -l
estape log -t node1 -t node2 --json --outcome unknown | wc -l
estape log -t node1 -t node2 --destructive
estape show -t node1 -t node2 1272
estape show -t node1 -t node2 node1:1272 | head -3
estape show -t node1 -t node2 node1:1 node2:1 | grep "also seen"
estape show -t node1 -t node2 --json node1:1272 | jq -c '[.id, .also, [.alerts[].rule]]'
mv node2 "node's 2"
estape show -t node1 -t "node's 2" --json "node's 2:1" | jq -c '[.id, .also]'
