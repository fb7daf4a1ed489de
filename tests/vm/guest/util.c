/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Helpers of the Guest Programs
 */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "util.h"

void die(const char *format, ...) {
        va_list ap;

        fflush(stdout);
        fprintf(stderr, "%s: ", program_invocation_short_name);
        va_start(ap, format);
        vfprintf(stderr, format, ap);
        va_end(ap);
        fputc('\n', stderr);
        exit(EXIT_FAILURE);
}

void say(const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        vprintf(format, ap);
        va_end(ap);
        putchar('\n');
        fflush(stdout);
}

/* /dev/zero has no end to wait for, and reading it would take a whole CPU. */
static bool stdin_is_endless(void) {
        struct stat st;

        return fstat(STDIN_FILENO, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 5);
}

void wait_for_end(void) {
        char buffer[256];
        ssize_t n;

        if (stdin_is_endless()) {
                for (;;)
                        pause();
        }

        do {
                n = read(STDIN_FILENO, buffer, sizeof(buffer));
        } while (n > 0 || (n < 0 && errno == EINTR));
}

int write_file(const char *path, const char *text) {
        const size_t n_text = strlen(text);
        int fd, r = 0;
        ssize_t n;

        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;

        n = write(fd, text, n_text);
        if (n < 0)
                r = -errno;
        else if ((size_t) n != n_text)
                r = -EIO;

        close(fd);
        return r;
}

void link_name(const char *path, char *name, size_t n_name) {
        char target[512];
        const char *slash;
        ssize_t n;

        n = readlink(path, target, sizeof(target) - 1);
        if (n < 0)
                die("%s: %m", path);
        target[n] = '\0';

        slash = strrchr(target, '/');
        snprintf(name, n_name, "%s", slash ? slash + 1 : target);
}
