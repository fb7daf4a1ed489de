/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The Source of Records
 *
 * The journal learns a record's unit from the cgroup of its sender, which is gone
 * if the sender was quicker to exit than the journal to look. A refusal is a
 * single record and an exit. So a job says itself which unit and which run of it
 * the record is about (OBJECT_SYSTEMD_*), in the very fields that `journalctl -u`
 * looks at as well, and believes from root.
 */

#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "journal/audit.h"
#include "os/process.h"

#define UNIT_PREFIX "vfiopt@"

void audit_source_deinit(AuditSource *source) {
        free(source->loginuid);
        free(source->unit);
        free(source->invocation);
        *source = (AuditSource){};
}

static int read_loginuid(int proc_fd, char **ret) {
        uid_t uid;
        int r;

        r = process_login_uid(proc_fd, getpid(), &uid);
        if (r)
                return r < 0 ? r : 0;

        *ret = text_format("%u", uid);
        return *ret ? 0 : -ENOMEM;
}

/* "0::/system.slice/system-vfiopt.slice/vfiopt@host.service": one line per hierarchy. */
static int read_unit(int proc_fd, char **ret) {
        _cleanup_(freep) char *data = NULL;
        char *rest, *line;
        int r;

        r = file_read(proc_fd, "self/cgroup", 65536, &data, NULL);
        if (r)
                return r < 0 ? r : 0;

        for (rest = data; (line = strsep(&rest, "\n"));) {
                const char *name = strrchr(line, '/');

                if (!name || !text_starts_with(name + 1, UNIT_PREFIX, NULL))
                        continue;
                *ret = strdup(name + 1);
                return *ret ? 0 : -ENOMEM;
        }
        return 0;
}

/**
 * audit_source_init() - find out on whose behalf this process speaks
 * @source:     to initialise; audit_source_deinit() it
 * @proc_fd:    root of procfs
 * @invocation: what the manager passed as $INVOCATION_ID, or NULL
 *
 * The invocation counts only if this is a job of ours: a shell may have inherited
 * one from the unit that its terminal runs in.
 *
 * Return: 0 on success, negative error code on failure.
 */
int audit_source_init(AuditSource *source, int proc_fd, const char *invocation) {
        AuditSource found = {};
        int r;

        r = read_loginuid(proc_fd, &found.loginuid);
        if (r >= 0)
                r = read_unit(proc_fd, &found.unit);
        if (r >= 0 && found.unit && invocation) {
                found.invocation = strdup(invocation);
                r = found.invocation ? 0 : -ENOMEM;
        }
        if (r < 0) {
                audit_source_deinit(&found);
                return r;
        }

        *source = found;
        return 0;
}
