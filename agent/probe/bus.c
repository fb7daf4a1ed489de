/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Bus Check
 *
 * A GPU that has fallen off the bus must not be unbound: the driver would wait for
 * answers that never come (nvidia-drm restores the console through the GPU). Its
 * configuration space tells, but to read that of a sleeping device is to wake it,
 * which takes long where that fails: then a child reads, within a limit.
 *
 * Once it fell off it is lost to the driver even if it answers again, so the
 * kernel's log has a say too, up to the last time that the driver was bound anew.
 */

#include <string.h>

#include "base/text.h"
#include "os/child.h"
#include "os/kmsg.h"
#include "probe/bus.h"

#define KMSG_MAX 8192U

typedef struct Request {
        Sysfs *sysfs;
        Address address;
} Request;

static int ask_device(void *userdata, int reply_fd) {
        Request *request = userdata;
        bool answers;
        int r;

        r = device_is_on_bus(request->sysfs, request->address, &answers);
        if (r == DEVICE_E_GONE)
                return -ENODEV;
        if (r < 0)
                return r;
        return write(reply_fd, answers ? "y" : "n", 1) == 1 ? 0 : -EIO;
}

/* Does it sleep? A device that is active is read at once, without any child. */
static bool is_awake(Sysfs *sysfs, Address address) {
        _cleanup_(freep) char *status = NULL;
        char path[DEVICE_PATH_MAX];

        if (sysfs_read(sysfs, device_path(address, "power/runtime_status", path), &status))
                return false;
        return !strcmp(status, "active");
}

/* @ret_error: 0, or what went wrong with asking, as a positive errno */
static int ask_in_child(Sysfs *sysfs,
                Address address,
                uint64_t limit_usec,
                bool *ret_answers,
                int *ret_error) {
        Request request = { .sysfs = sysfs, .address = address };
        int root_fd = sysfs_root_fd(sysfs), r;
        ChildOptions options = CHILD_OPTIONS_NULL;
        ChildResult result = {};

        options.limit_usec = limit_usec;
        options.keep = &root_fd;
        options.n_keep = 1;

        r = child_run(&options, ask_device, &request, &result);
        if (r == 0) {
                *ret_answers = result.n_reply == 1 && result.reply[0] == 'y';
                *ret_error = -result.answer;
        } else if (r > 0) {
                *ret_answers = false;
                *ret_error = r == CHILD_E_LATE ? ETIMEDOUT : EIO;
        }
        free(result.reply);
        return r < 0 ? r : 0;
}

/**
 * bus_check() - does a GPU answer?
 * @sysfs:      where from
 * @gpu:        GPU
 * @limit_usec: how long to wait for one that sleeps to wake up
 * @findings:   where to add FINDING_OFF_BUS
 *
 * Return: 0 on success, negative error code on failure.
 */
int bus_check(Sysfs *sysfs, const Gpu *gpu, uint64_t limit_usec, Findings *findings) {
        Address address = gpu->functions[0].address;
        bool answers = false;
        Finding *finding;
        int error = 0, r;

        if (is_awake(sysfs, address)) {
                r = device_is_on_bus(sysfs, address, &answers);
                error = r == DEVICE_E_GONE ? ENODEV : -r;
        } else {
                r = ask_in_child(sysfs, address, limit_usec, &answers, &error);
                if (r < 0)
                        return r;
        }
        if (answers)
                return 0;

        r = findings_push(findings, FINDING_OFF_BUS, address, &finding);
        if (r < 0)
                return r;
        finding->error = error;
        return 0;
}

/* What a message says about the GPU: that it is lost, that it is new, or nothing. */
static void read_message(const char *message, const char *name, const char *xid, bool *lost) {
        if (strstr(message, xid) ||
                        (strstr(message, name) && strstr(message, "fallen off the bus")))
                *lost = true;
        else if (strstr(message, name) &&
                        (strstr(message, "VGA decodes changed") || strstr(message, "] type 00 ")))
                *lost = false;
}

/**
 * bus_check_log() - has a GPU fallen off the bus since it was bound?
 * @dev_fd:     root of device nodes
 * @gpu:        GPU
 * @findings:   where to add FINDING_FELL_OFF
 *
 * Where the log cannot be read (further), there is no answer, and nothing is added:
 * what can be seen of the GPU itself was seen by bus_check().
 *
 * Return: 0 on success, negative error code on failure.
 */
int bus_check_log(int dev_fd, const Gpu *gpu, Findings *findings) {
        char buffer[KMSG_MAX], name[ADDRESS_STRING_MAX], xid[64];
        Address address = gpu->functions[0].address;
        _cleanup_(closep) int fd = -1;
        const char *message;
        bool lost = false;
        int r;

        r = kmsg_open(dev_fd, true, &fd);
        if (r)
                return r == KMSG_E_MISSING ? 0 : r;

        address_format(address, name);
        snprintf(xid, sizeof(xid), "NVRM: Xid (PCI:%.*s): 79,", (int) strlen(name) - 2, name);
        while (kmsg_next(fd, buffer, sizeof(buffer), &message) == 0)
                read_message(message, name, xid, &lost);

        return lost ? findings_push(findings, FINDING_FELL_OFF, address, NULL) : 0;
}
