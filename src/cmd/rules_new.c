// estape rules new: a draft of a rule that matches exchanges like one that was recorded.
#include "rules.h"

#include "../base/clock.h"
#include "../base/diag.h"

#include <stdio.h>
#include <sys/random.h>

static void add_uuid(struct buf *out)
{
    uint8_t r[16];
    if (getrandom(r, sizeof r, 0) != sizeof r)
        memset(r, 0, sizeof r);
    r[6] = (r[6] & 0x0f) | 0x40;
    r[8] = (r[8] & 0x3f) | 0x80;
    for (int i = 0; i < 16; i++)
        buf_format(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", r[i]);
}

// A YAML string in single quotes; what a rule would take for a wildcard is escaped.
static void add_value(struct buf *out, struct bytes text)
{
    buf_add_text(out, "'");
    for (size_t i = 0; i < text.size && i < 300; i++) {
        uint8_t c = text.at[i];
        if (c < ' ' || c == 0x7f)
            c = '?';
        else if (c == '*' || c == '?' || (c == '\\' && i + 1 < text.size && strchr("*?\\", text.at[i + 1])))
            buf_add_text(out, "\\");
        buf_add_byte(out, c);
        if (c == '\'')
            buf_add_byte(out, c);
    }
    buf_add_text(out, "'");
}

static void add_field(struct buf *out, bool on, const char *name, struct bytes value)
{
    if (!value.size)
        return;
    buf_format(out, "        %s%s: ", on ? "" : "# ", name);
    add_value(out, value);
    buf_add_text(out, "\n");
}

// An agent without its version: the name is what stays.
static struct bytes agent_name(struct bytes agent)
{
    size_t n = 0;
    while (n < agent.size && agent.at[n] != '/' && agent.at[n] != ' ')
        n++;
    return bytes_of(agent.at, n);
}

static bool print_draft(void *ctx, const struct tape_row *row)
{
    struct buf *out = ctx;
    const struct exchange *x = &row->x;
    char day[48];
    clock_format_utc(clock_now_ns(), day, sizeof day);
    buf_add_text(out, "title: '");
    buf_add_bytes(out, x->api.size ? x->api : x->verb);
    buf_format(out, " as in exchange %llu'\nid: ", (unsigned long long)x->id);
    add_uuid(out);
    buf_format(out, "\nstatus: experimental\ndescription: What this means, and what to do about it.\ndate: %.10s\nlogsource:\n    product: elasticsearch\n"
                    "detection:\n    call:\n", day);
    add_field(out, x->api.size > 0, "api", x->api);
    add_field(out, !x->api.size, "verb", x->verb);
    if (x->target_count == 1) {
        add_field(out, true, "index", x->targets[0]);
    } else if (x->target_count) {
        buf_add_text(out, "        index:\n");
        for (size_t i = 0; i < x->target_count && i < 50; i++) {
            buf_add_text(out, "            - ");
            add_value(out, x->targets[i]);
            buf_add_text(out, "\n");
        }
    }
    add_field(out, false, "principal", x->principal);
    add_field(out, false, "agent|startswith", agent_name(x->agent));
    add_field(out, false, "path", x->path);
    add_field(out, false, "destructive", x->danger);
    buf_add_text(out, "    condition: call\nfalsepositives:\n    - Who may do this, and when\nlevel: medium\n");
    return false;
}

bool rules_draft(const struct rules_settings *s, struct out *out, struct fault *fault)
{
    size_t which;
    uint64_t id;
    if (!s->from)
        return fault_user(fault, "say which exchange: estape rules new --from ID");
    struct tape *t = tape_options_open(&s->tapes, fault);
    bool ok = t && tape_parse_id(t, s->from, &which, &id, fault) && tape_get(t, which, id, print_draft, &out->text, fault);
    tape_close(t);
    return ok;
}
