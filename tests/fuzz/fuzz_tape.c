// Fuzzes tapes: a small sound tape is damaged as the input says, then commands read it: no crash, an exit status that exists.
//
// Input: byte 0 chooses the command; then changes, each an operation byte:
//   0 FILE OFFSET(2) N BYTES   overwrites bytes of a file
//   1 FILE SIZE(2)             cuts a file
//   2 TABLE COLUMN ROW N BYTES sets a cell of the log to a text, a blob, or a number (of 8 bytes)
//   3 OFFSET(2) N BYTES        overwrites bytes inside the packed block of document writes, packed and summed again
//   4 OFFSET(2) N BYTES        the same inside a block of bodies; 5: in such a block's directory
// The tape lies in memory (/dev/shm where there is one).
#include "src/base/buf.h"
#include "src/cmd/cmd.h"
#include "src/cmd/help.h"
#include "src/tape/block.h"
#include "src/tape/oplog.h"

#include <dirent.h>
#include <fcntl.h>
#include <sanitizer/common_interface_defs.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

enum { FILES_MAX = 8 };

static char dir[64];
static struct file {
    char path[400];
    struct buf bytes;
} files[FILES_MAX];
static size_t file_count;
static int null_fd, error_fd;

static const struct command *const commands[] = {
    &cmd_record, &cmd_log, &cmd_show, &cmd_info, &cmd_sql, &cmd_doc, &cmd_timeline, &cmd_fsck, &cmd_prune, &cmd_alerts, &cmd_replay, &cmd_check, &cmd_export,
};

static const char *const lines[][8] = {
    {"info"}, {"info", "--json"}, {"log", "--json"}, {"log", "--gaps", "only"}, {"log", "-n", "3", "--who", "a*"}, {"log", "--index", "catalog"}, {"log", "--destructive", "--csv"},
    {"show", "1"}, {"show", "2"}, {"show", "3", "--json"}, {"show", "5"}, {"fsck"}, {"check"}, {"check", "--json"}, {"sql", "SELECT * FROM audit"},
    {"sql", "SELECT * FROM gaps"}, {"sql", "--json", "SELECT * FROM alerts"}, {"sql", "SELECT * FROM ops"}, {"doc", "catalog/1"}, {"doc", "catalog/2", "--json"},
    {"timeline"}, {"timeline", "--around", "3"}, {"alerts"}, {"alerts", "--json"}, {"export", "--index", "catalog", "--docs", "/dev/null"},
    {"replay", "--dry-run", "--index", "catalog", "--json"}, {"replay", "--dry-run", "--skip", "5", "--map", "catalog=other"}, {"prune", "--bodies-older", "0s", "--yes"},
};

static void must(bool ok)
{
    if (!ok)
        abort();
}

static int command(const char *const *words)
{
    char *argv[12] = {"estape"};
    int argc = 1;
    for (; words[argc - 1]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    argv[argc++] = "--tape";
    argv[argc++] = dir;
    fflush(stdout);
    dup2(null_fd, STDERR_FILENO);
    int status = help_main(commands, sizeof commands / sizeof *commands, argc, argv);
    dup2(error_fd, STDERR_FILENO);
    return status;
}

// ---- a tape to begin with -------------------------------------------------------------------------------------------

static void add_packet(struct buf *to, int side, uint32_t seq[2], unsigned flags, struct bytes data)
{
    static uint32_t ticks;
    uint32_t frame = (uint32_t)(14 + 40 + data.size), head[4] = {1764000000, ticks += 1000, frame, frame};
    uint8_t packet[54] = {[12] = 8, [14] = 0x45, [22] = 64, [23] = 6, [26] = 10, [29] = 1, [30] = 10, [33] = 2, [46] = 0x50};
    packet[16] = (uint8_t)((40 + data.size) >> 8), packet[17] = (uint8_t)(40 + data.size);
    packet[29] = side ? 2 : 1, packet[33] = side ? 1 : 2;
    unsigned ports[2] = {40000, 9200};
    packet[34] = (uint8_t)(ports[side] >> 8), packet[35] = (uint8_t)ports[side];
    packet[36] = (uint8_t)(ports[!side] >> 8), packet[37] = (uint8_t)ports[!side];
    for (int i = 0; i < 4; i++) {
        packet[38 + i] = (uint8_t)(seq[side] >> (24 - 8 * i));
        packet[42 + i] = (uint8_t)(seq[!side] >> (24 - 8 * i));
    }
    packet[47] = (uint8_t)flags;
    seq[side] += (uint32_t)data.size + (flags & 3 ? 1 : 0);
    buf_add(to, head, sizeof head);
    buf_add(to, packet, sizeof packet);
    buf_add(to, data.at, data.size);
}

static void say(struct buf *to, uint32_t seq[2], const char *line, const char *body, const char *status, const char *answer)
{
    struct buf text = {0};
    buf_format(&text, "%s HTTP/1.1\r\nAuthorization: Basic YWxpY2U6eA==\r\nX-Opaque-Id: o\r\nContent-Length: %zu\r\n\r\n%s", line, strlen(body), body);
    add_packet(to, 0, seq, 0x18, buf_view(&text));
    buf_clear(&text);
    if (answer) {
        buf_format(&text, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", status, strlen(answer), answer);
        add_packet(to, 1, seq, 0x18, buf_view(&text));
    }
    buf_fini(&text);
}

static void make_capture(struct buf *to)
{
    static const uint32_t head[6] = {0xa1b2c3d4, 4 << 16 | 2, 0, 0, 262144, 1};
    uint32_t seq[2] = {1000, 5000};
    buf_add(to, head, sizeof head);
    add_packet(to, 0, seq, 2, (struct bytes){0});
    add_packet(to, 1, seq, 0x12, (struct bytes){0});
    say(to, seq, "PUT /catalog", "{\"settings\":{}}", "200 OK", "{\"acknowledged\":true,\"shards_acknowledged\":true,\"index\":\"catalog\"}");
    say(to, seq, "PUT /catalog/_doc/1?routing=a", "{\"n\":1}", "201 Created",
        "{\"_index\":\"catalog\",\"_id\":\"1\",\"_version\":1,\"result\":\"created\",\"_seq_no\":0,\"_primary_term\":1}");
    say(to, seq, "POST /_bulk", "{\"index\":{\"_index\":\"catalog\",\"_id\":\"2\"}}\n{\"n\":2}\n{\"update\":{\"_index\":\"catalog\",\"_id\":\"1\"}}\n{\"doc\":{\"m\":3}}\n{\"delete\":{\"_index\":\"catalog\",\"_id\":\"9\"}}\n", "200 OK",
        "{\"took\":3,\"errors\":true,\"items\":[{\"index\":{\"_index\":\"catalog\",\"_id\":\"2\",\"_version\":1,\"result\":\"created\",\"_seq_no\":1,\"_primary_term\":1,\"status\":201}},"
        "{\"update\":{\"_index\":\"catalog\",\"_id\":\"1\",\"_version\":2,\"result\":\"updated\",\"_seq_no\":2,\"_primary_term\":1,\"status\":200}},"
        "{\"delete\":{\"_index\":\"catalog\",\"_id\":\"9\",\"_version\":1,\"result\":\"not_found\",\"_seq_no\":3,\"_primary_term\":1,\"status\":404}}]}");
    say(to, seq, "GET /catalog/_search?q=x", "", "200 OK", "{\"took\":1,\"hits\":{\"total\":{\"value\":2},\"hits\":[]}}");
    say(to, seq, "DELETE /catalog", "", "200 OK", "{\"acknowledged\":true}");
    seq[0] += 500; // a hole
    say(to, seq, "PUT /catalog/_doc/3", "{\"n\":3}", "201 Created",
        "{\"_index\":\"catalog\",\"_id\":\"3\",\"_version\":1,\"result\":\"created\",\"_seq_no\":0,\"_primary_term\":1}");
    say(to, seq, "POST /catalog/_delete_by_query", "{\"query\":{\"match_all\":{}}}", "200 OK", NULL);
    add_packet(to, 0, seq, 0x11, (struct bytes){0});
}

static void remember(const char *name)
{
    struct file *f = &files[file_count++];
    uint8_t block[4096];
    snprintf(f->path, sizeof f->path, "%s/%s", dir, name);
    int fd = open(f->path, O_RDONLY);
    for (ssize_t n; (n = read(fd, block, sizeof block)) > 0;)
        buf_add(&f->bytes, block, (size_t)n);
    close(fd);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp(strchr((*a)->d_name, '.'), strchr((*b)->d_name, '.')); // body, log, then tape.db: by what they are
}

static int is_file(const struct dirent *d)
{
    return d->d_name[0] != '.' && strchr(d->d_name, '.') != NULL;
}

static void clear(bool all)
{
    DIR *d = opendir(dir);
    char path[400];
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (e->d_name[0] != '.')
            unlink(path);
    }
    if (d)
        closedir(d);
    if (all)
        rmdir(dir);
}

static void end(void)
{
    clear(true);
}

static void begin(void)
{
    struct buf capture = {0};
    struct dirent **names = NULL;
    char path[64];
    snprintf(dir, sizeof dir, "%s/estape-fuzz-%ld", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (long)getpid());
    null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    error_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
    __sanitizer_set_report_fd((void *)(intptr_t)error_fd);
    must(dup2(null_fd, STDOUT_FILENO) == STDOUT_FILENO);
    make_capture(&capture);
    int fd = memfd_create("capture", 0);
    must(write(fd, capture.at, capture.size) == (ssize_t)capture.size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    must(command((const char *const[]){"record", "-q", "--rules", "none", "-r", path, NULL}) == 0);
    close(fd);
    buf_fini(&capture);
    int count = scandir(dir, &names, is_file, by_name);
    for (int i = 0; i < count && i < FILES_MAX; i++) {
        remember(names[i]->d_name);
        free(names[i]);
    }
    free(names);
    must(file_count >= 3);
    atexit(end);
}

static void restore(void)
{
    clear(false);
    mkdir(dir, 0700);
    for (size_t i = 0; i < file_count; i++) {
        int fd = open(files[i].path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        must(fd >= 0 && write(fd, files[i].bytes.at, files[i].bytes.size) == (ssize_t)files[i].bytes.size);
        close(fd);
    }
}

// ---- changes --------------------------------------------------------------------------------------------------------

struct input {
    const uint8_t *at;
    size_t left;
};

static unsigned take(struct input *in, int bytes)
{
    unsigned v = 0;
    for (; bytes && in->left; bytes--, in->at++, in->left--)
        v = v << 8 | *in->at;
    return v;
}

static struct bytes take_text(struct input *in)
{
    size_t n = take(in, 1);
    n = n < in->left ? n : in->left;
    struct bytes text = bytes_of(in->at, n);
    in->at += n;
    in->left -= n;
    return text;
}

static const char *path_of(const char *end)
{
    for (size_t i = 0; i < file_count; i++)
        if (strstr(files[i].path, end))
            return files[i].path;
    return "";
}

static void overwrite(struct input *in)
{
    const struct file *f = &files[take(in, 1) % file_count];
    unsigned offset = take(in, 2);
    struct bytes text = take_text(in);
    int fd = open(f->path, O_WRONLY);
    if (fd >= 0 && pwrite(fd, text.at, text.size, f->bytes.size ? offset % f->bytes.size : 0) >= 0)
        close(fd);
}

static void cut(struct input *in)
{
    const struct file *f = &files[take(in, 1) % file_count];
    must(truncate(f->path, (off_t)(take(in, 2) % (f->bytes.size + 1))) == 0);
}

static sqlite3 *open_db(const char *end)
{
    sqlite3 *db = NULL;
    if (sqlite3_open_v2(path_of(end), &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
        sqlite3_close(db);
        return NULL;
    }
    sqlite3_exec(db, "PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF", NULL, NULL, NULL);
    return db;
}

static bool ask(sqlite3 *db, const char *sql, int number, char *out, size_t room)
{
    sqlite3_stmt *s = NULL;
    bool found = false;
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK) {
        sqlite3_bind_int(s, 1, number);
        found = sqlite3_step(s) == SQLITE_ROW;
        if (found)
            snprintf(out, room, "%s", (const char *)sqlite3_column_text(s, 0));
    }
    sqlite3_finalize(s);
    return found;
}

static void set_cell(struct input *in)
{
    unsigned table = take(in, 1), column = take(in, 1), row = take(in, 1);
    struct bytes text = take_text(in);
    char name[64], field[64], sql[400];
    sqlite3 *db = open_db(row & 128 ? "tape.db" : ".log.db");
    snprintf(sql, sizeof sql, "SELECT name FROM sqlite_schema WHERE type='table' LIMIT 1 OFFSET ?1 %% (SELECT count(*) FROM sqlite_schema WHERE type='table')");
    if (db && ask(db, sql, (int)table, name, sizeof name)) {
        snprintf(sql, sizeof sql, "SELECT name FROM pragma_table_info('%s') LIMIT 1 OFFSET ?1 %% (SELECT count(*) FROM pragma_table_info('%s'))", name, name);
        if (ask(db, sql, (int)column, field, sizeof field)) {
            sqlite3_stmt *s = NULL;
            snprintf(sql, sizeof sql, "UPDATE OR IGNORE \"%s\" SET \"%s\"=?1 WHERE (SELECT count(*) FROM \"%s\") < 2 OR ?2=0 OR rowid=?2", name, field, name);
            if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK) {
                snprintf(sql, sizeof sql, "UPDATE OR IGNORE \"%s\" SET \"%s\"=?1", name, field);
                sqlite3_prepare_v2(db, sql, -1, &s, NULL);
            }
            int64_t number = 0;
            memcpy(&number, text.at, text.size < 8 ? text.size : 8);
            if (text.size == 8)
                sqlite3_bind_int64(s, 1, number);
            else if (row & 64)
                sqlite3_bind_blob(s, 1, text.at, (int)text.size, SQLITE_TRANSIENT);
            else
                sqlite3_bind_text(s, 1, (const char *)text.at, (int)text.size, SQLITE_TRANSIENT);
            sqlite3_bind_int(s, 2, (int)(row & 63));
            sqlite3_step(s);
            sqlite3_finalize(s);
        }
    }
    sqlite3_close(db);
}

static void patch(uint8_t *at, size_t size, unsigned offset, struct bytes text)
{
    for (size_t i = 0; size && i < text.size && offset % size + i < size; i++)
        at[offset % size + i] = text.at[i];
}

// Changes bytes inside a zstd frame: `head` bytes before it stay.
static bool repack(struct buf *block, size_t head, unsigned offset, struct bytes text)
{
    static uint8_t raw[1 << 18], packed[1 << 19];
    if (!block->size || block->size < head)
        return false;
    size_t size = ZSTD_decompress(raw, sizeof raw, block->at + head, block->size - head);
    if (ZSTD_isError(size))
        return false;
    patch(raw, size, offset, text);
    size_t now = ZSTD_compress(packed, sizeof packed, raw, size, 1);
    block->size = head;
    buf_add(block, packed, now);
    return !ZSTD_isError(now) && !block->failed;
}

static void change_block(struct input *in, unsigned what)
{
    unsigned offset = take(in, 2);
    struct bytes text = take_text(in);
    sqlite3 *db = open_db(what == 3 ? ".log.db" : ".body.db");
    sqlite3_stmt *s = NULL;
    struct buf a = {0}, b = {0}; // filter or directory; data
    if (db && sqlite3_prepare_v2(db, what == 3 ? "SELECT filter,data FROM op_block WHERE id=(SELECT min(id) FROM op_block)" : "SELECT dir,data FROM block WHERE id=(SELECT min(id) FROM block)",
                                 -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW) {
        buf_add(&a, sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0));
        buf_add(&b, sqlite3_column_blob(s, 1), (size_t)sqlite3_column_bytes(s, 1));
        sqlite3_finalize(s);
        s = NULL;
        bool ok = true;
        if (what == 5)
            patch(a.at, a.size, offset, text);
        else
            ok = repack(&b, what == 3 ? 2 : 0, offset, text);
        const char *sql = what == 3 ? "UPDATE op_block SET sum=?1, filter=?2, data=?3 WHERE id=(SELECT min(id) FROM op_block)" : "UPDATE block SET sum=?1, dir=?2, data=?3 WHERE id=(SELECT min(id) FROM block)";
        if (ok && sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK) {
            sqlite3_bind_int64(s, 1, (int64_t)(what == 3 ? oplog_sum(buf_view(&b), buf_view(&a)) : block_sum(buf_view(&a), buf_view(&b))));
            sqlite3_bind_blob(s, 2, a.at, (int)a.size, SQLITE_TRANSIENT);
            sqlite3_bind_blob(s, 3, b.at, (int)b.size, SQLITE_TRANSIENT);
            sqlite3_step(s);
        }
    }
    sqlite3_finalize(s);
    sqlite3_close(db);
    buf_fini(&a);
    buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    if (!file_count)
        begin();
    unsigned which = take(&in, 1) % (sizeof lines / sizeof *lines);
    restore();
    for (int n = 0; in.left && n < 16; n++) {
        unsigned what = take(&in, 1) % 6;
        if (what == 0)
            overwrite(&in);
        else if (what == 1)
            cut(&in);
        else if (what == 2)
            set_cell(&in);
        else
            change_block(&in, what);
    }
    int status = command(lines[which]);
    must(status >= 0 && status <= 3);
    return 0;
}
