#include "cluster/identity.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const uid_t NO_USER = (uid_t)-1;
static const gid_t NO_GROUP = (gid_t)-1;

/* All bits set is nobody: to the kernel it means "as it is". */
static bool parse_number(const char *text, uint32_t *out) {
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    *out = (uint32_t)n;
    return !errno && !*end && n < UINT32_MAX;
}

static int find_user(struct cl_identity *id, const char *user) {
    const struct passwd *entry = getpwnam(user);
    uint32_t number;
    if (!entry && parse_number(user, &number)) {
        id->uid = number;
        entry = getpwuid(number);
        if (!entry)
            return CELLO_OK;
        /* Its name lies in memory that the next look-up takes. */
        id->gid = entry->pw_gid;
        return CELLO_OK;
    }
    if (!entry)
        return CELLO_ENOENT;
    id->uid = entry->pw_uid;
    id->gid = entry->pw_gid;
    id->name = user;
    return CELLO_OK;
}

static int find_group(struct cl_identity *id, const char *group) {
    const struct group *entry = getgrnam(group);
    uint32_t number;
    if (entry)
        id->gid = entry->gr_gid;
    else if (parse_number(group, &number))
        id->gid = number;
    else
        return CELLO_ENOENT;
    return CELLO_OK;
}

int cl_identity_find(struct cl_identity *id, const char *user, const char *group,
                     char why[CL_IDENTITY_ERROR_MAX]) {
    *id = (struct cl_identity){.uid = NO_USER, .gid = NO_GROUP};
    if (user && find_user(id, user)) {
        snprintf(why, CL_IDENTITY_ERROR_MAX, "there is no user %s", user);
        return CELLO_ENOENT;
    }
    if (group && find_group(id, group)) {
        snprintf(why, CL_IDENTITY_ERROR_MAX, "there is no group %s", group);
        return CELLO_ENOENT;
    }
    if (user && id->gid == NO_GROUP) {
        snprintf(why, CL_IDENTITY_ERROR_MAX, "user %s has no group: name one", user);
        return CELLO_ENOENT;
    }
    return CELLO_OK;
}

/* Real, effective and saved. */
static bool is_user(uid_t uid) {
    uid_t ids[3];
    return !getresuid(&ids[0], &ids[1], &ids[2]) && ids[0] == uid && ids[1] == uid && ids[2] == uid;
}

static bool is_group(gid_t gid) {
    gid_t ids[3];
    return !getresgid(&ids[0], &ids[1], &ids[2]) && ids[0] == gid && ids[1] == gid && ids[2] == gid;
}

/* What stays as it is counts as had. */
static bool is_taken(const struct cl_identity *id) {
    return (id->uid == NO_USER || is_user(id->uid)) && (id->gid == NO_GROUP || is_group(id->gid));
}

/* The groups first: afterwards the right to change them is gone. */
static int change(const struct cl_identity *id) {
    if (id->uid != NO_USER && (id->name ? initgroups(id->name, id->gid) : setgroups(1, &id->gid)))
        return CELLO_ESYS;
    if (id->gid != NO_GROUP && setresgid(id->gid, id->gid, id->gid))
        return CELLO_ESYS;
    if (id->uid != NO_USER && setresuid(id->uid, id->uid, id->uid))
        return CELLO_ESYS;
    return CELLO_OK;
}

int cl_identity_take(const struct cl_identity *id, char why[CL_IDENTITY_ERROR_MAX]) {
    if (geteuid() != 0 && is_taken(id))
        return CELLO_OK;
    if (change(id)) {
        int saved = errno;
        snprintf(why, CL_IDENTITY_ERROR_MAX, "cannot change user or group: %s", strerror(saved));
        errno = saved;
        return CELLO_ESYS;
    }
    bool returns = id->uid != NO_USER && id->uid != 0 && (!setuid(0) || !seteuid(0));
    if (returns || !is_taken(id)) {
        snprintf(why, CL_IDENTITY_ERROR_MAX, "user or group could be changed back");
        return CELLO_ESTATE;
    }
    return CELLO_OK;
}
