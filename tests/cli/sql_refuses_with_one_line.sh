tape t elasticdump-from-os2
for s in "SELEC 1" "SELECT nope FROM audit" "SELECT * FROM nope" "DELETE FROM audit" "ATTACH 'x' AS y" "PRAGMA user_version=3" "SELECT 1; SELECT 2" "" "CREATE TABLE a(b)" "SELECT load_extension('x')"; do
    estape sql -t t "$s"; echo "status $?"
done
ls
