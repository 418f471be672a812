tape t accident-os2191-a
n() { echo "$(estape log --tape t --json "$@" | wc -l)  $*"; }
n
n --who alice
n --who 'a*' --verb get
n --who alice --who backup
n --index catalog_restored
n --index 'cat*' --writes
n --api 'indices.*'
n --status 4xx
n --status 404 --status none
n --status 200-299 --api bulk
n --outcome unanswered
n --outcome failed --outcome partial
n --danger 'index.*'
n --destructive
n --client 127.0.0.0/8
n --client 10.0.0.0/8
n --client '127.*' --agent 'Postman*'
n --grep CATALOG/_doc/p509
n --since 2026-11-23T04:40:30Z
n --since 2026-11-23T04:40:30Z --until 2026-11-23T04:40:31Z
n --conn 1272
n --before 1272
n --after 1272
n -n 7
