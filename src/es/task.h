// Calls that belong together: a task and the call that started it; a scroll, point in time or async search and its indices.
#pragma once
#include "../../include/record.h"
#include "../base/json.h"

#define TASK_MAX 4096  // tasks remembered; past it the oldest is forgotten
#define TASK_TIES 8192 // ids of scrolls, points in time and async searches remembered

struct task;
typedef void task_late_fn(void *ctx, const struct late_outcome *late);
struct task *task_open(task_late_fn *fn, void *ctx); // NULL: memory out
void task_close(struct task *t);

void task_started(struct task *t, struct bytes id, uint64_t exchange);
// The answer to a question after the task: {"completed":..,"task":..,"response":..,"error":..}. Completed: the late outcome is
// told once, and the task forgotten.
void task_read_answer(struct task *t, struct bytes id, int64_t time_ns, const struct json *answer);
// An async search: {"id":..,"is_running":..}.
void task_read_async(struct task *t, struct bytes id, int64_t time_ns, const struct json *answer);

// Ids are kept as hashes. Names are the targets of the call that opened it.
void task_tie(struct task *t, struct bytes id, const struct bytes *targets, size_t count);
// Calls fn for each target of the id; false when the id is not known.
bool task_tied(struct task *t, struct bytes id, void (*fn)(void *ctx, struct bytes target), void *ctx);
