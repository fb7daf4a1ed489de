/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Be Hostile Company
 *
 *     hostile KIND [PATH]
 *
 * Stands for a user without privilege who hides from a search through all processes, keeps it busy, or
 * has it see what is not there. Each kind prints "held PID" when it has begun, and ends with stdin.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "util.h"

static const char usage[] =
                "hostile KIND [PATH]\n\n"
                "  chain PATH   a process a millisecond has PATH open by birth, and ends\n"
                "  move PATH    one mapping of PATH is moved all the time, no file is open\n"
                "  toggle PATH  open, map, close, unmap the one before, all the time\n"
                "  bare PATH    a process without any memory has PATH open\n"
                "  undead       a process all of whose threads are dead, and not waited for\n"
                "  share        40 processes with one table of 600 files\n"
                "  flood PATH   datagrams to a socket that is not read, until it takes no more\n"
                "  locks        400 locks on files of its own, taken and dropped all the time\n"
                "  crash        a fault, which the kernel logs with the program's name\n";

enum {
        N_MOVES = 64,
        N_LOCKS = 400,
        N_SHARED_FILES = 600,
        N_SHARERS = 40
};

static size_t n_page;

static int open_path(const char *path) {
        int fd = open(path, O_RDWR);

        if (fd < 0)
                die("open %s: %m", path);
        return fd;
}

static bool has_ended(int timeout_msec) {
        struct pollfd fds = { .fd = STDIN_FILENO, .events = POLLIN };

        return poll(&fds, 1, timeout_msec) != 0;
}

/* The first process stays, without the file: what ends with it would end the chain. */
static void pass_on(const char *path) {
        pid_t pid = fork();

        if (pid > 0) {
                wait_for_end();
                return;
        }
        if (pid < 0)
                die("fork: %m");
        open_path(path);
        say("held %d", getpid());
        while (!has_ended(1)) {
                pid = fork();
                if (pid < 0)
                        die("fork: %m");
                if (pid > 0)
                        _exit(EXIT_SUCCESS);
        }
}

static void *reserve(size_t n_pages) {
        void *p = mmap(NULL, n_pages * n_page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
                die("mmap: %m");
        return p;
}

static void move(const char *path) {
        char *area = reserve(N_MOVES), *at = area;
        int fd = open_path(path);

        if (mmap(at, n_page, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
                die("mmap %s: %m", path);
        close(fd);
        say("held %d", getpid());
        for (unsigned int i = 1; i % 4096 != 0 || !has_ended(0); ++i) {
                char *to = area + i % N_MOVES * n_page;

                if (mremap(at, n_page, n_page, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED)
                        die("mremap: %m");
                at = to;
        }
}

static void toggle(const char *path) {
        void *before = NULL;

        while (!has_ended(0)) {
                int fd = open_path(path);
                void *p = mmap(NULL, n_page, PROT_READ, MAP_SHARED, fd, 0);

                if (p == MAP_FAILED)
                        die("mmap %s: %m", path);
                close(fd);
                if (before)
                        munmap(before, n_page);
                else
                        say("held %d", getpid());
                before = p;
        }
}

/* It waits in a system call, and is not woken by the loss of its memory; it dies of that at the end of stdin. */
static int wait_without_memory(void *path) {
        char c;

        open_path(path);
        say("held %d", getpid());
        return syscall(SYS_read, STDIN_FILENO, &c, 1);
}

/* The memory is shared with a child of ours, which has files of its own, and all of it goes: we die of that. */
static void lose_memory(const char *path) {
        char *stack = mmap(NULL, 16 * n_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                        -1, 0);
        pid_t pid = fork();

        if (pid < 0 || stack == MAP_FAILED)
                die("fork: %m");
        if (pid == 0) {
                char name[32], text[512] = "";

                pid = clone(wait_without_memory, stack + 16 * n_page, CLONE_VM | SIGCHLD,
                                (void *) path);
                if (pid < 0)
                        die("clone: %m");
                snprintf(name, sizeof(name), "/proc/%d/syscall", pid);
                /* Once it reads from stdin, it has said what it has to say. */
                while (strncmp(text, "0 0x0 ", 6) != 0) {
                        int fd = open(name, O_RDONLY);

                        if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
                                die("%s: %m", name);
                        close(fd);
                }
                syscall(SYS_munmap, 0, 0x7ffffffff000UL - n_page);
                _exit(EXIT_FAILURE);
        }
        wait_for_end();
}

static int tell_number, told_to_end;

static void *end_alone(void *unused) {
        pid_t tid = gettid();
        char c;

        (void) unused;
        if (write(tell_number, &tid, sizeof(tid)) != sizeof(tid) || read(told_to_end, &c, 1) != 1)
                _exit(EXIT_FAILURE);
        syscall(SYS_exit, 0);
        return NULL;
}

/* The second thread is traced, and ends: until its tracer waits for it, the process does not end. */
static void die_for_ever(void) {
        int number[2], end[2];
        pid_t pid, tid;

        if (pipe(number) < 0 || pipe(end) < 0)
                die("pipe: %m");
        pid = fork();
        if (pid == 0) {
                pthread_t thread;

                tell_number = number[1];
                told_to_end = end[0];
                pthread_create(&thread, NULL, end_alone, NULL);
                syscall(SYS_exit, 0);
        }
        if (pid < 0 || read(number[0], &tid, sizeof(tid)) != sizeof(tid) ||
                        ptrace(PTRACE_SEIZE, tid, 0, 0) < 0)
                die("trace: %m");
        if (write(end[1], "", 1) != 1)
                die("write: %m");
        say("held %d", pid);
        wait_for_end();
}

_noreturn_ static int wait_with_parent(void *unused) {
        (void) unused;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
                pause();
}

static void share(void) {
        struct rlimit limit;
        int fd = open_path("/dev/null");

        getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                die("setrlimit: %m");
        for (int i = 0; i < N_SHARED_FILES && dup(fd) >= 0; ++i)
                continue;
        for (int i = 0; i < N_SHARERS; ++i) {
                char *stack = mmap(NULL, 4 * n_page, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

                if (stack == MAP_FAILED ||
                                clone(wait_with_parent, stack + 4 * n_page,
                                                CLONE_FILES | CLONE_VM | SIGCHLD, NULL) < 0)
                        die("clone: %m");
        }
        say("held %d", getpid());
        wait_for_end();
}

static void take_locks(void) {
        struct flock lock = { .l_type = F_WRLCK }, unlock = { .l_type = F_UNLCK };
        int fds[N_LOCKS];

        for (int i = 0; i < N_LOCKS; ++i) {
                fds[i] = open("/tmp", O_TMPFILE | O_RDWR, 0600);
                if (fds[i] < 0)
                        die("open /tmp: %m");
        }
        say("held %d", getpid());
        while (!has_ended(0)) {
                for (int i = 0; i < N_LOCKS; ++i)
                        fcntl(fds[i], F_SETLK, &lock);
                for (int i = N_LOCKS; i-- > 0;)
                        fcntl(fds[i], F_SETLK, &unlock);
        }
}

/* Each sender has a limit of its own, before the queue of the receiver's is full. */
static void flood(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        size_t n_sent;

        strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
        do {
                int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

                if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                        die("connect %s: %m", path);
                for (n_sent = 0; send(fd, "MESSAGE=flood\n", 14, 0) >= 0; ++n_sent)
                        continue;
                if (errno != EAGAIN)
                        die("send: %m");
        } while (n_sent > 0);
        say("held %d", getpid());
        wait_for_end();
}

int main(int argc, char **argv) {
        const char *kind = argc > 1 ? argv[1] : "--help", *path = argc > 2 ? argv[2] : NULL;

        n_page = sysconf(_SC_PAGESIZE);
        if (path && strcmp(kind, "chain") == 0)
                pass_on(path);
        else if (path && strcmp(kind, "move") == 0)
                move(path);
        else if (path && strcmp(kind, "toggle") == 0)
                toggle(path);
        else if (path && strcmp(kind, "bare") == 0)
                lose_memory(path);
        else if (path && strcmp(kind, "flood") == 0)
                flood(path);
        else if (strcmp(kind, "undead") == 0)
                die_for_ever();
        else if (strcmp(kind, "share") == 0)
                share();
        else if (strcmp(kind, "locks") == 0)
                take_locks();
        else if (strcmp(kind, "crash") == 0)
                *(volatile int *) 0 = 1;
        else
                die("%s", usage);
        return EXIT_SUCCESS;
}
