// What answers tell beyond their own exchange: indices by name, versions by shape, ids by Location.
#include "es_call.h"

#include "../base/mem.h"

// Views of the answer's top members outlive the collected answer.
void es_keep_told(struct call *c)
{
    struct bytes *const texts[] = {&c->told.error_type, &c->told.failure_type, &c->told.task, &c->told.result, &c->told.old_index, &c->told.new_index};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i] = es_keep(c, *texts[i]);
}

void es_note_index(struct call *c, struct bytes index)
{
    for (size_t i = 0; i < c->noted_count; i++)
        if (bytes_equal(c->noted[i].index, index))
            return;
    if (c->noted_count == sizeof c->noted / sizeof *c->noted)
        return;
    struct bytes copy = es_keep(c, index);
    if (copy.size)
        c->noted[c->noted_count++] = (struct exchange_index){.index = copy, .concrete = true};
}

// "/{index}/{type}/{id}?routing=x": the last segment, decoded.
struct bytes es_location_id(struct call *c, struct bytes location)
{
    struct bytes path, query;
    path_split(location, &path, &query);
    for (size_t i = path.size; i-- > 0;)
        if (path.at[i] == '/')
            return path_decode(&c->arena, bytes_from(path, i + 1), false, NULL);
    return (struct bytes){0};
}

void es_learn_shape(struct call *c, const struct op_answer *answer)
{
    struct version_table *versions = c->es->versions;
    if (!answer->told_result || !answer->id.size || path_query_find(&c->query, "filter_path"))
        return;
    version_learn_shape(versions, &c->x.server, answer->type.size ? VERSION_SHAPE_TYPE : VERSION_SHAPE_NO_TYPE);
    if (answer->version >= 0)
        version_learn_shape(versions, &c->x.server, answer->seq_no >= 0 ? VERSION_SHAPE_SEQ : VERSION_SHAPE_NO_SEQ);
}

bool es_learn_matters(const struct call *c)
{
    (void)c;
    return false;
}

void es_learn(struct call *c, const struct json *answer)
{
    (void)c, (void)answer;
}
