/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Looking into a Process
 *
 * Asks the kernel about each open file, by the links in /proc/<pid>/fd: stat
 * through such a link gives the file itself, whatever mount namespace it was
 * opened in, and opens nothing. Rules:
 *
 *  * What could not be seen is remembered, not skipped. What has gone meanwhile is
 *    none: a process closes its files before its number goes away.
 *
 *  * The question must not wait for a dead file server, nor be refused by a FUSE
 *    mount of another user: so no attributes are asked for, and none that would
 *    have to be fetched (fuse_getattr(), nfs_getattr()). Type and number of a
 *    device node are always there.
 *
 *  * A process that ends gives up its memory and its table of files first, and only
 *    then the files themselves (do_exit() in kernel/exit.c: exit_mm(), exit_files(),
 *    exit_task_work()). In between it shows nothing and still uses everything. So one
 *    that shows nothing is waited for, if it is ending: a moment, and if that is not
 *    enough, it is not known what it has.
 *
 *  * Threads usually share their files, but need not; and the first, which the
 *    process is named after, may have ended, and shows neither files nor memory
 *    then while the others go on. kcmp(2) tells which have files of their own;
 *    memory they share always.
 *
 *  * No memory is allocated and no path is read for a file that is no device:
 *    there are tens of thousands.
 */

#include <fcntl.h>
#include <linux/kcmp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "base/file.h"
#include "os/process.h"
#include "probe/look.h"

/* A process that ends is gone in less, unless a driver keeps it. */
#define LIMIT_END_USEC (1 * USEC_PER_SEC)

static const char vfio_device[] = "anon_inode:[vfio-device]";

int look_new(int proc_fd, const Nodes *nodes, const MapsFilter *filter, Look **ret) {
        _cleanup_(look_freep) Look *look = NULL;

        look = calloc(1, sizeof(*look));
        if (!look)
                return -ENOMEM;

        look->proc_fd = proc_fd;
        look->nodes = nodes;
        look->filter = filter;
        look->seen = calloc(nodes->n + 1, 1);
        if (!look->seen)
                return -ENOMEM;

        *ret = TAKE_PTR(look);
        return 0;
}

Look *look_free(Look *look) {
        if (!look)
                return NULL;

        free(look->seen);
        free(look);
        return NULL;
}

/* Anything but "not there" means that we do not know. The first reason is kept. */
static void look_failed(Look *look, int e) {
        if (e != ENOENT && e != ESRCH && e != ENOTDIR && look->error == 0)
                look->error = e;
}

static void see(Look *look, const Node *node, unsigned char how) {
        if (node)
                look->seen[node - look->nodes->items] |= how;
}

/* The value of a line of fdinfo, in the buffer of @n bytes. Return: whether there is one. */
static bool read_info(int fd_dir, const char *name, const char *key, char *value, size_t n) {
        _cleanup_(freep) char *info = NULL;
        const char *line;
        char path[64];

        snprintf(path, sizeof(path), "../fdinfo/%.20s", name);
        if (file_read(fd_dir, path, 65536, &info, NULL))
                return false;
        line = strstr(info, key);
        if (!line || (line != info && line[-1] != '\n'))
                return false;

        line += strlen(key);
        line += strspn(line, " \t");
        snprintf(value, n, "%.*s", (int) strcspn(line, "\n"), line);
        return true;
}

/*
 * A file opened with O_PATH names the node and does not hold the device. Asked only
 * for files that were opened neither for reading nor for writing: these are either
 * such, or opened with access mode 3, for ioctl(2) alone.
 */
static bool is_path_only(int fd_dir, const char *name) {
        unsigned int flags;
        char value[32];
        struct stat st;

        if (fstatat(fd_dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_mode & 0600)
                return false;
        return read_info(fd_dir, name, "flags:", value, sizeof(value)) &&
                        sscanf(value, "%o", &flags) == 1 && flags & O_PATH;
}

/* A file without any node: is it an open device of VFIO? */
static const Node *find_vfio(const Look *look, int fd_dir, const char *name) {
        char target[sizeof(vfio_device)], path[4096];
        ssize_t n;

        n = readlinkat(fd_dir, name, target, sizeof(target));
        if (n != (ssize_t) strlen(vfio_device) || memcmp(target, vfio_device, n) != 0)
                return NULL;

        return nodes_find_vfio(look->nodes,
                        read_info(fd_dir, name, "vfio-device-syspath:", path, sizeof(path)) ? path
                                                                                            : NULL);
}

static void look_at_file(Look *look, int fd_dir, const char *name) {
        const Node *node = NULL;
        struct statx stx;

        if (statx(fd_dir, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &stx) < 0) {
                look_failed(look, errno);
                return;
        }

        if (S_ISCHR(stx.stx_mode) || S_ISBLK(stx.stx_mode)) {
                node = nodes_find(look->nodes, stx.stx_mode & S_IFMT,
                                makedev(stx.stx_rdev_major, stx.stx_rdev_minor));
                if (node && is_path_only(fd_dir, name))
                        return;
        } else if ((stx.stx_mode & S_IFMT) == 0 && look->nodes->has_vfio) {
                node = find_vfio(look, fd_dir, name);
        }
        see(look, node, SEEN_OPEN);
}

/* All open files of a thread. @path: the directory of its files, relative to procfs */
static void look_at_files(Look *look, const char *path) {
        _cleanup_(closep) int fd = -1;
        ssize_t n;

        fd = openat(look->proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) {
                look_failed(look, errno);
                return;
        }

        while ((n = getdents64(fd, look->buffer, sizeof(look->buffer))) > 0)
                for (ssize_t i = 0; i < n;) {
                        const struct dirent64 *entry = (void *) (look->buffer + i);

                        i += entry->d_reclen;
                        if (entry->d_name[0] == '.')
                                continue;
                        look_at_file(look, fd, entry->d_name);
                        look->has_files = true;
                }
        if (n < 0)
                look_failed(look, errno);
}

/* By number where the kernel lets us, by name elsewhere. */
static int look_at_mapping(void *userdata, const Mapping *mapping) {
        char path[PROCESS_PATH_MAX + 32];
        Look *look = userdata;
        struct statx stx;

        snprintf(path, sizeof(path), "%d/map_files/%jx-%jx", look->pid, (uintmax_t) mapping->start,
                        (uintmax_t) mapping->end);
        if (statx(look->proc_fd, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &stx) == 0 &&
                        (stx.stx_mode & S_IFMT) != 0)
                see(look,
                                nodes_find(look->nodes, stx.stx_mode & S_IFMT,
                                                makedev(stx.stx_rdev_major, stx.stx_rdev_minor)),
                                SEEN_MAPPED);
        else if (mapping->n_path > 5 && !memcmp(mapping->path, "/dev/", 5))
                see(look, nodes_find_name(look->nodes, mapping->path + 5, mapping->n_path - 5),
                                SEEN_MAPPED);
        else if (mapping->n_path == strlen(vfio_device) &&
                        !memcmp(mapping->path, vfio_device, mapping->n_path))
                see(look, nodes_find_vfio(look->nodes, NULL), SEEN_MAPPED);
        return 0;
}

/*
 * All mappings of a process. Return: whether it has any memory; a kernel thread has
 * none, nor has a thread that has ended.
 */
static bool look_at_maps(Look *look, const char *path) {
        Maps maps = {
                .filter = look->filter,
                .buffer = look->buffer,
                .n_buffer = sizeof(look->buffer),
                .fn = look_at_mapping,
                .userdata = look,
        };
        _cleanup_(closep) int fd = -1;
        int r;

        fd = openat(look->proc_fd, path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
                look_failed(look, errno);
                return false;
        }

        maps.fd = fd;
        r = maps_search(&maps);
        if (r < 0)
                look_failed(look, -r);
        return r != MAPS_E_NONE;
}

static bool share_files(pid_t a, pid_t b) {
        return a == b || syscall(SYS_kcmp, a, b, KCMP_FILES, 0UL, 0UL) == 0;
}

/*
 * The files of all threads that have a table of their own, and, where the first
 * thread has no memory any more, the memory as another one has it.
 */
static int look_at_threads(Look *look, bool *has_maps) {
        _cleanup_(freep) pid_t *tids = NULL;
        char path[PROCESS_PATH_MAX];
        pid_t like = look->pid;
        size_t n = 0;
        int r;

        r = process_list_threads(look->proc_fd, look->pid, &tids, &n);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                look_failed(look, -r);

        for (size_t i = 0; i < n; ++i) {
                if (!*has_maps && tids[i] != look->pid) {
                        snprintf(path, sizeof(path), "%d/task/%d/maps", look->pid, tids[i]);
                        *has_maps = look_at_maps(look, path);
                }
                if (share_files(like, tids[i]))
                        continue;
                like = tids[i];
                snprintf(path, sizeof(path), "%d/task/%d/fd", look->pid, like);
                look_at_files(look, path);
        }
        return 0;
}

/* One that shows nothing: has it nothing, or is it about to end? */
static void look_at_end(Look *look) {
        int r;

        r = process_wait_for_end(look->proc_fd, look->pid, LIMIT_END_USEC);
        if (r == PROCESS_E_LATE)
                r = -ETIMEDOUT;
        if (r < 0)
                look_failed(look, -r);
}

/**
 * look_at_process() - look at all files and mappings of a process
 * @look:       what is looked for; what is found is in .seen then
 * @pid:        process
 *
 * Return: 0 on success, also if something could not be seen (.error); negative
 *         error code if the memory is short.
 */
int look_at_process(Look *look, pid_t pid) {
        char path[PROCESS_PATH_MAX];
        size_t n_threads = 0;
        bool has_maps;
        int r;

        look->pid = pid;
        look->error = 0;
        look->has_files = false;
        memset(look->seen, 0, look->nodes->n);

        r = process_count_threads(look->proc_fd, look->pid, &n_threads);
        if (r < 0)
                look_failed(look, -r);

        snprintf(path, sizeof(path), "%d/maps", look->pid);
        has_maps = look_at_maps(look, path);
        r = 0;
        /* With neither it would be a kernel thread, a zombie, or about to be one. */
        if (has_maps || n_threads != 1 || look->error != 0) {
                snprintf(path, sizeof(path), "%d/fd", look->pid);
                look_at_files(look, path);
        }
        if (n_threads > 1)
                r = look_at_threads(look, &has_maps);
        if (look->error == 0 && (!has_maps || !look->has_files))
                look_at_end(look);
        return r;
}
