// The SQL of every file of a tape. docs/tape-format.md explains each table; change both together.
#include "format.h"

// Microseconds since 1970 as RFC 3339, UTC.
#define TIME(us) "strftime('%Y-%m-%dT%H:%M:%S',(" us ")/1000000,'unixepoch')||printf('.%06dZ',(" us ")%1000000)"

// The numbers of an exchange's indices.
#define INDICES "CASE typeof(x.idx) WHEN 'integer' THEN (SELECT names FROM list WHERE id=x.idx) ELSE coalesce(x.idx,'[]') END"

#define ALONE "json_array_length(" INDICES ")=1"

const char format_log_sql[] =
    // One row: what this segment is.
    "CREATE TABLE segment(number INTEGER PRIMARY KEY, tape TEXT NOT NULL, name TEXT NOT NULL,"
    " start_us INTEGER NOT NULL,"      // x.t and bucket.lo, .hi count from here
    " first_us INTEGER, last_us INTEGER," // earliest and latest moment told by anything in here
    " next_id INTEGER NOT NULL,"       // exchange ids below are used up
    " first_x INTEGER, last_x INTEGER, rows INTEGER NOT NULL DEFAULT 0, ops INTEGER NOT NULL DEFAULT 0,"
    " sealed INTEGER NOT NULL DEFAULT 0," // 1: nothing is written any more
    " repaired INTEGER NOT NULL DEFAULT 0);" // 1: its recorder did not seal it

    // Dictionaries. A text may stand in several rows: find all of them.
    "CREATE TABLE name(id INTEGER PRIMARY KEY, text TEXT NOT NULL);"   // index names and expressions
    "CREATE TABLE word(id INTEGER PRIMARY KEY, text TEXT NOT NULL);"   // opaque ids that repeat
    "CREATE TABLE ip(id INTEGER PRIMARY KEY, text TEXT NOT NULL);"
    "CREATE TABLE who(id INTEGER PRIMARY KEY, principal TEXT, auth TEXT NOT NULL, run_as TEXT, forwarded_for TEXT,"
    " agent TEXT, realm TEXT);"
    "CREATE TABLE shape(id INTEGER PRIMARY KEY, verb TEXT, api TEXT, action TEXT, status INTEGER, outcome TEXT NOT NULL,"
    " reason TEXT, danger TEXT, flags INTEGER NOT NULL, server_version INTEGER NOT NULL);"
    "CREATE TABLE list(id INTEGER PRIMARY KEY, names TEXT NOT NULL);" // JSON array of numbers in name
    "CREATE TABLE path(id INTEGER PRIMARY KEY, head TEXT NOT NULL, tail TEXT NOT NULL);"
    "CREATE TABLE tally(id INTEGER PRIMARY KEY, docs INTEGER, docs_ok INTEGER, docs_failed INTEGER, docs_deleted INTEGER);"
    "CREATE TABLE call(id INTEGER PRIMARY KEY, who INTEGER NOT NULL, shape INTEGER NOT NULL, targets INTEGER NOT NULL,"
    " path INTEGER NOT NULL);"
    "CREATE TABLE conn(id INTEGER PRIMARY KEY, client INTEGER NOT NULL, client_port INTEGER NOT NULL,"
    " server INTEGER NOT NULL, server_port INTEGER NOT NULL);"

    // Exchanges.
    "CREATE TABLE x(id INTEGER PRIMARY KEY, t INTEGER NOT NULL, dur INTEGER, conn INTEGER, seq INTEGER, call INTEGER NOT NULL,"
    " var TEXT, oid, req INTEGER, resp INTEGER, req_bytes INTEGER, resp_bytes INTEGER, took INTEGER, tally INTEGER,"
    " hits INTEGER, idx);"
    "CREATE TABLE more(x INTEGER PRIMARY KEY, trace BLOB, task TEXT);"
    "CREATE TABLE split(x INTEGER NOT NULL, place INTEGER NOT NULL, ok INTEGER NOT NULL, failed INTEGER NOT NULL,"
    " deleted INTEGER NOT NULL, unknown INTEGER NOT NULL, PRIMARY KEY(x, place)) WITHOUT ROWID;"
    "CREATE TABLE part(x INTEGER NOT NULL, side INTEGER NOT NULL, n INTEGER NOT NULL, segment INTEGER, place INTEGER,"
    " hole INTEGER, flags INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(x, side, n)) WITHOUT ROWID;"
    "CREATE TABLE late(x INTEGER PRIMARY KEY, time_us INTEGER NOT NULL, outcome TEXT NOT NULL, reason TEXT, docs INTEGER,"
    " docs_ok INTEGER, docs_failed INTEGER, docs_deleted INTEGER);"

    // Ways in: which buckets of ids hold a call or a client, and when a bucket begins and ends.
    "CREATE TABLE seek(call INTEGER NOT NULL, bucket INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY(call, bucket))"
    " WITHOUT ROWID;"
    "CREATE TABLE seek_client(ip INTEGER NOT NULL, bucket INTEGER NOT NULL, PRIMARY KEY(ip, bucket)) WITHOUT ROWID;"
    "CREATE TABLE seek_name(name INTEGER NOT NULL, bucket INTEGER NOT NULL, PRIMARY KEY(name, bucket)) WITHOUT ROWID;"
    "CREATE TABLE bucket(id INTEGER PRIMARY KEY, lo INTEGER NOT NULL, hi INTEGER NOT NULL);"

    // Document writes.
    "CREATE TABLE op_block(id INTEGER PRIMARY KEY, first_x INTEGER NOT NULL, last_x INTEGER NOT NULL, n INTEGER NOT NULL,"
    " sum INTEGER NOT NULL, filter BLOB NOT NULL, data BLOB NOT NULL);"
    "CREATE TABLE op_name(name INTEGER NOT NULL, block INTEGER NOT NULL, PRIMARY KEY(name, block)) WITHOUT ROWID;"
    "CREATE TABLE op_alias(asked TEXT NOT NULL, name INTEGER NOT NULL, PRIMARY KEY(asked, name)) WITHOUT ROWID;"

    // What else was seen, or not.
    "CREATE TABLE life(id INTEGER PRIMARY KEY, time_us INTEGER NOT NULL, x INTEGER, name TEXT NOT NULL, uuid TEXT,"
    " born INTEGER NOT NULL, seen INTEGER NOT NULL);"
    "CREATE TABLE resolution(id INTEGER PRIMARY KEY, time_us INTEGER NOT NULL, name TEXT NOT NULL, target TEXT NOT NULL,"
    " kind TEXT NOT NULL);"
    "CREATE TABLE gap(id INTEGER PRIMARY KEY, from_us INTEGER NOT NULL, to_us INTEGER NOT NULL, cause TEXT NOT NULL,"
    " bytes INTEGER NOT NULL, packets INTEGER NOT NULL, client TEXT, client_port INTEGER, server TEXT, server_port INTEGER,"
    " side INTEGER NOT NULL, n INTEGER NOT NULL, rows_lost INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE alert(id INTEGER PRIMARY KEY, alert TEXT NOT NULL, x INTEGER, time_us INTEGER NOT NULL, rule TEXT NOT NULL,"
    " title TEXT, level TEXT NOT NULL, outcome INTEGER NOT NULL, json TEXT NOT NULL);"
    "CREATE TABLE opaque(kind TEXT NOT NULL, server TEXT NOT NULL, server_port INTEGER NOT NULL, client TEXT NOT NULL,"
    " conns INTEGER NOT NULL, first_us INTEGER NOT NULL, last_us INTEGER NOT NULL,"
    " PRIMARY KEY(kind, server, server_port, client)) WITHOUT ROWID;"
    // Connections that ended, by endpoints; server '' and client '': those in which neither a request nor an answer was ever found.
    "CREATE TABLE conns(server TEXT NOT NULL, server_port INTEGER NOT NULL, client TEXT NOT NULL, conns INTEGER NOT NULL,"
    " midstream INTEGER NOT NULL, only_client INTEGER NOT NULL, only_server INTEGER NOT NULL, reset INTEGER NOT NULL,"
    " idle INTEGER NOT NULL, evicted INTEGER NOT NULL, first_us INTEGER NOT NULL, last_us INTEGER NOT NULL,"
    " PRIMARY KEY(server, server_port, client)) WITHOUT ROWID;"
    "CREATE TABLE beat(time_us INTEGER PRIMARY KEY, packets INTEGER, bytes INTEGER, kernel_dropped INTEGER,"
    " interface_dropped INTEGER, gap_bytes INTEGER, gaps INTEGER, conns INTEGER, conns_midstream INTEGER,"
    " conns_one_sided INTEGER, requests INTEGER, responses INTEGER, orphans INTEGER, truncated INTEGER,"
    " unparsed_bytes INTEGER, overlaps_conflicting INTEGER, undecodable INTEGER);"
    // Written when the segment is sealed: exchanges by api, danger, outcome, verb, principal; write '0' and '1'.
    "CREATE TABLE summary(what TEXT NOT NULL, word TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY(what, word)) WITHOUT ROWID;"

    "CREATE VIEW audit AS SELECT x.id AS id, " TIME("s.start_us+x.t") " AS time,"
    " CASE WHEN x.dur IS NOT NULL THEN " TIME("s.start_us+x.t+x.dur") " END AS answered,"
    " ci.text AS client_ip, n.client_port AS client_port, si.text AS server_ip, n.server_port AS server_port,"
    " w.principal AS principal, w.auth AS auth, w.run_as AS run_as, w.forwarded_for AS forwarded_for, w.agent AS agent,"
    " CASE typeof(x.oid) WHEN 'integer' THEN (SELECT text FROM word WHERE id=x.oid) ELSE x.oid END AS opaque_id,"
    " h.verb AS verb, p.head||coalesce(x.var,'')||p.tail AS path, h.api AS api, h.action AS action,"
    " (SELECT json_group_array(m.text) FROM list o CROSS JOIN json_each(o.names) e CROSS JOIN name m ON m.id=e.value"
    " WHERE o.id=c.targets) AS targets,"
    " (SELECT json_group_array(m.text) FROM json_each(" INDICES ") e CROSS JOIN name m ON m.id=abs(e.value)) AS indices,"
    " h.status AS status, coalesce(l.outcome,h.outcome) AS outcome,"
    " CASE WHEN l.x IS NULL THEN h.reason ELSE l.reason END AS reason,"
    " coalesce(l.docs,y.docs) AS docs, coalesce(l.docs_ok,y.docs_ok) AS docs_ok,"
    " coalesce(l.docs_failed,y.docs_failed) AS docs_failed, coalesce(l.docs_deleted,y.docs_deleted) AS docs_deleted,"
    " x.took AS took_ms, x.dur/1000.0 AS duration_ms, x.req_bytes AS request_bytes, x.resp_bytes AS response_bytes,"
    " (h.flags>>1)&1 AS truncated, h.flags&1 AS \"write\", h.danger AS destructive"
    " FROM segment s CROSS JOIN x JOIN call c ON c.id=x.call JOIN shape h ON h.id=c.shape JOIN who w ON w.id=c.who"
    " JOIN path p ON p.id=c.path LEFT JOIN conn n ON n.id=x.conn"
    " LEFT JOIN ip ci ON ci.id=n.client LEFT JOIN ip si ON si.id=n.server LEFT JOIN tally y ON y.id=x.tally"
    " LEFT JOIN late l ON l.x=x.id;"
    // Exchange and index, with document counts by result.
    "CREATE VIEW writes AS SELECT x.id AS id, " TIME("s.start_us+x.t") " AS time, w.principal AS principal, h.api AS api,"
    " m.text AS \"index\", e.value>0 AS concrete,"
    " CASE WHEN z.x IS NOT NULL THEN z.ok WHEN " ALONE " THEN max(0,coalesce(y.docs_ok,0)) ELSE 0 END AS ok,"
    " CASE WHEN z.x IS NOT NULL THEN z.failed WHEN " ALONE " THEN max(0,coalesce(y.docs_failed,0)) ELSE 0 END AS failed,"
    " CASE WHEN z.x IS NOT NULL THEN z.deleted WHEN " ALONE " THEN max(0,coalesce(y.docs_deleted,0)) ELSE 0 END AS deleted,"
    " CASE WHEN z.x IS NOT NULL THEN z.unknown ELSE 0 END AS unknown"
    " FROM segment s CROSS JOIN x JOIN call c ON c.id=x.call JOIN shape h ON h.id=c.shape AND h.flags&1"
    " JOIN who w ON w.id=c.who CROSS JOIN json_each(" INDICES ") e CROSS JOIN name m ON m.id=abs(e.value)"
    " LEFT JOIN split z ON z.x=x.id AND z.place=e.key LEFT JOIN tally y ON y.id=x.tally;"
    "CREATE VIEW gaps AS SELECT " TIME("from_us") " AS \"from\", " TIME("to_us") " AS \"to\", cause, bytes, packets,"
    " client, client_port, server, server_port, CASE side WHEN 0 THEN 'client' WHEN 1 THEN 'server' END AS side,"
    " n AS count, rows_lost FROM gap;"
    "CREATE VIEW alerts AS SELECT alert AS id, " TIME("time_us") " AS time, level, rule, title, x AS exchange,"
    " outcome AS second_word, json FROM alert;"
    "CREATE VIEW ops AS SELECT id AS block, first_x AS first_exchange, last_x AS last_exchange, n AS ops,"
    " length(filter)+length(data) AS bytes FROM op_block;";

const char format_body_sql[] =
    "CREATE TABLE segment(number INTEGER PRIMARY KEY, tape TEXT NOT NULL, name TEXT NOT NULL, synced INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE block(id INTEGER PRIMARY KEY, size INTEGER NOT NULL," // decoded bytes
    " sum INTEGER NOT NULL, dir BLOB NOT NULL, data BLOB," // NULL: in NAME.body.dat
    " at INTEGER, bytes INTEGER);";

// Rows of format_covers, as JSON arrays; what '' says that all of the segment's are here.
#define COVERAGE \
    "CREATE TABLE IF NOT EXISTS coverage(segment INTEGER NOT NULL, what TEXT NOT NULL, n INTEGER NOT NULL, row TEXT NOT NULL," \
    " PRIMARY KEY(segment, what, n)) WITHOUT ROWID;"

const char format_tape_more_sql[] = COVERAGE;

const char format_tape_sql[] =
    "CREATE TABLE tape(id TEXT PRIMARY KEY, created_us INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO tape VALUES(lower(hex(randomblob(16))), CAST((julianday('now')-2440587.5)*86400000000 AS INTEGER));"
    "CREATE TABLE segment(number INTEGER PRIMARY KEY, name TEXT NOT NULL, start_us INTEGER NOT NULL, first_us INTEGER,"
    " last_us INTEGER, next_id INTEGER, first_x INTEGER, last_x INTEGER, rows INTEGER, ops INTEGER, gaps INTEGER,"
    " alerts INTEGER, log_bytes INTEGER, body_bytes INTEGER,"
    " sealed INTEGER NOT NULL DEFAULT 0, repaired INTEGER NOT NULL DEFAULT 0,"
    " body_gone_us INTEGER, body_gone_why TEXT," // tombstones: the file was dropped then, on purpose
    " log_gone_us INTEGER, log_gone_why TEXT);"
    "CREATE TABLE summary(segment INTEGER NOT NULL, what TEXT NOT NULL, word TEXT NOT NULL, n INTEGER NOT NULL,"
    " PRIMARY KEY(segment, what, word)) WITHOUT ROWID;"
    COVERAGE
    // What alerts learnt. kind: begin, actor and writer (word: a hash), index (word: its name; docs NULL: not known).
    "CREATE TABLE usual(kind TEXT NOT NULL, word TEXT NOT NULL, first_us INTEGER NOT NULL, last_us INTEGER NOT NULL,"
    " writes INTEGER NOT NULL, by_hand INTEGER NOT NULL, docs INTEGER, PRIMARY KEY(kind, word)) WITHOUT ROWID;";

const struct format_cover_query format_covers[COVERS] = {
    // Times without a recorder one by one, everything else in sums by cause and endpoints.
    [COVER_GAPS] = {"gap", 11,
        "SELECT min(from_us),max(to_us),cause,sum(bytes),sum(packets),client,server,server_port,sum(n),sum(rows_lost),sum(max(to_us-from_us,0))"
        " FROM gap GROUP BY cause,client,server,server_port,CASE cause WHEN 'not_recording' THEN id END"},
    [COVER_CONNS] = {"conns", 7, "SELECT server,server_port,client,conns,midstream,only_client,only_server FROM conns"},
    [COVER_OPAQUE] = {"opaque", 7, "SELECT kind,server,server_port,client,conns,first_us,last_us FROM opaque"},
    // Counters grow through a segment, which belongs to one run of a recorder: its first and its last ones tell all.
    [COVER_BEATS] = {"beat", 9,
        "SELECT packets,bytes,kernel_dropped,interface_dropped,orphans,unparsed_bytes,overlaps_conflicting,undecodable,time_us"
        " FROM beat WHERE time_us IN (SELECT min(time_us) FROM beat UNION SELECT max(time_us) FROM beat) ORDER BY time_us"},
    // Shapes with a rare flag are few: their calls are sought one by one.
    [COVER_FLAGS] = {"flag", 2,
        "SELECT h.flags,coalesce((SELECT sum(s.n) FROM call c JOIN seek s ON s.call=c.id WHERE c.shape=h.id),0) FROM shape h"
        " WHERE h.flags&(2|4|8|16|256|512)"},
};

const char format_alerts_sql[] =
    "CREATE TABLE cursor(sink TEXT PRIMARY KEY, segment INTEGER NOT NULL, alert INTEGER NOT NULL) WITHOUT ROWID;"
    // state: queued, sent, failed (will be tried again), dead
    "CREATE TABLE delivery(sink TEXT NOT NULL, segment INTEGER NOT NULL, alert INTEGER NOT NULL, id TEXT NOT NULL,"
    " state TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0, next_us INTEGER, last_us INTEGER, why TEXT,"
    " PRIMARY KEY(sink, segment, alert)) WITHOUT ROWID;"
    "CREATE INDEX delivery_id ON delivery(id);"
    "CREATE TABLE mark(id TEXT PRIMARY KEY, acked_us INTEGER, acked_by TEXT, acked_why TEXT) WITHOUT ROWID;"
    // what: a rule, or an alert's id
    "CREATE TABLE mute(what TEXT PRIMARY KEY, since_us INTEGER NOT NULL, until_us INTEGER, by TEXT, why TEXT) WITHOUT ROWID;";

const char format_journal_sql[] =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    // One row per document and epoch of a replay: how far it came on the target. state: enum journal_state.
    "CREATE TABLE doc(key INTEGER PRIMARY KEY, state INTEGER NOT NULL, seq_no, primary_term, version, steps INTEGER NOT NULL) WITHOUT ROWID;"
    // What was noted since `doc` was last written: packed records, in order.
    "CREATE TABLE log(n INTEGER PRIMARY KEY, data BLOB NOT NULL);";
