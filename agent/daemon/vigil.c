/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Vigils
 *
 * It is no child of ours. But its pidfd becomes readable when it ends, and needs no right
 * over it. By then the kernel has closed its files and dropped its locks, so whoever looks
 * next sees that it is over. (A file is told to be closed before its lock is dropped:
 * fs/file_table.c, __fput().)
 */

#include <sys/pidfd.h>
#include <systemd/sd-event.h>

#include "daemon/vigil.h"
#include "os/systemd.h"
#include "vfiopt/names.h"

struct Vigil {
        sd_event_source *source;
        int inhibit_fd;
        VigilFn fn;
        void *userdata;
};

static int
on_end(sd_event_source *source, int fd _unused_, uint32_t events _unused_, void *userdata) {
        Vigil *vigil = userdata;

        /* It stays readable; whoever keeps the vigil will end it. */
        (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
        vigil->fn(vigil->userdata);
        return 0;
}

/**
 * vigil_new() - wait for the end of a process
 * @event:      loop
 * @pid:        which
 * @fn:         called when it has ended
 * @userdata:   for it
 * @ret:        vigil; vigil_free() it, not in @fn
 *
 * Return: 0 on success, VIGIL_E_GONE if it has ended, negative error code on failure.
 */
int vigil_new(sd_event *event, pid_t pid, VigilFn fn, void *userdata, Vigil **ret) {
        _cleanup_(vigil_freep) Vigil *vigil = calloc(1, sizeof(*vigil));
        int fd, r;

        if (!vigil)
                return -ENOMEM;
        *vigil = (Vigil){ .inhibit_fd = -1, .fn = fn, .userdata = userdata };

        fd = pidfd_open(pid, 0);
        /* Its number may still be that of its group or session, or of another one's thread
         * (kernel/pid.c, pidfd_create(); kernel/fork.c, pidfd_prepare()). */
        if (fd < 0)
                return errno == ESRCH || errno == EINVAL || errno == ENOENT ? VIGIL_E_GONE : -errno;
        r = sd_event_add_io(event, &vigil->source, fd, EPOLLIN, on_end, vigil);
        if (r < 0) {
                close(fd);
                return r;
        }
        (void) sd_event_source_set_io_fd_own(vigil->source, true);

        *ret = TAKE_PTR(vigil);
        return 0;
}

/* Takes and returns NULL. The machine may sleep again. */
Vigil *vigil_free(Vigil *vigil) {
        if (!vigil)
                return NULL;

        sd_event_source_disable_unref(vigil->source);
        closep(&vigil->inhibit_fd);
        free(vigil);
        return NULL;
}

/* Keep the machine from going to sleep meanwhile. Return: 0, or a negative error code. */
int vigil_inhibit_sleep(Vigil *vigil, Address gpu) {
        char address[ADDRESS_STRING_MAX], why[96];

        snprintf(why, sizeof(why), "GPU %s is stuck in the kernel, and sleep would hang",
                        address_format(gpu, address));
        return systemd_inhibit_sleep(VFIOPT_NAME, why, &vigil->inhibit_fd);
}
