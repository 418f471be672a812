// What the JSON scanner and the JSON tree share: digits and escapes.
#include "json_text.h"

#include <string.h>

int json_plain_escape(uint8_t letter)
{
    static const char letters[] = "\"\\/bfnrt", plain[] = "\"\\/\b\f\n\r\t";
    const char *found = letter ? strchr(letters, letter) : NULL;
    return found ? plain[found - letters] : -1;
}
