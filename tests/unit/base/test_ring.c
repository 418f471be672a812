// The queue between two threads: order, fullness, endings.
#include "src/base/ring.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { MESSAGES = 200000 };

static size_t size_of_message(unsigned i)
{
    return i * 2654435761u % 3000 + 8;
}

static void *write_all(void *ctx)
{
    struct ring *r = ctx;
    for (unsigned i = 0; i < MESSAGES; i++) {
        size_t size = size_of_message(i);
        unsigned char *at = ring_reserve(r, size + 100);
        if (!at)
            return NULL;
        memcpy(at, &i, sizeof i);
        memset(at + sizeof i, (int)(i & 0xff), size - sizeof i);
        ring_commit(r, size);
    }
    ring_finish(r);
    return r;
}

static void messages_arrive_whole_and_in_order(void **state)
{
    (void)state;
    struct ring *r = ring_open(1 << 16);
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, write_all, r), 0);
    unsigned next = 0;
    for (bool ended = false; !ended;) {
        size_t size;
        unsigned char *at = ring_peek(r, &size, 1000, &ended);
        if (!at)
            continue;
        unsigned i;
        memcpy(&i, at, sizeof i);
        assert_int_equal(i, next);
        assert_true(size == size_of_message(i) && ((uintptr_t)at & 15) == 0);
        assert_true(at[size - 1] == (size == sizeof i ? at[size - 1] : (i & 0xff)));
        next++;
        ring_release(r);
    }
    pthread_join(writer, NULL);
    assert_int_equal(next, MESSAGES);
    assert_int_equal(ring_used_bytes(r), 0);
    ring_close(r);
}

static void a_reader_that_leaves_frees_the_writer(void **state)
{
    (void)state;
    struct ring *r = ring_open(4096);
    pthread_t writer;
    void *result = r;
    assert_int_equal(pthread_create(&writer, NULL, write_all, r), 0);
    usleep(20000);
    ring_leave(r);
    pthread_join(writer, &result);
    assert_null(result);
    ring_close(r);
}

static void what_can_never_fit_is_refused(void **state)
{
    (void)state;
    struct ring *r = ring_open(4096);
    size_t size;
    bool ended;
    assert_null(ring_reserve(r, 4096));
    assert_null(ring_peek(r, &size, 1, &ended));
    assert_false(ended);
    ring_finish(r);
    assert_null(ring_peek(r, &size, 1, &ended));
    assert_true(ended);
    ring_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_arrive_whole_and_in_order),
        cmocka_unit_test(a_reader_that_leaves_frees_the_writer),
        cmocka_unit_test(what_can_never_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
