/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Asks the kernel about each open file, by the links in /proc/<pid>/fd: stat
 * through such a link gives the file itself, whatever mount namespace it was
 * opened in, and opens nothing. Rules:
 *
 *  * What could not be seen is remembered, not skipped.
 *
 *  * The question must not wait for a dead file server, nor be refused by a FUSE
 *    mount of another user: so no attributes are asked for that would have to be fetched
 *    (fuse_getattr(), nfs_getattr()). Type and number of a device node are always there.
 *
 *  * A process that ends gives up its memory and its table of files first, and only
 *    then the files themselves (do_exit() in kernel/exit.c: exit_mm(), exit_files(),
 *    exit_task_work()). In between it shows nothing and still uses everything. So
 *    whether it is ending is an outcome of its own, and the caller waits for it.
 *
 *  * Threads usually share their files, but need not; and the first, which the
 *    process is named after, may have ended, and shows neither files nor memory
 *    then while the others go on. kcmp(2) tells which have files of their own;
 *    memory they share always. It tells of processes, too, whether they share a table:
 *    of a large one that was looked at already, the answer is known.
 *
 *  * Files come before mappings: a process opens, maps, and closes. No process is left out for
 *    having no memory (KERNEL.md 5.9).
 *
 *  * A mapping keeps a device open after its file descriptor was closed. The kernel
 *    tells the inode and file system of a mapping, not the device number, so a
 *    mapping by itself proves nothing: it only decides whether map_files is asked. Its
 *    name proves nothing either: any user can mount a file of his own at any path. So the
 *    name is used only where map_files may not be asked.
 *
 *  * Mappings can be moved while maps is read, and be in neither place. The directory map_files
 *    has all that there are at one moment. So if one of them is worth a question, all of these
 *    are asked for, until each was still there; if that never comes true, it is not known what
 *    they are. None that is worth a question is an answer that is asked for several times.
 *
 *  * No memory is allocated and no path is read for a file that is no device.
 */

#include <fcntl.h>
#include <linux/kcmp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "base/file.h"
#include "base/text.h"
#include "os/maps-query.h"
#include "os/process.h"
#include "probe/open-files.h"

/* Names of files that are listed at once, in bytes. */
#define LIST_SIZE 1024U

/* So often is a table listed while some of it cannot be found; or until so many files were listed. */
#define N_LISTS  4U
#define N_LISTED 4096U

/* Since Linux 6.17 a query may overlook a mapping that is moved just then. */
#define N_PASSES 3U

/* Who moves mappings as often, each time while they are asked for, does so on purpose. */
#define N_MOVES 8U

enum {
        _MAPS_E_SUCCESS,

        MAPS_E_NONE,        /* there is no memory at all: a kernel thread, or one that has ended */
        MAPS_E_UNSUPPORTED, /* this kernel has no such query */
};

static const char vfio_device[] = "anon_inode:[vfio-device]";

/**
 * open_files_new() - prepare for looking into processes
 * @roots:      roots
 * @sets:       what is looked for: the nodes of each GPU; must stay
 * @n_sets:     how many
 * @deep:       whether to look for private mappings, too
 * @ret:        open_files_free() it
 *
 * Return: 0 on success, negative error code on failure.
 */
int open_files_new(const Roots *roots,
                const DevNodes *sets,
                size_t n_sets,
                bool deep,
                OpenFiles **ret) {
        _cleanup_(open_files_freep) OpenFiles *files = NULL;
        _cleanup_(closep) int fd = -1;
        struct stat st;

        files = calloc(1, sizeof(*files));
        if (!files)
                return -ENOMEM;
        files->proc_fd = roots->proc_fd;
        files->sets = sets;
        files->n_sets = n_sets;
        files->deep = deep;
        files->is_real = procfs_is_real(roots->proc_fd);
        files->lock_fd = -1;
        files->firsts = calloc(n_sets + 1, sizeof(*files->firsts));
        if (!files->firsts)
                return -ENOMEM;
        for (size_t i = 0; i < n_sets; ++i) {
                files->firsts[i + 1] = files->firsts[i] + sets[i].n;
                files->has_vfio |= sets[i].has_vfio;
        }
        files->seen = calloc(files->firsts[n_sets] + 1, 1);
        files->table = calloc(files->firsts[n_sets] + 1, 1);
        if (!files->seen || !files->table)
                return -ENOMEM;

        if (fstat(roots->dev_fd, &st) == 0)
                files->nodes_fs = st.st_dev;
        /* Files of memory, System V's shared memory and graphics buffers are all in one. */
        fd = memfd_create("vfiopt", MFD_CLOEXEC);
        if (fd >= 0 && fstat(fd, &st) == 0)
                files->memory_fs = st.st_dev;

        *ret = TAKE_PTR(files);
        return 0;
}

OpenFiles *open_files_free(OpenFiles *files) {
        if (!files)
                return NULL;

        free(files->firsts);
        free(files->seen);
        free(files->table);
        free(files);
        return NULL;
}

/* Anything but "not there" means that we do not know. The first reason is kept. */
static void note_error(OpenFiles *files, int e) {
        if (e != ENOENT && e != ESRCH && e != ENOTDIR && files->error == 0)
                files->error = e;
}

/* @seen: of the process, or of one table */
static void note_node(OpenFiles *files,
                unsigned char *seen,
                size_t set,
                const DevNode *node,
                unsigned char how) {
        if (node)
                seen[files->firsts[set] + (node - files->sets[set].items)] |= how;
}

/* files */

/* The value of a line of fdinfo, in the buffer of @n bytes. Return: whether there is one. */
static bool read_info(int fd_dir, const char *name, const char *key, char *value, size_t n) {
        _cleanup_(freep) char *info = NULL;
        const char *found;
        size_t n_found;
        char path[64];

        snprintf(path, sizeof(path), "../fdinfo/%.20s", name);
        if (file_read(fd_dir, path, 65536, &info, NULL))
                return false;
        found = text_find_value(info, key, &n_found);
        if (!found)
                return false;

        snprintf(value, n, "%.*s", (int) n_found, found);
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

/* Return: whether it is still open. */
static bool look_at_file(OpenFiles *files, int fd_dir, const char *name) {
        char target[sizeof(vfio_device)], path[4096];
        bool found = false, told;
        const DevNode *node;
        struct statx stx;

        if (statx(fd_dir, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &stx) < 0) {
                note_error(files, errno);
                return errno != ENOENT;
        }

        if (S_ISCHR(stx.stx_mode) || S_ISBLK(stx.stx_mode)) {
                for (size_t i = 0; i < files->n_sets; ++i) {
                        node = devnodes_find(&files->sets[i], stx.stx_mode & S_IFMT,
                                        makedev(stx.stx_rdev_major, stx.stx_rdev_minor));
                        if (node && !found && is_path_only(fd_dir, name))
                                return true;
                        found |= node != NULL;
                        note_node(files, files->table, i, node, SEEN_OPEN);
                }
        } else if ((stx.stx_mode & S_IFMT) == 0 && files->has_vfio) {
                /* A file without any node: is it an open device of VFIO? */
                ssize_t n = readlinkat(fd_dir, name, target, sizeof(target));

                if (n != (ssize_t) strlen(vfio_device) || memcmp(target, vfio_device, n) != 0)
                        return true;
                told = read_info(fd_dir, name, "vfio-device-syspath:", path, sizeof(path));
                for (size_t i = 0; i < files->n_sets; ++i) {
                        node = devnodes_find_vfio(&files->sets[i], told ? path : NULL);
                        note_node(files, files->table, i, node, SEEN_OPEN);
                }
        }
        return true;
}

/* A large table that was looked at by way of another thread: then .table is filled in. */
static bool recall_table(OpenFiles *files, pid_t tid) {
        bool found = file_tables_recall(files->tables, tid, files->table,
                        files->firsts[files->n_sets], &files->compares);

        files->has_files |= found;
        return found;
}

/* Once through, a few at a time. @asked: for a large table, already. Return: whether all were still open */
static bool list_table(OpenFiles *files, int fd, pid_t tid, bool asked, size_t *ret_n_files) {
        size_t n_files = 0;
        bool all = true;
        ssize_t n;

        (void) lseek(fd, 0, SEEK_SET);
        while ((n = getdents64(fd, files->buffer, LIST_SIZE)) > 0)
                for (ssize_t i = 0; i < n;) {
                        const struct dirent64 *entry = (void *) (files->buffer + i);

                        i += entry->d_reclen;
                        if (entry->d_name[0] == '.')
                                continue;
                        if (++n_files == FILE_TABLE_LARGE && !asked && recall_table(files, tid)) {
                                *ret_n_files = 0;
                                return true;
                        }
                        all &= look_at_file(files, fd, entry->d_name);
                        files->has_files = true;
                        atomic_fetch_add_explicit(&files->steps, 1, memory_order_relaxed);
                }
        if (n < 0)
                note_error(files, errno);
        *ret_n_files = n_files;
        return all;
}

/*
 * Fill .table with the open files of a thread. How many there are is known beforehand since Linux 6.2
 * (fs/proc/fd.c: proc_fd_getattr()), with those that are being opened: to list a large table takes long. One that is
 * not in the list, or has gone, may have got a number that had been passed by. Then once more: so often
 * that only who moves a file on purpose is not seen through; of a large table, seldom.
 */
static void fill_table(OpenFiles *files, int fd, pid_t tid) {
        size_t n_files = 0, n_listed = 0;
        bool all = false, moves = false;
        struct stat st = {};
        unsigned int i;

        for (i = 0; !all && (i < N_LISTS || (moves && files->is_real && n_listed < N_LISTED));
                        ++i) {
                if (files->is_real && fstat(fd, &st) < 0)
                        st.st_size = 0;
                if (i == 0 && st.st_size >= FILE_TABLE_LARGE && recall_table(files, tid))
                        return;
                all = list_table(files, fd, tid, i > 0 || st.st_size > 0, &n_files);
                moves |= !all;
                all = all && (off_t) n_files >= st.st_size;
                n_listed += n_files + 1;
        }
        if (!all && i > N_LISTS)
                note_error(files, EAGAIN);
        if (files->error == 0 && n_files >= FILE_TABLE_LARGE)
                file_tables_remember(
                                files->tables, tid, files->table, files->firsts[files->n_sets]);
}

/* All open files of a thread. @path: the directory of its files, relative to procfs */
static void look_at_files(OpenFiles *files, const char *path, pid_t tid) {
        const size_t n_nodes = files->firsts[files->n_sets];
        _cleanup_(closep) int fd = -1;

        fd = openat(files->proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) {
                note_error(files, errno);
                return;
        }
        memset(files->table, 0, n_nodes);
        fill_table(files, fd, tid);
        for (size_t i = 0; i < n_nodes; ++i)
                files->seen[i] |= files->table[i];
}

/* mappings */

/*
 * Whether a mapping could be of a device: a shared one of anything but shared memory,
 * since a container may have a node of its own under any name; and a private one of what
 * lies where device nodes do. Elsewhere these are programs and libraries, by the thousand.
 */
static bool is_suspect(const OpenFiles *files, bool shared, dev_t fs, uint64_t inode) {
        if (inode == 0 || (fs == files->memory_fs && fs != 0))
                return false;
        return shared || fs == files->nodes_fs;
}

/*
 * Wait until the mappings of the process can be asked about, by a read that SIGKILL ends. To look a
 * name up in map_files takes the same lock, but whoever looks up the same one meanwhile waits for the first,
 * and SIGKILL does not end that: any user can look up the mappings of his own (KERNEL.md 5.7).
 */
static void wait_for_lock(OpenFiles *files) {
        char path[PROCESS_PATH_MAX];
        uint64_t entry;

        if (files->lock_fd < 0) {
                snprintf(path, sizeof(path), "%d/pagemap", files->memory);
                files->lock_fd = openat(files->proc_fd, path, O_RDONLY | O_CLOEXEC);
        }
        if (files->lock_fd >= 0 && pread(files->lock_fd, &entry, sizeof(entry), 0) < 0)
                return;
}

/*
 * One that may be of a device. If the kernel lets us follow map_files, all are asked for there; else,
 * without privilege, its name decides (fs/proc/base.c: proc_map_files_get_link()). @name: as the
 * kernel prints it
 */
static void look_at_mapping(
                OpenFiles *files, uint64_t start, uint64_t end, const char *name, size_t n) {
        static const char deleted[] = " (deleted)";
        char path[PROCESS_PATH_MAX + 32];
        struct statx stx;

        atomic_fetch_add_explicit(&files->steps, 1, memory_order_relaxed);
        files->suspects = true;
        wait_for_lock(files);
        snprintf(path, sizeof(path), "%d/map_files/%jx-%jx", files->memory, (uintmax_t) start,
                        (uintmax_t) end);
        if (statx(files->proc_fd, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &stx) == 0 ||
                        (errno != EACCES && errno != EPERM))
                return;

        files->denied = true;
        if (n > strlen(deleted) && !memcmp(name + n - strlen(deleted), deleted, strlen(deleted)))
                n -= strlen(deleted);
        for (size_t i = 0; i < files->n_sets; ++i) {
                const DevNodes *nodes = &files->sets[i];
                const DevNode *node = NULL;

                if (n > 5 && !memcmp(name, "/dev/", 5))
                        node = devnodes_find_name(nodes, name + 5, n - 5);
                else if (n == strlen(vfio_device) && !memcmp(name, vfio_device, n))
                        node = devnodes_find_vfio(nodes, NULL); /* no path: these begin with "/" */
                note_node(files, files->seen, i, node, SEEN_MAPPED);
        }
}

/* Those that are worth a question are all asked for in map_files, if they may be. */
static bool knows_enough(const OpenFiles *files) {
        return files->suspects && !files->denied;
}

/*
 * PROCMAP_QUERY (since Linux 6.11) finds mappings of files without printing any
 * text. The gain is in asking for shared ones alone, of which most processes have
 * none: private ones are programs and libraries, hundreds in each process, and a
 * call for each is hardly cheaper than a line.
 */
static int search_by_query(OpenFiles *files, int fd) {
        Query query = { .size = sizeof(query), .query_flags = QUERY_OR_NEXT | QUERY_FILE_BACKED };

        if (!files->deep)
                query.query_flags |= QUERY_SHARED;

        for (; !knows_enough(files); query.query_addr = query.vma_end) {
                Query named = {
                        .size = sizeof(named),
                        .vma_name_size = 4096,
                        .vma_name_addr = (uintptr_t) files->buffer,
                };

                if (ioctl(fd, QUERY_IOCTL, &query) < 0) {
                        if (errno == ENOENT)
                                return 0;
                        if (errno == ESRCH)
                                return MAPS_E_NONE;
                        return query.query_addr == 0 ? MAPS_E_UNSUPPORTED : -errno;
                }
                if (!is_suspect(files, query.vma_flags & QUERY_SHARED,
                                    makedev(query.dev_major, query.dev_minor), query.inode))
                        continue;

                /* The same again, now with its name. It may have gone, or have none. */
                named.query_addr = query.vma_start;
                if (ioctl(fd, QUERY_IOCTL, &named) < 0 || named.vma_name_size == 0)
                        named.vma_name_size = 1;
                look_at_mapping(files, query.vma_start, query.vma_end, files->buffer,
                                named.vma_name_size - 1);
        }
        return 0;
}

/* Is a link of map_files, "7f0c…-7f0c…", worth a question? If it is not there any more, it has moved. */
static bool is_link_suspect(OpenFiles *files, int maps_fd, const char *name) {
        Query query = { .size = sizeof(query), .query_flags = QUERY_FILE_BACKED };
        const char *dash = strchr(name, '-');
        uint64_t end;

        if (!dash || text_n_to_uint(name, dash - name, 16, UINT64_MAX, &query.query_addr) < 0 ||
                        text_to_uint(dash + 1, 16, UINT64_MAX, &end) < 0)
                return true;
        if (ioctl(maps_fd, QUERY_IOCTL, &query) < 0) {
                files->moved |= errno == ENOENT;
                return errno != ENOENT;
        }
        files->moved |= query.vma_start != query.query_addr || query.vma_end != end;
        return is_suspect(files, query.vma_flags & QUERY_SHARED,
                        makedev(query.dev_major, query.dev_minor), query.inode);
}

static bool take_number(
                const char **s, const char *end, char separator, unsigned int base, uint64_t *ret) {
        const char *stop = memchr(*s, separator, end - *s);

        if (!stop || text_n_to_uint(*s, stop - *s, base, UINT64_MAX, ret) < 0)
                return false;
        *s = stop + 1;
        return true;
}

/* "7f0c…-7f0c… rw-s 00000000 00:05 163      /dev/nvidia0" */
static void look_at_line(OpenFiles *files, const char *s, const char *end) {
        uint64_t start, stop, offset, fs_major, fs_minor, inode;
        bool shared;

        if (!take_number(&s, end, '-', 16, &start) || !take_number(&s, end, ' ', 16, &stop) ||
                        end - s < 5 || s[4] != ' ')
                return;
        shared = s[3] == 's';
        s += 5;
        if (!take_number(&s, end, ' ', 16, &offset) || !take_number(&s, end, ':', 16, &fs_major) ||
                        !take_number(&s, end, ' ', 16, &fs_minor) ||
                        !take_number(&s, end, ' ', 10, &inode) ||
                        !is_suspect(files, shared, makedev(fs_major, fs_minor), inode))
                return;

        while (s < end && *s == ' ')
                ++s;
        look_at_mapping(files, start, stop, s, end - s);
}

/* Return: 0 on success, MAPS_E_NONE, -E2BIG for a line longer than the buffer, other negative errno. */
static int search_by_text(OpenFiles *files, int fd) {
        char *buffer = files->buffer, *line, *end;
        size_t n = 0;
        bool any = false;
        ssize_t k;

        (void) lseek(fd, 0, SEEK_SET);
        for (;;) {
                if (n == sizeof(files->buffer))
                        return -E2BIG;
                k = read(fd, buffer + n, sizeof(files->buffer) - n);
                if (k < 0)
                        return -errno;
                if (k == 0 && !any)
                        return MAPS_E_NONE;

                any = true;
                n += k;
                for (line = buffer; (end = memchr(line, '\n', buffer + n - line)); line = end + 1)
                        look_at_line(files, line, end);
                if (k == 0) {
                        look_at_line(files, line, buffer + n);
                        return 0;
                }
                n = buffer + n - line;
                memmove(buffer, line, n);
        }
}

/* What is mapped by way of one link of map_files. */
static void look_at_link(OpenFiles *files, int map_dir, const char *name) {
        char target[sizeof(vfio_device)];
        const DevNode *node;
        struct statx stx;
        bool is_vfio = false;

        wait_for_lock(files);
        if (statx(map_dir, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &stx) < 0) {
                files->moved |= errno == ENOENT;
                note_error(files, errno);
                return;
        }
        if ((stx.stx_mode & S_IFMT) == 0 && files->has_vfio) {
                ssize_t n = readlinkat(map_dir, name, target, sizeof(target));

                is_vfio = n == (ssize_t) strlen(vfio_device) && !memcmp(target, vfio_device, n);
        }
        for (size_t i = 0; i < files->n_sets; ++i) {
                node = is_vfio ? devnodes_find_vfio(&files->sets[i], NULL)
                               : devnodes_find(&files->sets[i], stx.stx_mode & S_IFMT,
                                                 makedev(stx.stx_rdev_major, stx.stx_rdev_minor));
                note_node(files, files->seen, i, node, SEEN_MAPPED);
        }
}

/*
 * All mappings of files as they are at one moment: the kernel takes them down under the lock of the
 * mappings, as many as there is room for (fs/proc/base.c: proc_map_files_readdir()).
 */
static void look_at_links(OpenFiles *files, int maps_fd) {
        char path[PROCESS_PATH_MAX];
        _cleanup_(closep) int fd = -1;
        ssize_t n = -1;

        snprintf(path, sizeof(path), "%d/map_files", files->memory);
        fd = openat(files->proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0)
                wait_for_lock(files);
        while (fd >= 0 && (n = getdents64(fd, files->buffer, sizeof(files->buffer))) > 0)
                for (ssize_t i = 0; i < n;) {
                        const struct dirent64 *entry = (void *) (files->buffer + i);

                        i += entry->d_reclen;
                        if (entry->d_name[0] == '.')
                                continue;
                        if (is_link_suspect(files, maps_fd, entry->d_name))
                                look_at_link(files, fd, entry->d_name);
                        atomic_fetch_add_explicit(&files->steps, 1, memory_order_relaxed);
                }
        if (n < 0)
                note_error(files, errno);
}

static int search(OpenFiles *files, int fd) {
        int r = 0;

        for (unsigned int i = 0; i < N_PASSES && r == 0 && !files->suspects; ++i)
                r = search_by_query(files, fd);
        return r == MAPS_E_UNSUPPORTED ? search_by_text(files, fd) : r;
}

/*
 * All mappings of a process. @tid: a thread of it. Return: whether it has any memory; a kernel
 * thread has none, nor has a thread that has ended.
 */
static bool look_at_maps(OpenFiles *files, pid_t tid) {
        char path[PROCESS_PATH_MAX];
        _cleanup_(closep) int fd = -1;
        int r;

        snprintf(path, sizeof(path), "%d/maps", tid);
        fd = openat(files->proc_fd, path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
                note_error(files, errno);
                return false;
        }

        files->memory = tid;
        files->suspects = files->denied = false;
        r = search(files, fd);
        if (r < 0)
                note_error(files, -r);
        files->moved = knows_enough(files);
        for (unsigned int i = 0; i < N_MOVES && files->moved; ++i) {
                files->moved = false;
                look_at_links(files, fd);
        }
        if (files->moved)
                note_error(files, EAGAIN);
        closep(&files->lock_fd);
        files->lock_fd = -1;
        return r != MAPS_E_NONE;
}

/* processes */

/*
 * The files of all threads that have a table of their own, and, where the first
 * thread has no memory any more, the memory as another one has it.
 */
static int look_at_threads(OpenFiles *files, bool *has_maps) {
        _cleanup_(freep) pid_t *tids = NULL;
        char path[PROCESS_PATH_MAX];
        pid_t like = files->pid;
        size_t n = 0;
        int r;

        r = process_list_threads(files->proc_fd, files->pid, &tids, &n);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                note_error(files, -r);

        for (size_t i = 0; i < n; ++i) {
                if (!*has_maps && tids[i] != files->pid) {
                        *has_maps = look_at_maps(files, tids[i]);
                }
                atomic_fetch_add_explicit(&files->steps, 1, memory_order_relaxed);
                if (tids[i] == like || syscall(SYS_kcmp, like, tids[i], KCMP_FILES, 0UL, 0UL) == 0)
                        continue;
                like = tids[i];
                snprintf(path, sizeof(path), "%d/task/%d/fd", files->pid, like);
                look_at_files(files, path, like);
        }
        return 0;
}

/* As if a process had been looked at, and there were nothing. */
void open_files_clear(OpenFiles *files, pid_t pid) {
        files->pid = pid;
        files->error = 0;
        files->has_files = false;
        atomic_fetch_add_explicit(&files->steps, 1, memory_order_relaxed);
        memset(files->seen, 0, files->firsts[files->n_sets]);
}

/* Does the process that was looked at last have any of the nodes? */
bool open_files_saw_any(const OpenFiles *files) {
        for (size_t i = 0; i < files->firsts[files->n_sets]; ++i)
                if (files->seen[i])
                        return true;
        return false;
}

/* Likewise at the open files of one thread of a process alone. */
int open_files_look_at_thread(OpenFiles *files, pid_t pid, pid_t tid) {
        char path[PROCESS_PATH_MAX];
        int r;

        open_files_clear(files, pid);
        snprintf(path, sizeof(path), "%d/fd", tid);
        look_at_files(files, path, tid);
        if (files->error > 0 || files->has_files)
                return 0;
        r = process_wait_for_end(files->proc_fd, tid, 0);
        if (r == PROCESS_E_LATE)
                return OPEN_FILES_E_ENDING;
        if (r < 0)
                note_error(files, -r);
        return 0;
}

/**
 * open_files_look() - look at all files and mappings of a process
 * @files:      what is looked for; what is found is in .seen then
 * @pid:        process
 *
 * Return: 0 on success, also if something could not be seen (.error); OPEN_FILES_E_ENDING;
 *         negative error code if the memory is short.
 */
int open_files_look(OpenFiles *files, pid_t pid) {
        char path[PROCESS_PATH_MAX];
        size_t n_threads = 0;
        bool has_maps;
        int r;

        open_files_clear(files, pid);
        r = process_count_threads(files->proc_fd, pid, &n_threads);
        if (r < 0)
                note_error(files, -r);

        snprintf(path, sizeof(path), "%d/fd", pid);
        look_at_files(files, path, pid);
        has_maps = look_at_maps(files, pid);
        if (n_threads > 1) {
                r = look_at_threads(files, &has_maps);
                if (r < 0)
                        return r;
        }

        /* One that shows nothing: has it nothing, or is it about to end? */
        if (files->error == 0 && (!has_maps || !files->has_files)) {
                r = process_wait_for_end(files->proc_fd, pid, 0);
                if (r == PROCESS_E_LATE)
                        return OPEN_FILES_E_ENDING;
                if (r < 0)
                        note_error(files, -r);
        }
        return 0;
}
