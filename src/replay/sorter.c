// Sorts records of any size in bounded memory.
//
// Flow: add -> memory block -> (full) sort, write as a run -> finish: sort the rest -> next: k-way merge of runs.
// A record begins with 64 bits that order before anything else: they are sorted by radix, and only equals are compared.
// Invariants: 1. records never exceed memory_bytes in memory, one record aside. 2. equal records keep the order of adding.
// 3. the run file has no name from the moment it exists: nothing is left behind by a crash.
#include "sorter.h"

#include "../base/diag.h"
#include "../base/file.h"
#include "../base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { RECORD_ALIGN = 8, READ_BYTES_MIN = 64 * 1024 };

struct entry {
    uint64_t key;        // the record's first bytes
    uint32_t at;         // in the block, in units of RECORD_ALIGN
};

struct run {
    uint64_t from, to;   // byte range in the file
    uint64_t read_at;    // next byte to read
    uint8_t *buf;
    size_t at, size, room;
    const uint8_t *head; // current record's payload, NULL at the end
    size_t head_size;
};

struct sorter {
    char *dir;
    size_t memory_bytes;
    sorter_compare *compare;
    uint8_t *block;
    size_t block_used, block_room;
    struct entry *entries;
    size_t count, entries_room;
    int file;
    uint64_t file_bytes;
    struct run *runs;
    size_t run_count, run_room;
    uint32_t *heap;      // of run numbers
    size_t heap_count;
    size_t at;           // memory-only reading
    bool finished;
};

struct sorter *sorter_open(const char *dir, size_t memory_bytes, sorter_compare *compare)
{
    struct sorter *s = mem_zero(1, sizeof *s);
    if (!s)
        return NULL;
    const char *tmp = getenv("TMPDIR");
    dir = dir ? dir : tmp && *tmp ? tmp : "/tmp";
    s->dir = mem_text_copy(dir, strlen(dir));
    s->memory_bytes = memory_bytes;
    s->compare = compare;
    s->file = -1;
    if (!s->dir) {
        mem_free(s);
        return NULL;
    }
    return s;
}

static void free_runs(struct sorter *s)
{
    for (size_t i = 0; i < s->run_count; i++)
        mem_free(s->runs[i].buf);
}

void sorter_close(struct sorter *s)
{
    if (!s)
        return;
    free_runs(s);
    if (s->file >= 0)
        close(s->file);
    mem_free(s->runs);
    mem_free(s->heap);
    mem_free(s->block);
    mem_free(s->entries);
    mem_free(s->dir);
    mem_free(s);
}

static const uint8_t *record_at(const struct sorter *s, size_t i, size_t *size)
{
    const uint8_t *at = s->block + (size_t)s->entries[i].at * RECORD_ALIGN;
    uint64_t n;
    memcpy(&n, at, sizeof n);
    *size = (size_t)n;
    return at + sizeof n;
}

static int by_record(const void *a, const void *b, void *ctx)
{
    struct sorter *s = ctx;
    uint32_t x = ((const struct entry *)a)->at, y = ((const struct entry *)b)->at;
    int order = s->compare(s->block + (size_t)x * RECORD_ALIGN + 8, s->block + (size_t)y * RECORD_ALIGN + 8);
    return order ? order : x < y ? -1 : x > y;
}

// Least significant byte first; bytes that are the same everywhere cost one look.
static bool sort(struct sorter *s)
{
    size_t n = s->count;
    struct entry *from = s->entries, *to = n > 1 ? mem_alloc(n * sizeof *to) : NULL;
    if (n < 2)
        return true;
    if (!to)
        return false;
    for (unsigned shift = 0; shift < 64; shift += 8) {
        size_t starts[257] = {0};
        for (size_t i = 0; i < n; i++)
            starts[(from[i].key >> shift & 255) + 1]++;
        if (starts[(from[0].key >> shift & 255) + 1] == n)
            continue;
        for (unsigned b = 0; b < 256; b++)
            starts[b + 1] += starts[b];
        for (size_t i = 0; i < n; i++)
            to[starts[from[i].key >> shift & 255]++] = from[i];
        struct entry *swap = from;
        from = to;
        to = swap;
    }
    if (from != s->entries) {
        memcpy(s->entries, from, n * sizeof *from);
        to = from;
    }
    mem_free(to);
    for (size_t at = 0, end; at < n; at = end) {
        for (end = at + 1; end < n && s->entries[end].key == s->entries[at].key; end++)
            ;
        if (end - at > 1)
            qsort_r(s->entries + at, end - at, sizeof *s->entries, by_record, s);
    }
    return true;
}

static int open_unnamed(const char *dir)
{
    int file = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file >= 0)
        return file;
    char path[4200];
    snprintf(path, sizeof path, "%s/.estape-sort-XXXXXX", dir);
    file = mkostemp(path, O_CLOEXEC);
    if (file >= 0)
        unlink(path);
    return file;
}

static bool open_file(struct sorter *s, struct fault *fault)
{
    if (s->file >= 0)
        return true;
    s->file = open_unnamed(s->dir);
    if (s->file < 0 && strcmp(s->dir, "/tmp") != 0) // a tape on a read-only medium
        s->file = open_unnamed(getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    return s->file >= 0 || fault_errno(fault, errno, "cannot make a working file in %s (TMPDIR chooses another place)", s->dir);
}

static bool spill(struct sorter *s, struct fault *fault)
{
    if (!s->count)
        return true;
    if (!open_file(s, fault))
        return false;
    if (s->run_count == s->run_room) {
        size_t room = s->run_room ? s->run_room * 2 : 16;
        struct run *runs = mem_grow(s->runs, room * sizeof *runs);
        if (!runs)
            return fault_memory(fault);
        s->runs = runs;
        s->run_room = room;
    }
    if (!sort(s))
        return fault_memory(fault);
    uint8_t out[65536];
    size_t used = 0;
    struct run run = {.from = s->file_bytes};
    bool ok = true;
    for (size_t i = 0; i < s->count && ok; i++) {
        size_t size;
        const uint8_t *at = record_at(s, i, &size) - 8;
        size = (size + 8 + RECORD_ALIGN - 1) & ~(size_t)(RECORD_ALIGN - 1);
        if (used + size > sizeof out) {
            ok = file_write(s->file, bytes_of(out, used));
            used = 0;
        }
        if (size > sizeof out)
            ok = ok && file_write(s->file, bytes_of(at, size));
        else {
            memcpy(out + used, at, size);
            used += size;
        }
        s->file_bytes += size;
    }
    if (!ok || !file_write(s->file, bytes_of(out, used)))
        return fault_errno(fault, errno, "cannot write the working file in %s", s->dir);
    run.to = s->file_bytes;
    s->runs[s->run_count++] = run;
    s->count = 0;
    s->block_used = 0;
    return true;
}

static bool grow_block(struct sorter *s, size_t need)
{
    size_t room = s->block_room ? s->block_room : 1u << 16;
    while (room < s->block_used + need)
        room *= 2;
    if (room > s->memory_bytes && s->block_used + need <= s->memory_bytes)
        room = s->memory_bytes;
    uint8_t *block = mem_grow(s->block, room);
    if (!block)
        return false;
    s->block = block;
    s->block_room = room;
    return true;
}

bool sorter_add(struct sorter *s, struct bytes record, struct fault *fault)
{
    size_t need = (record.size + 8 + RECORD_ALIGN - 1) & ~(size_t)(RECORD_ALIGN - 1);
    size_t held = s->block_used + need + 2 * (s->count + 1) * sizeof *s->entries;
    if (s->count && held > s->memory_bytes && !spill(s, fault))
        return false;
    if (s->block_used + need > s->block_room && !grow_block(s, need))
        return fault_memory(fault);
    if (s->count == s->entries_room) {
        size_t room = s->entries_room ? s->entries_room * 2 : 1024;
        struct entry *entries = mem_grow(s->entries, room * sizeof *entries);
        if (!entries)
            return fault_memory(fault);
        s->entries = entries;
        s->entries_room = room;
    }
    uint64_t size = record.size, key = 0;
    memcpy(&key, record.at, record.size < sizeof key ? record.size : sizeof key);
    memcpy(s->block + s->block_used, &size, 8);
    memcpy(s->block + s->block_used + 8, record.at, record.size);
    memset(s->block + s->block_used + 8 + record.size, 0, need - 8 - record.size);
    s->entries[s->count++] = (struct entry){key, (uint32_t)(s->block_used / RECORD_ALIGN)};
    s->block_used += need;
    return true;
}

static bool refill(struct sorter *s, struct run *r, size_t need, struct fault *fault)
{
    if (r->size - r->at >= need)
        return true;
    memmove(r->buf, r->buf + r->at, r->size - r->at);
    r->size -= r->at;
    r->at = 0;
    if (need > r->room) {
        uint8_t *buf = mem_grow(r->buf, need);
        if (!buf)
            return fault_memory(fault);
        r->buf = buf;
        r->room = need;
    }
    while (r->size < need) {
        size_t want = r->room - r->size;
        if (want > r->to - r->read_at)
            want = (size_t)(r->to - r->read_at);
        ssize_t n = pread(s->file, r->buf + r->size, want, (off_t)r->read_at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fault_errno(fault, n < 0 ? errno : EIO, "cannot read the working file in %s", s->dir);
        r->size += (size_t)n;
        r->read_at += (uint64_t)n;
    }
    return true;
}

static bool run_step(struct sorter *s, struct run *r, struct fault *fault)
{
    r->head = NULL;
    if (r->at == r->size && r->read_at == r->to)
        return true;
    uint64_t size;
    if (!refill(s, r, 8, fault))
        return false;
    memcpy(&size, r->buf + r->at, 8);
    size_t whole = ((size_t)size + 8 + RECORD_ALIGN - 1) & ~(size_t)(RECORD_ALIGN - 1);
    if (!refill(s, r, whole, fault))
        return false;
    r->head = r->buf + r->at + 8;
    r->head_size = (size_t)size;
    r->at += whole;
    return true;
}

static bool run_less(const struct sorter *s, uint32_t a, uint32_t b)
{
    int order = s->compare(s->runs[a].head, s->runs[b].head);
    return order ? order < 0 : a < b;
}

static void sift_down(struct sorter *s, size_t i)
{
    for (;;) {
        size_t least = i, l = 2 * i + 1;
        for (size_t c = l; c <= l + 1 && c < s->heap_count; c++)
            if (run_less(s, s->heap[c], s->heap[least]))
                least = c;
        if (least == i)
            return;
        uint32_t t = s->heap[i];
        s->heap[i] = s->heap[least];
        s->heap[least] = t;
        i = least;
    }
}

static bool start_merge(struct sorter *s, struct fault *fault)
{
    size_t share = s->memory_bytes / s->run_count;
    if (share < READ_BYTES_MIN)
        share = READ_BYTES_MIN;
    if (share > 1u << 20)
        share = 1u << 20;
    s->heap_count = 0;
    for (size_t i = 0; i < s->run_count; i++) {
        struct run *r = &s->runs[i];
        r->read_at = r->from;
        r->at = r->size = 0;
        if (!r->buf && !(r->buf = mem_alloc(share)))
            return fault_memory(fault);
        r->room = r->room ? r->room : share;
        if (!run_step(s, r, fault))
            return false;
        if (r->head)
            s->heap[s->heap_count++] = (uint32_t)i;
    }
    for (size_t i = s->heap_count / 2; i-- > 0;)
        sift_down(s, i);
    return true;
}

bool sorter_finish(struct sorter *s, struct fault *fault)
{
    s->finished = true;
    if (!s->run_count) {
        return sort(s) || fault_memory(fault);
    }
    if (!spill(s, fault))
        return false;
    mem_free(s->block);
    mem_free(s->entries);
    s->block = NULL;
    s->entries = NULL;
    s->block_room = s->entries_room = 0;
    s->heap = mem_alloc(s->run_count * sizeof *s->heap);
    return s->heap ? start_merge(s, fault) : fault_memory(fault);
}

bool sorter_rewind(struct sorter *s, struct fault *fault)
{
    s->at = 0;
    return !s->run_count || start_merge(s, fault);
}

bool sorter_next(struct sorter *s, struct bytes *record, struct fault *fault)
{
    *record = (struct bytes){0};
    if (!s->run_count) {
        if (s->at < s->count) {
            size_t size;
            if (s->at + 8 < s->count)
                __builtin_prefetch(s->block + (size_t)s->entries[s->at + 8].at * RECORD_ALIGN);
            const uint8_t *at = record_at(s, s->at++, &size);
            *record = bytes_of(at, size);
        }
        return true;
    }
    // The run that gave the last record moves only now: its record was borrowed until here.
    if (s->at) {
        struct run *r = &s->runs[s->heap[0]];
        if (!run_step(s, r, fault))
            return false;
        if (!r->head)
            s->heap[0] = s->heap[--s->heap_count];
        sift_down(s, 0);
    }
    s->at = s->heap_count > 0;
    if (s->heap_count)
        *record = bytes_of(s->runs[s->heap[0]].head, s->runs[s->heap[0]].head_size);
    return true;
}
