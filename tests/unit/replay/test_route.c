// The shard formula against every published vector.
#include "../../../src/replay/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

static void hash_agrees_with_the_cluster(void **state)
{
    static const struct {
        const char *text;
        uint32_t hash;
    } v[] = {{"hell", 0x5a0cb7c3}, {"hello", 0xd7c31989}, {"hello w", 0x22ab2984}, {"hello wo", 0xdf0ca123}, {"hello wor", 0xe7744d61},
             {"The quick brown fox jumps over the lazy dog", 0xe07db09c}, {"The quick brown fox jumps over the lazy cog", 0x4e63d2ad},
             {"1", 0xf879cc33}, {"2", 0xede27053}, {"3", 0xbb6280ca}, {"a", 0x6f49d11a}, {"é", 0x41e915ff}, {"日本", 0xa4a1f0f3}, {"😀", 0x56065e39}};
    (void)state;
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        assert_int_equal(route_hash(bytes_of_text(v[i].text)), v[i].hash);
}

static void shard_agrees_for_default_indices(void **state)
{
    static const uint32_t shards[] = {2, 3, 5, 6, 7, 8};
    static const struct {
        const char *id;
        int legacy[6], modulo[6];
    } v[] = {
        {"1", {0, 2, 4, 4, 0, 0}, {1, 2, 3, 5, 2, 3}}, {"2", {0, 1, 3, 2, 3, 0}, {1, 0, 2, 3, 5, 3}}, {"3", {0, 1, 0, 3, 2, 1}, {0, 2, 4, 2, 1, 2}},
        {"a", {0, 0, 1, 0, 4, 2}, {0, 2, 4, 2, 6, 2}}, {"é", {0, 1, 4, 3, 4, 3}, {1, 1, 4, 1, 2, 7}}, {"日本", {0, 0, 4, 1, 1, 1}, {1, 0, 2, 3, 5, 3}},
        {"😀", {1, 0, 2, 0, 6, 4}, {1, 0, 3, 3, 6, 1}}, {"hello", {0, 2, 4, 5, 5, 3}, {1, 1, 1, 1, 5, 1}}};
    (void)state;
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        for (size_t s = 0; s < 6; s++) {
            struct route_index legacy = {.shards = shards[s]}, modulo = {.shards = shards[s], .modulo = true};
            assert_int_equal(route_shard(&legacy, bytes_of_text(v[i].id), (struct bytes){0}), v[i].legacy[s]);
            assert_int_equal(route_shard(&modulo, bytes_of_text("other"), bytes_of_text(v[i].id)), v[i].modulo[s]);
        }
    struct route_index five = {.shards = 5, .old_default = true};
    assert_int_equal(route_shard(&five, bytes_of_text("1"), (struct bytes){0}), 3);
}

static void default_routing_shards_agree(void **state)
{
    static const uint32_t v[][2] = {{1, 1024}, {2, 1024}, {3, 768}, {4, 1024}, {5, 640}, {6, 768}, {7, 896}, {8, 1024}, {10, 640}, {16, 1024}, {100, 800}, {1000, 2000}};
    (void)state;
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        assert_int_equal(route_default_routing_shards(v[i][0]), v[i][1]);
}

static void published_terms_of_eight_shards_agree(void **state)
{
    static const char *const terms[8] = {
        "hswhrppvDH FYQRIBcNqz xkWaPcCmpT zKBMYJDmBI EZmDicyayC YmscwrKSpB WFFWYBfnTb vdnUhGLFtl nICGuWTdfV nbZWPWJsIM",
        "sEERfFzPSI yCdyocKWou yhZhzCPQby EyCVeiCouA YHicpFBSaY YePigbXgKb XhfGWwNlng eDzIfMKbvk PDOQQqgIKE DifcuqSsKk ZSKjhJlcpn iWswCilUaT eDItImYWTS "
        "schsINzlYB imoydNTZhV",
        "KXuNWWNgVj EBzEDAPODe RuLzobYixn zBjjNEjAex xpRkJPWVpu kTwZnPEeIi bVDJDCeaFm NrnSmcnUVF zXAamKsRwj OqbFNxrKrF",
        "cnepjZhQnb PeGJjomyik xvIGbRiGJF hOkpeQqTDF qCChjGZYLp IsSZQwwnUT MGlxLFyyCK EzHgydDCSR WRjUoZwtUz ZSzFcbpDqP nVAZVMPNNx wRZXPSoEgd",
        "DGJOYrpESx EquPtdKaBZ KWimwsREPf mFohLeFRvF RiBbcCdIgk yizTqyjuDn QnFjcpcZUT JAYDZMRcpW VLxKRKdLbx uFZyTyOMRO nGzpgwsSBc AITyyoyLLs",
        "BgfLBXUyWT OutXGRQUja upLDybdTGs BSiWvDOsNE rSjLZHCDfT ngizYtQgGK yIEfZrYfRk FAIcSmmNXq czSljcjMop CEmLmljpXe yNjiAnxAmt LnqSYezXbr YOhahLSzzE "
        "aqGsrUPHFq IKuOwPjKCx rPIdESYaAO",
        "OKCmuYkeCK tFyVdQauWR nyeRYDnDQr bGEIEBLATe QrklDfvEJU",
        "cNRiIrjzYd qoZALVcite yDCCPVBiCm cyQIvDmyYD kblouyFUbu wsNavvIcdk FKKTOnJMDy aAMXnamRJg ElSVuJQQuw pezPtTQAAm PGgHcLNPYX chZXraUPBH GRIueBeIyL "
        "cWpKJjlzgj oDdHJxGxja cuNKtLtyJQ agYhXYUUpl UOjiTugjNC lmvAaEPflK"};
    size_t seen = 0;
    (void)state;
    for (int shard = 0; shard < 8; shard++)
        for (const char *at = terms[shard]; *at; at += strspn(at, " ")) {
            struct bytes term = bytes_of(at, strcspn(at, " "));
            struct route_index r = {.shards = 8, .old_default = true}, m = {.shards = 8, .modulo = true};
            assert_int_equal(route_shard(&r, term, (struct bytes){0}), shard);
            assert_int_equal(route_shard(&m, bytes_of_text("x"), term), shard);
            at += term.size;
            seen++;
        }
    assert_int_equal(seen, 99);
}

static void partitioned_indices_agree(void **state)
{
    static const struct {
        struct route_index index;
        int ids;
        int shard[4][6];
    } v[] = {{{.shards = 6, .old_default = true, .partition = 2}, 4, {{3, 2, 2, 3}, {5, 0, 0, 0}, {4, 4, 3, 4}, {3, 4, 4, 4}}},
             {{.shards = 6, .modulo = true, .partition = 2}, 4, {{3, 2, 2, 3}, {5, 0, 0, 0}, {4, 4, 3, 4}, {3, 4, 4, 4}}},
             {{.shards = 4, .routing_shards = 8, .partition = 3}, 6, {{1, 2, 2, 2, 1, 2}, {0, 0, 0, 0, 3, 3}, {1, 1, 0, 0, 0, 1}, {2, 2, 3, 3, 3, 3}}},
             {{.shards = 4, .modulo = true, .partition = 3}, 6, {{2, 0, 0, 0, 3, 0}, {0, 1, 0, 0, 3, 3}, {3, 3, 1, 1, 1, 3}, {1, 1, 2, 2, 2, 2}}}};
    (void)state;
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        for (int r = 0; r < 4; r++)
            for (int n = 0; n < v[i].ids; n++) {
                char routing[2] = {(char)('a' + r), 0}, id[8];
                snprintf(id, sizeof id, "%s_%d", routing, n);
                assert_int_equal(route_shard(&v[i].index, bytes_of_text(id), bytes_of_text(routing)), v[i].shard[r][n]);
            }
}

static void unknown_shards_give_none_and_bad_bytes_are_replaced(void **state)
{
    struct route_index none = {0};
    (void)state;
    assert_int_equal(route_shard(&none, bytes_of_text("1"), (struct bytes){0}), -1);
    assert_int_equal(route_hash(bytes_of("\xff", 1)), route_hash(bytes_of_text("\xef\xbf\xbd")));
    assert_int_equal(route_hash(bytes_of("a\xe6\x97", 3)), route_hash(bytes_of_text("a\xef\xbf\xbd\xef\xbf\xbd")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash_agrees_with_the_cluster), cmocka_unit_test(shard_agrees_for_default_indices), cmocka_unit_test(default_routing_shards_agree),
        cmocka_unit_test(published_terms_of_eight_shards_agree), cmocka_unit_test(partitioned_indices_agree),
        cmocka_unit_test(unknown_shards_give_none_and_bad_bytes_are_replaced)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
