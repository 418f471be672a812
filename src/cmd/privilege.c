// From root to an ordinary user without capabilities, after the devices are open.
#include "privilege.h"

#include "../base/diag.h"

#include <cap-ng.h>
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined __has_feature
#if __has_feature(address_sanitizer)
#define LOOKED_INTO_BY_LEAK_CHECK
#endif
#elif defined __SANITIZE_ADDRESS__
#define LOOKED_INTO_BY_LEAK_CHECK
#endif

// The limit holds for cores that become files; a kernel that pipes cores to a program does not ask for it, but for the flag. Changing
// the user sets the flag to what the system prefers, so it is set again afterwards.
void privilege_forbid_cores(void)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0});
#ifndef LOOKED_INTO_BY_LEAK_CHECK
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

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

static bool is_within_reach(const char *dir)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/tape.db", dir);
    return n > 0 && (size_t)n < sizeof path && eaccess(dir, R_OK | W_OK | X_OK) == 0 && (eaccess(path, R_OK | W_OK) == 0 || errno == ENOENT);
}

static bool is_empty(const char *dir)
{
    DIR *d = opendir(dir);
    if (!d)
        return false;
    size_t count = 0;
    for (const struct dirent *e; count == 0 && (e = readdir(d));)
        count += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(d);
    return count == 0;
}

// Only what is a tape, or is about to become one, changes hands: a slip of the pen (--tape /etc) must not give a system's
// directory away. A tape whose files are another's stays as it is, and the line says how to give it.
static bool give_dir(const char *dir, const struct passwd *pw, struct fault *fault)
{
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return fault_errno(fault, errno, "cannot make the tape directory %s", dir);
    struct stat st, inside;
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/tape.db", dir);
    if (n < 0 || (size_t)n >= sizeof path || lstat(dir, &st) != 0)
        return fault_errno(fault, errno, "cannot look at the tape directory %s", dir);
    bool is_tape = lstat(path, &inside) == 0;
    if (is_tape && inside.st_uid != pw->pw_uid)
        return fault_user(fault, "the tape %s belongs to another user than %s: give it with 'chown -R %s %s', or name its owner with -u", dir,
                          pw->pw_name, pw->pw_name, dir);
    if (S_ISDIR(st.st_mode) && st.st_uid == 0 && (is_tape || is_empty(dir)) && lchown(dir, pw->pw_uid, pw->pw_gid) != 0)
        return fault_errno(fault, errno, "cannot give the tape directory %s to %s", dir, pw->pw_name);
    return true;
}

// Without the right to override permissions root reaches what is root's. A tape that lies with another user keeps it that right
// and no other.
static bool stay_root(const char *dir, struct fault *fault)
{
    mkdir(dir, 0700); // while every place can be reached; why it could not be made is the tape's to tell
    capng_clear(CAPNG_SELECT_BOTH);
    capng_apply(CAPNG_SELECT_BOUNDS); // as far as a container lets us
    capng_update(CAPNG_ADD, CAPNG_PERMITTED, CAP_DAC_OVERRIDE);
    capng_apply(CAPNG_SELECT_CAPS);
    if (is_within_reach(dir))
        capng_clear(CAPNG_SELECT_CAPS);
    else
        capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_DAC_OVERRIDE);
    if (capng_apply(CAPNG_SELECT_CAPS) != 0)
        return fault_system(fault, "cannot give up the capabilities of root");
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
        if (!pw || pw->pw_uid == 0) {
            if (!stay_root(dir, fault))
                return false;
        } else {
            if (!give_dir(dir, pw, fault))
                return false;
            capng_clear(CAPNG_SELECT_BOTH);
            if (capng_change_id((int)pw->pw_uid, (int)pw->pw_gid, CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING) != 0)
                return fault_system(fault, "cannot become the user %s", pw->pw_name);
        }
        *who = pw ? pw->pw_name : NULL;
    } else {
        capng_clear(CAPNG_SELECT_BOTH);
        capng_apply(CAPNG_SELECT_CAPS);
        const struct passwd *pw = getpwuid(geteuid());
        *who = pw ? pw->pw_name : "an ordinary user";
    }
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    privilege_forbid_cores();
    return true;
}
