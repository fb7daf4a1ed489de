/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Benchmark of the Scan for Holders
 *
 * Fills the machine with processes that have many files open and many mappings,
 * one of which has the node that is looked for, and measures how long the scan
 * takes: the first time, when the kernel has to make an entry for each file, and
 * then again. Beside it, what fuser(1) and lsof(8) do: a readlink and a stat for
 * each file, and the maps by lines.
 *
 *     bench-scan [FILES [PROCESSES [MAPPINGS]]]
 */

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/text.h"
#include "probe/holder-scan.h"

#define N_ROUNDS 20

static void die(const char *what) {
        perror(what);
        exit(EXIT_FAILURE);
}

/* Half of what a desktop has is sockets and events, a tenth is devices. */
static int open_some(unsigned int i) {
        switch (i % 10) {
        case 0:
                return open("/dev/null", O_RDWR | O_CLOEXEC);
        case 1:
        case 2:
        case 3:
                return eventfd(0, EFD_CLOEXEC);
        case 4:
        case 5:
                return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        default:
                return open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        }
}

static void fill(unsigned int n_files, unsigned int n_mappings, int ready_fd) {
        size_t n_page = sysconf(_SC_PAGESIZE);
        int exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

        for (unsigned int i = 0; i < n_files; ++i)
                if (open_some(i) < 0)
                        die("open");
        for (unsigned int i = 0; i < n_mappings; ++i)
                if (mmap(NULL, n_page, i % 2 ? PROT_READ : PROT_READ | PROT_EXEC, MAP_PRIVATE, exe,
                                    0) == MAP_FAILED)
                        die("mmap");
        if (write(ready_fd, "", 1) != 1)
                die("write");
        for (;;)
                pause();
}

static size_t naive_maps(const char *pid) {
        _cleanup_(fclosep) FILE *f = NULL;
        char path[64], line[4096];
        size_t n = 0;

        snprintf(path, sizeof(path), "/proc/%.20s/maps", pid);
        f = fopen(path, "re");
        while (f && fgets(line, sizeof(line), f))
                n += strstr(line, "/dev/nvidia") != NULL;
        return n;
}

static size_t naive_files(const char *pid, dev_t rdev) {
        _cleanup_(closedirp) DIR *dir = NULL;
        char path[64], name[128], target[4096];
        struct dirent *entry;
        struct stat st;
        size_t n = 0;

        snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
        dir = opendir(path);
        while (dir && (entry = readdir(dir))) {
                snprintf(name, sizeof(name), "%s/%.20s", path, entry->d_name);
                if (readlink(name, target, sizeof(target)) < 0 || stat(name, &st) < 0)
                        continue;
                n += S_ISCHR(st.st_mode) && st.st_rdev == rdev;
        }
        return n;
}

static size_t naive_scan(dev_t rdev) {
        _cleanup_(closedirp) DIR *dir = opendir("/proc");
        struct dirent *entry;
        size_t n = 0;

        while (dir && (entry = readdir(dir)))
                if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
                        n += naive_files(entry->d_name, rdev) + naive_maps(entry->d_name);
        return n;
}

static int compare_times(const void *a, const void *b) {
        const uint64_t *one = a, *other = b;

        return (*one > *other) - (*one < *other);
}

static uint64_t measure(const Roots *roots, DevNodes *nodes, bool naive) {
        uint64_t start = monotonic_usec();
        _cleanup_(findings_deinit) Findings findings = FINDINGS_NULL;

        if (naive) {
                if (naive_scan(nodes->items[0].rdev) == 0)
                        die("found nothing");
        } else {
                if (holders_find(roots, nodes, 1, false, &(Findings *){ &findings }) < 0 ||
                                findings.n == 0)
                        die("found nothing");
        }
        return monotonic_usec() - start;
}

static void report(const char *what, const Roots *roots, DevNodes *nodes, bool naive) {
        uint64_t first, times[N_ROUNDS];

        first = measure(roots, nodes, naive);
        for (size_t i = 0; i < N_ROUNDS; ++i)
                times[i] = measure(roots, nodes, naive);
        qsort(times, N_ROUNDS, sizeof(*times), compare_times);
        printf("%-24s first %7.1f ms   then %7.1f ms (median of %d)\n", what, first / 1e3,
                        times[N_ROUNDS / 2] / 1e3, N_ROUNDS);
}

static unsigned int argument(int argc, char **argv, int i, unsigned int fallback) {
        uint64_t value = fallback;

        if (i < argc && text_to_uint(argv[i], 10, 10000000, &value) < 0)
                die(argv[i]);
        return (unsigned int) value;
}

int main(int argc, char **argv) {
        unsigned int n_files = argument(argc, argv, 1, 30000);
        unsigned int n_processes = argument(argc, argv, 2, 300);
        unsigned int n_mappings = argument(argc, argv, 3, 30000);
        DevNode node = { .type = S_IFCHR, .rdev = makedev(1, 5), .name = (char *) "zero" };
        DevNodes nodes = { .items = &node, .n = 1 };
        struct rlimit limit = { 65536, 65536 };
        Roots roots = ROOTS_NULL;
        int ready[2];
        char byte;

        if (roots_init(&roots, "") < 0 || pipe2(ready, O_CLOEXEC) < 0)
                die("set-up");
        (void) setrlimit(RLIMIT_NOFILE, &limit);

        for (unsigned int i = 0; i < n_processes; ++i)
                if (fork() == 0) {
                        prctl(PR_SET_PDEATHSIG, SIGKILL);
                        if (i == 0 && open("/dev/zero", O_RDWR | O_CLOEXEC) < 0)
                                die("open");
                        fill(n_files / n_processes, n_mappings / n_processes, ready[1]);
                }
        for (unsigned int i = 0; i < n_processes; ++i)
                if (read(ready[0], &byte, 1) != 1)
                        die("read");

        printf("%u files and %u mappings in %u processes\n", n_files, n_mappings, n_processes);
        report("scan", &roots, &nodes, false);
        report("like fuser and lsof", &roots, &nodes, true);
        roots_deinit(&roots);
        return EXIT_SUCCESS;
}
