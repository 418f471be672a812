// What software a call was made with, by its user agent: a person's tool, a browser, Kibana, or a client library.
#include "event.h"

#include <strings.h>

const char *const agent_kind_names[] = {"none", "client", "tool", "browser", "kibana"};

enum agent_kind agent_kind_of(struct bytes agent, struct bytes opaque_id)
{
    static const struct {
        const char *prefix;
        enum agent_kind kind;
    } kinds[] = {
        {"PostmanRuntime", AGENT_TOOL}, {"curl/", AGENT_TOOL}, {"Wget/", AGENT_TOOL}, {"insomnia", AGENT_TOOL}, {"HTTPie/", AGENT_TOOL},
        {"xh/", AGENT_TOOL}, {"Thunder Client", AGENT_TOOL}, {"bruno", AGENT_TOOL}, {"Hoppscotch", AGENT_TOOL}, {"Paw/", AGENT_TOOL},
        {"RapidAPI", AGENT_TOOL}, {"Talend API", AGENT_TOOL}, {"IntelliJ HTTP", AGENT_TOOL}, {"vscode-restclient", AGENT_TOOL},
        {"Apache-HttpClient/4.5.5 (Java/12", AGENT_TOOL}, {"PowerShell", AGENT_TOOL}, {"lwp-request", AGENT_TOOL}, {"SoapUI", AGENT_TOOL},
        {"Mozilla/", AGENT_BROWSER}, {"Opera/", AGENT_BROWSER}, {"Kibana", AGENT_KIBANA}, {"opensearch-dashboards", AGENT_KIBANA},
    };
    static const char *const consoles[] = {"dev_tools", "devTools", "kibana:application:", NULL};
    for (const char *const *c = consoles; opaque_id.size > 8 && *c; c++)
        if (memmem(opaque_id.at, opaque_id.size, *c, strlen(*c)))
            return AGENT_KIBANA;
    for (size_t i = 0; agent.size && i < sizeof kinds / sizeof *kinds; i++) {
        if (((agent.at[0] ^ (uint8_t)kinds[i].prefix[0]) & ~0x20) != 0)
            continue;
        size_t size = strlen(kinds[i].prefix);
        if (agent.size >= size && strncasecmp((const char *)agent.at, kinds[i].prefix, size) == 0)
            return kinds[i].kind == AGENT_BROWSER && memmem(agent.at, agent.size, "PowerShell", 10) ? AGENT_TOOL : kinds[i].kind;
    }
    return agent.size ? AGENT_CLIENT : AGENT_NONE;
}
