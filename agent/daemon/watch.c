/* SPDX-License-Identifier: LGPL-2.1-or-later */

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

enum {
        FOLDER_ETC,
        FOLDER_DROPINS,
        FOLDER_LOCK,
        FOLDER_RECORDS,
        _FOLDER_MAX,
};

static const struct {
        const char *name;
        uint32_t mask;
        bool in_run; /* or in etc */
} folders[_FOLDER_MAX] = {
        [FOLDER_ETC] = { ".", MASK_FILES, false },
        [FOLDER_DROPINS] = { VFIOPT_ETC_DROPINS, MASK_FILES, false },
        /* The file of a guard is closed when the lock is free (lock_release()). */
        [FOLDER_LOCK] = { VFIOPT_RUN_LOCK, IN_CLOSE_WRITE | IN_DELETE | IN_EXCL_UNLINK | MASK_GONE,
                        true },
        [FOLDER_RECORDS] = { VFIOPT_RUN_GPU, IN_DELETE | IN_MOVED_TO | MASK_GONE, true },
};

struct Watch {
        sd_event_source *look;
        Watcher watcher;
        UdevMonitor *monitor;
        sd_event_source *devices;
        UdevQueue *queue; /* of udev, while it is waited for; or NULL */
        sd_event_source *settled;
        sd_event_source *limit;
        bool overdue;        /* the queue was waited for long enough */
        struct stat dirs[2]; /* in etc and in run, whose folders are watched */
        sd_event_source *folders[_FOLDER_MAX];
};

static int on_devices(sd_event_source *source _unused_,
                int fd _unused_,
                uint32_t events _unused_,
                void *userdata) {
        Watch *watch = userdata;
        int r;

        r = udev_monitor_read(watch->monitor, watch->watcher.device, watch->watcher.userdata);
        if (r == UDEV_MONITOR_E_LOST)
                watch->watcher.reset(watch->watcher.userdata, false);
        (void) sd_event_source_set_enabled(watch->look, SD_EVENT_ONESHOT);
        return r < 0 ? r : 0;
}

/**
 * watch_new() - begin to watch
 * @look:       event source to enable on each change; outlives the watch
 * @watcher:    is called for changes that the look does not find by itself
 * @ret:        watch; watch_free() it
 *
 * Devices are watched at once, directories from watch_update() on.
 *
 * Return: 0 on success, negative error code on failure.
 */
int watch_new(sd_event_source *look, const Watcher *watcher, Watch **ret) {
        _cleanup_(watch_freep) Watch *watch = calloc(1, sizeof(*watch));
        int r;

        if (!watch)
                return -ENOMEM;
        watch->look = look;
        watch->watcher = *watcher;

        r = udev_monitor_open(SUBSYSTEM, VFIOPT_UDEV_TAG, &watch->monitor);
        if (r < 0)
                return r;
        r = sd_event_add_io(sd_event_source_get_event(look), &watch->devices,
                        udev_monitor_fd(watch->monitor), EPOLLIN, on_devices, watch);
        if (r < 0)
                return r;
        /* Better to be restarted than to be deaf. */
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

        for (size_t i = 0; i < _FOLDER_MAX; ++i)
                sd_event_source_disable_unref(watch->folders[i]);
        drop_queue(watch);
        sd_event_source_disable_unref(watch->devices);
        udev_monitor_close(watch->monitor);
        free(watch);
        return NULL;
}

static int on_file(sd_event_source *source, const struct inotify_event *event, void *userdata) {
        const char *name = event->len > 0 ? event->name : "";
        Watch *watch = userdata;
        const bool is_config = source == watch->folders[FOLDER_DROPINS] ||
                        (source == watch->folders[FOLDER_ETC] &&
                                        (!strcmp(name, VFIOPT_ETC_CONFIG) ||
                                                        !strcmp(name, VFIOPT_ETC_DROPINS)));

        /* What is lost may have been a word of the administrator's. */
        if (is_config || event->mask & IN_Q_OVERFLOW)
                watch->watcher.reset(watch->watcher.userdata, true);
        (void) sd_event_source_set_enabled(watch->look, SD_EVENT_ONESHOT);

        /* A directory that is gone is watched no more. watch_update() finds its successor. */
        for (size_t i = 0; i < _FOLDER_MAX; ++i)
                if (source == watch->folders[i] &&
                                event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED))
                        watch->folders[i] = sd_event_source_disable_unref(source);
        return 0;
}

/**
 * watch_update() - watch the directories that exist now
 * @watch:      watch
 * @roots:      etc_fd and run_fd may be missing
 *
 * To be called before the directories are read, so that no change is missed in between. Those that
 * are missing are watched as soon as they exist: a first job makes ours, and VFIOPT_ETC_DROPINS is
 * an entry of a directory that is watched.
 *
 * Return: 0 on success, negative error code on failure.
 */
int watch_update(Watch *watch, const Roots *roots) {
        const int dirs[] = { roots->etc_fd, roots->run_fd };
        bool replaced[ARRAY_SIZE(dirs)];
        int r;

        for (size_t i = 0; i < ARRAY_SIZE(dirs); ++i) {
                struct stat now = {};

                if (dirs[i] >= 0)
                        (void) fstat(dirs[i], &now);
                replaced[i] = now.st_dev != watch->dirs[i].st_dev ||
                                now.st_ino != watch->dirs[i].st_ino;
                watch->dirs[i] = now;
        }

        for (size_t i = 0; i < _FOLDER_MAX; ++i) {
                _cleanup_(closep) int fd = -1;

                if (replaced[folders[i].in_run])
                        watch->folders[i] = sd_event_source_disable_unref(watch->folders[i]);
                if (watch->folders[i] || dirs[folders[i].in_run] < 0)
                        continue;
                /* Symbolic links are followed, as they are when the files are read. */
                fd = openat(dirs[folders[i].in_run], folders[i].name,
                                O_PATH | O_DIRECTORY | O_CLOEXEC);
                if (fd < 0 && errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
                        return -errno;
                if (fd < 0)
                        continue;
                r = sd_event_add_inotify_fd(sd_event_source_get_event(watch->look),
                                &watch->folders[i], fd, folders[i].mask, on_file, watch);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int on_queue(sd_event_source *source _unused_,
                int fd _unused_,
                uint32_t events _unused_,
                void *userdata) {
        Watch *watch = userdata;

        udev_queue_clear(watch->queue);
        (void) sd_event_source_set_enabled(watch->look, SD_EVENT_ONESHOT);
        return 0;
}

static int on_limit(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) {
        Watch *watch = userdata;

        watch->overdue = true;
        (void) sd_event_source_set_enabled(watch->look, SD_EVENT_ONESHOT);
        return 0;
}

/**
 * watch_settle() - has udev processed all events?
 * @watch:      watch
 * @ret_settled: whether it has; if not, the next look is enabled when it may have
 *
 * A card is several functions with several events each, which come and go one by one; nothing that
 * is seen in between lasts. But a udev that is killed or stopped leaves a queue behind that is never
 * empty, so the wait has a limit.
 *
 * Return: 0 on success, negative error code on failure.
 */
int watch_settle(Watch *watch, bool *ret_settled) {
        sd_event *event = sd_event_source_get_event(watch->look);
        int r;

        if (!watch->queue) {
                r = udev_queue_open(&watch->queue);
                if (r < 0)
                        return r;
        }
        if (!watch->settled && !udev_queue_is_idle(watch->queue)) {
                r = udev_queue_fd(watch->queue);
                if (r >= 0)
                        r = sd_event_add_io(event, &watch->settled, r, EPOLLIN, on_queue, watch);
                if (r >= 0)
                        r = sd_event_add_time_relative(event, &watch->limit, CLOCK_MONOTONIC,
                                        LIMIT_QUEUE_USEC, 0, on_limit, watch);
                if (r < 0) {
                        drop_queue(watch);
                        return r;
                }
        }

        /* The queue may have become empty before it was watched. */
        *ret_settled = watch->overdue || udev_queue_is_idle(watch->queue);
        if (*ret_settled)
                drop_queue(watch);
        return 0;
}
