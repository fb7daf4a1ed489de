/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Watching
 *
 * A directory that is not there yet is watched from when it is: our own appear with the
 * first job at the latest, and vfiopt.conf.d is an entry of one that is watched.
 *
 * The end of a job is told by the manager. But a GPU may be switched without one, in a
 * rescue shell; then it is the lock file that goes. Who is killed leaves it, but closed.
 */

#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <systemd/sd-event.h>

#include "daemon/watch.h"
#include "os/udev.h"
#include "vfiopt/names.h"

#define SUBSYSTEM "pci"

/* Longer than udev takes to load a driver. */
#define LIMIT_QUEUE_USEC (20 * USEC_PER_SEC)

#define MASK_GONE (IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define MASK_FILES                                                                          \
        (IN_ATTRIB | IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | \
                        MASK_GONE)
/* What is closed after it was removed was told of already. */
#define MASK_LOCKS (IN_CLOSE_WRITE | IN_DELETE | IN_EXCL_UNLINK | MASK_GONE)

struct Watch {
        sd_event *event;
        Watcher watcher;
        UdevMonitor *monitor;
        UdevQueue *queue; /* while it is waited for */
        sd_event_source *devices;
        sd_event_source *settled;
        sd_event_source *limit;
        bool overdue;        /* it was waited for long enough */
        struct stat etc_dir; /* those that are watched */
        struct stat run_dir;
        sd_event_source *etc;
        sd_event_source *config;
        sd_event_source *lock;
        sd_event_source *records;
};

static int on_devices(sd_event_source *source _unused_,
                int fd _unused_,
                uint32_t events _unused_,
                void *userdata) {
        Watch *watch = userdata;
        int r;

        r = udev_monitor_read(watch->monitor, watch->watcher.device, watch->watcher.userdata);
        if (r == UDEV_MONITOR_E_LOST)
                watch->watcher.lost(watch->watcher.userdata);
        return r < 0 ? r : 0;
}

/**
 * watch_new() - begin to watch
 * @event:      loop
 * @watcher:    who is told
 * @ret:        watch; watch_free() it
 *
 * Devices are watched at once, directories from watch_update() on.
 *
 * Return: 0 on success, negative error code on failure.
 */
int watch_new(sd_event *event, const Watcher *watcher, Watch **ret) {
        _cleanup_(watch_freep) Watch *watch = calloc(1, sizeof(*watch));
        int r;

        if (!watch)
                return -ENOMEM;
        watch->event = sd_event_ref(event);
        watch->watcher = *watcher;

        r = udev_monitor_open(SUBSYSTEM, VFIOPT_UDEV_TAG, &watch->monitor);
        if (r >= 0)
                r = sd_event_add_io(event, &watch->devices, udev_monitor_fd(watch->monitor),
                                EPOLLIN, on_devices, watch);
        /* Better to be started again than to be deaf. */
        if (r >= 0)
                r = sd_event_source_set_exit_on_failure(watch->devices, true);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(watch);
        return 0;
}

static void drop_queue(Watch *watch) {
        watch->settled = sd_event_source_disable_unref(watch->settled);
        watch->limit = sd_event_source_disable_unref(watch->limit);
        watch->overdue = false;
        watch->queue = udev_queue_close(watch->queue);
}

/* Takes and returns NULL. */
Watch *watch_free(Watch *watch) {
        if (!watch)
                return NULL;

        sd_event_source_disable_unref(watch->devices);
        sd_event_source_disable_unref(watch->etc);
        sd_event_source_disable_unref(watch->config);
        sd_event_source_disable_unref(watch->lock);
        sd_event_source_disable_unref(watch->records);
        drop_queue(watch);
        udev_monitor_close(watch->monitor);
        sd_event_unref(watch->event);
        free(watch);
        return NULL;
}

/* A directory that has gone is not watched any more; another one of its name, anew. */
static void drop_if_gone(sd_event_source **source, const struct inotify_event *event) {
        if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED))
                *source = sd_event_source_disable_unref(*source);
}

static int
on_etc(sd_event_source *source _unused_, const struct inotify_event *event, void *userdata) {
        const char *name = event->len > 0 ? event->name : "";
        Watch *watch = userdata;

        drop_if_gone(&watch->etc, event);
        if (!strcmp(name, VFIOPT_ETC_CONFIG) || !strcmp(name, VFIOPT_ETC_DROPINS))
                watch->watcher.reconfigured(watch->watcher.userdata);
        else
                watch->watcher.changed(watch->watcher.userdata);
        return 0;
}

static int
on_config(sd_event_source *source _unused_, const struct inotify_event *event, void *userdata) {
        Watch *watch = userdata;

        drop_if_gone(&watch->config, event);
        watch->watcher.reconfigured(watch->watcher.userdata);
        return 0;
}

static int on_run(sd_event_source *source, const struct inotify_event *event, void *userdata) {
        Watch *watch = userdata;

        drop_if_gone(source == watch->lock ? &watch->lock : &watch->records, event);
        watch->watcher.changed(watch->watcher.userdata);
        return 0;
}

/* Return: 0, also if there is no such directory (yet), or a negative error code. */
static int add(Watch *watch,
                sd_event_source **source,
                int dir_fd,
                const char *folder,
                uint32_t mask,
                sd_event_inotify_handler_t handler) {
        _cleanup_(closep) int fd = -1;
        int r;

        if (*source || dir_fd < 0)
                return 0;

        /* A link as well: what is read by way of one is to be watched, too. */
        fd = openat(dir_fd, folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : -errno;
        r = sd_event_add_inotify_fd(watch->event, source, fd, mask, handler, watch);
        return r < 0 ? r : 0;
}

/* Whether a directory is another one than before; of none that is there, nothing is watched. */
static bool has_changed(int dir_fd, struct stat *known) {
        struct stat now = {};
        bool changed;

        if (dir_fd >= 0)
                (void) fstat(dir_fd, &now);
        changed = now.st_dev != known->st_dev || now.st_ino != known->st_ino;
        *known = now;
        return changed;
}

/**
 * watch_update() - watch the directories that there are now
 * @watch:      watch
 * @roots:      etc_fd and run_fd may be missing
 *
 * To be called before they are looked into, so that nothing is missed between.
 *
 * Return: 0 on success, negative error code on failure.
 */
int watch_update(Watch *watch, const Roots *roots) {
        int r;

        if (has_changed(roots->etc_fd, &watch->etc_dir)) {
                watch->etc = sd_event_source_disable_unref(watch->etc);
                watch->config = sd_event_source_disable_unref(watch->config);
        }
        if (has_changed(roots->run_fd, &watch->run_dir)) {
                watch->lock = sd_event_source_disable_unref(watch->lock);
                watch->records = sd_event_source_disable_unref(watch->records);
        }

        r = add(watch, &watch->etc, roots->etc_fd, ".", MASK_FILES, on_etc);
        if (r >= 0)
                r = add(watch, &watch->config, roots->etc_fd, VFIOPT_ETC_DROPINS, MASK_FILES,
                                on_config);
        if (r >= 0)
                r = add(watch, &watch->lock, roots->run_fd, VFIOPT_RUN_LOCK, MASK_LOCKS, on_run);
        if (r >= 0)
                r = add(watch, &watch->records, roots->run_fd, VFIOPT_RUN_GPU,
                                IN_DELETE | IN_MOVED_TO | MASK_GONE, on_run);
        return r;
}

static int on_queue(sd_event_source *source _unused_,
                int fd _unused_,
                uint32_t events _unused_,
                void *userdata) {
        Watch *watch = userdata;

        udev_queue_clear(watch->queue);
        watch->watcher.changed(watch->watcher.userdata);
        return 0;
}

static int on_limit(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) {
        Watch *watch = userdata;

        watch->overdue = true;
        watch->watcher.changed(watch->watcher.userdata);
        return 0;
}

static int wait_for_queue(Watch *watch) {
        int fd, r;

        if (watch->settled)
                return 0;
        fd = udev_queue_fd(watch->queue);
        if (fd < 0)
                return fd;
        r = sd_event_add_io(watch->event, &watch->settled, fd, EPOLLIN, on_queue, watch);
        if (r >= 0)
                r = sd_event_add_time_relative(watch->event, &watch->limit, CLOCK_MONOTONIC,
                                LIMIT_QUEUE_USEC, 0, on_limit, watch);
        return r < 0 ? r : 0;
}

/**
 * watch_settle() - has udev dealt with everything?
 * @watch:      watch
 * @ret_settled: whether it has; if not, changed() is called when it may have
 *
 * A card is several functions with several events each, and comes and goes one by one: in
 * the middle of it there is nothing to be seen that lasts. But udev that is killed, or
 * stopped, leaves the file behind that says it is busy, so the wait has a limit.
 *
 * Return: 0 on success, negative error code on failure.
 */
int watch_settle(Watch *watch, bool *ret_settled) {
        bool settled;
        int r = 0;

        if (!watch->queue)
                r = udev_queue_open(&watch->queue);
        if (r < 0)
                return r;

        settled = watch->overdue || udev_queue_is_idle(watch->queue);
        if (!settled) {
                r = wait_for_queue(watch);
                settled = udev_queue_is_idle(watch->queue);
        }
        if (settled)
                drop_queue(watch);
        if (r < 0)
                return r;

        *ret_settled = settled;
        return 0;
}
