// The file beside a body file that compressed blocks are appended to, so that their bytes are written once.
#pragma once
#include "../base/buf.h"
#include "db.h"

struct blockfile {
    int fd;                  // -1: not open
    uint64_t size;           // where the next block goes
    uint64_t kept;           // what committed rows may name; behind it stands what a rollback takes back
    uint64_t begun;          // the kernel was asked to write up to here
    bool unsynced, unlisted; // bytes, and the name in the directory, that the disk may not have
};

// Of no file, until blockfile_open.
void blockfile_init(struct blockfile *b);
// Makes the file, or empties what a recorder that died left without a row.
enum db_trouble blockfile_open(struct blockfile *b, const char *path);
void blockfile_close(struct blockfile *b);
// Where the block stands then. On trouble nothing is appended.
enum db_trouble blockfile_append(struct blockfile *b, struct bytes block, uint64_t *at);
// Everything appended is on the disk then, and found in its directory.
enum db_trouble blockfile_sync(struct blockfile *b, const char *dir);
void blockfile_keep(struct blockfile *b);      // rows that name what was appended have committed
void blockfile_take_back(struct blockfile *b); // they never will

// A body file made before there were files of blocks gets the columns that name them (in a view, when it cannot be written).
int blockfile_adapt(sqlite3 *body);
// "NAME.body.dat" for the path of NAME.body.db.
void blockfile_path(const char *body_path, char *path, size_t size);
// Bytes it takes on the disk: holes that prune made are not counted.
uint64_t blockfile_bytes(const char *path);
// The bytes of a block. False: errno tells why (ERANGE: the file ends before).
bool blockfile_read(int fd, uint64_t at, uint64_t bytes, struct buf *out);
// Overwrites from..to with nothing, and gives the room back where the file system can. False: errno tells why.
bool blockfile_wipe(int fd, int64_t from, int64_t to);
// Cuts off what stands behind `end`, and syncs. False: errno tells why.
bool blockfile_cut(int fd, int64_t end);
