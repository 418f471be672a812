// From root to an ordinary user without capabilities, after the devices are open.
#include "privilege.h"

#include "../base/diag.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct passwd *choose(const char *wanted, struct fault *fault)
{
    if (wanted) {
        const struct passwd *pw = getpwnam(wanted);
        if (!pw)
            fault_user(fault, "there is no user '%s' to become: name another with -u", wanted);
        return pw;
    }
    const struct passwd *pw = getpwnam("estape");
    if (pw)
        return pw;
    const char *behind_sudo = getenv("SUDO_USER");
    pw = behind_sudo ? getpwnam(behind_sudo) : NULL;
    return pw && pw->pw_uid != 0 ? pw : NULL;
}

static bool give_dir(const char *dir, const struct passwd *pw, struct fault *fault)
{
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return fault_errno(fault, errno, "cannot make the tape directory %s", dir);
    struct stat st;
    if (stat(dir, &st) != 0)
        return fault_errno(fault, errno, "cannot look at the tape directory %s", dir);
    // A tape that root began before there was another user stays root's file by file: say what to do, change nothing inside.
    if (st.st_uid == 0 && chown(dir, pw->pw_uid, pw->pw_gid) != 0)
        return fault_errno(fault, errno, "cannot give the tape directory %s to %s", dir, pw->pw_name);
    return true;
}

bool privilege_drop(const char *wanted, const char *dir, const char **who, struct fault *fault)
{
    *who = NULL;
    if (geteuid() == 0) {
        struct fault none = {0};
        const struct passwd *pw = choose(wanted, &none);
        if (none.kind != FAULT_NONE) {
            *fault = none;
            return false;
        }
        if (!pw)
            return true;
        if (pw->pw_uid != 0) {
            if (!give_dir(dir, pw, fault))
                return false;
            capng_clear(CAPNG_SELECT_BOTH);
            if (capng_change_id((int)pw->pw_uid, (int)pw->pw_gid, CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING) != 0)
                return fault_system(fault, "cannot become the user %s", pw->pw_name);
        }
        *who = pw->pw_name;
    } else {
        capng_clear(CAPNG_SELECT_BOTH);
        capng_apply(CAPNG_SELECT_CAPS);
        const struct passwd *pw = getpwuid(geteuid());
        *who = pw ? pw->pw_name : "an ordinary user";
    }
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return true;
}
