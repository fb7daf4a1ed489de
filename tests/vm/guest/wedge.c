/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Have the Kernel Wait for Us
 *
 * Stands for a user without privilege who keeps others from being told what a process of his has
 * mapped. A file of his own FUSE server is mapped and written to; then it is opened past the cache and
 * mapped once more, for which the kernel writes the page back first, with the process's mmap_lock
 * held, and waits for the server. That never answers.
 *
 * It prints "held PIDS" when all of them hang, and lets go when stdin ends.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

#define SIZE 4096

/* Root in a user namespace of its own, where FUSE may be mounted. */
static void enter_namespace(void) {
        char map[64];
        struct {
                const char *path;
                const char *text;
        } files[] = {
                { "/proc/self/setgroups", "deny" },
                { "/proc/self/uid_map", map },
                { "/proc/self/gid_map", map },
        };
        unsigned int ids[] = { 0, geteuid(), getegid() };

        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
                die("unshare");
        for (int i = 0; i < 3; ++i) {
                int fd = open(files[i].path, O_WRONLY);

                snprintf(map, sizeof(map), "0 %u 1", ids[i]);
                if (fd < 0 || write(fd, files[i].text, strlen(files[i].text)) < 0)
                        die("%s", files[i].path);
                close(fd);
        }
}

/* Each client has a file of its own, whose name is one letter. */
static void hang(const char *path, int fd_server) {
        int cached, direct;
        char *page;

        /* All wait until the last descriptor of the server's goes. */
        close(fd_server);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        cached = open(path, O_RDWR);
        direct = open(path, O_RDWR);
        if (cached < 0 || direct < 0)
                die("%s", path);
        page = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, cached, 0);
        if (page == MAP_FAILED)
                die("mmap");
        page[0] = 'x';
        (void) mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, direct, 0);
        _exit(0);
}

static void answer(int fd, const struct fuse_in_header *in, int error, const void *data, size_t n) {
        static char out[sizeof(struct fuse_out_header) + SIZE];
        struct fuse_out_header *head = (void *) out;

        *head = (struct fuse_out_header){ sizeof(*head) + n, -error, in->unique };
        if (n > 0)
                memcpy(out + sizeof(*head), data, n);
        if (write(fd, out, head->len) < 0 && errno != ENOENT)
                die("answer");
}

static struct fuse_attr attributes(uint64_t node) {
        return (struct fuse_attr){
                .ino = node,
                .size = node == FUSE_ROOT_ID ? 0 : SIZE,
                .mode = node == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0666,
                .nlink = 1,
        };
}

/* Return: whether it was a write, which gets no answer. */
static int serve(int fd, const struct fuse_in_header *in) {
        static const char zeros[SIZE];
        static unsigned char n_opens[256];

        switch (in->opcode) {
        case FUSE_INIT: {
                struct fuse_init_out out = { .major = FUSE_KERNEL_VERSION,
                        .minor = 31,
                        .max_background = 64,
                        .max_write = SIZE };

                answer(fd, in, 0, &out, sizeof(out));
                break;
        }
        case FUSE_LOOKUP: {
                uint64_t node = *(const unsigned char *) (in + 1);
                struct fuse_entry_out out = { .nodeid = node,
                        .entry_valid = 3600,
                        .attr_valid = 3600,
                        .attr = attributes(node) };

                answer(fd, in, 0, &out, sizeof(out));
                break;
        }
        case FUSE_GETATTR: {
                struct fuse_attr_out out = { .attr_valid = 3600, .attr = attributes(in->nodeid) };

                answer(fd, in, 0, &out, sizeof(out));
                break;
        }
        case FUSE_OPEN: {
                struct fuse_open_out out = { .fh = 1 };

                if (n_opens[in->nodeid % sizeof(n_opens)]++ > 0)
                        out.open_flags = FOPEN_DIRECT_IO;
                answer(fd, in, 0, &out, sizeof(out));
                break;
        }
        case FUSE_READ:
                answer(fd, in, 0, zeros, sizeof(zeros));
                break;
        case FUSE_WRITE:
                return 1;
        case FUSE_FORGET:
        case FUSE_BATCH_FORGET:
        case FUSE_INTERRUPT:
                break;
        default:
                answer(fd, in, ENOSYS, NULL, 0);
        }
        return 0;
}

int main(int argc, char **argv) {
        static _Alignas(8) char buffer[FUSE_MIN_READ_BUFFER + SIZE];
        char folder[] = "/tmp/wedge-XXXXXX", options[64], path[64];
        int n = argc > 1 ? atoi(argv[1]) : 1, n_hanging = 0, fd;
        struct pollfd fds[2];
        pid_t pids[26];

        if (n < 1 || n > 26)
                die("wedge [1…26]");
        enter_namespace();
        fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
        if (fd < 0 || !mkdtemp(folder))
                die("/dev/fuse");
        snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
        if (mount("wedge", folder, "fuse", MS_NOSUID | MS_NODEV, options) < 0)
                die("mount");
        for (int i = 0; i < n; ++i) {
                snprintf(path, sizeof(path), "%s/%c", folder, 'a' + i);
                pids[i] = fork();
                if (pids[i] == 0)
                        hang(path, fd);
        }

        fds[0] = (struct pollfd){ .fd = fd, .events = POLLIN };
        fds[1] = (struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN };
        while (poll(fds, 2, -1) >= 0 && !fds[1].revents) {
                if (read(fd, buffer, sizeof(buffer)) < 0 && errno != EINTR && errno != ENOENT)
                        die("read");
                n_hanging += serve(fd, (const void *) buffer);
                if (n_hanging < n)
                        continue;
                n_hanging = -1000000;
                printf("held");
                for (int i = 0; i < n; ++i)
                        printf(" %d", pids[i]);
                printf("\n");
                fflush(stdout);
        }
        return EXIT_SUCCESS;
}
