/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Language Helpers
 *
 * The few words we add to C: attributes, cleanup, ownership, and the fold that
 * turns a forgotten outcome into an error. Nothing here knows about files,
 * devices or logging: this header sits at the very bottom and includes only libc.
 *
 * The error convention of the whole project, once and for all:
 *
 *  * negative: a fatal error, a negative errno, forwarded unchanged to main();
 *  * zero: success;
 *  * positive: a named outcome of this very function (FOO_E_BAR), which its
 *    caller must handle. A caller that has no use for it folds it.
 */

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn)        __attribute__((cleanup(fn)))
#define _printf_(fmt, args)  __attribute__((format(printf, fmt, args)))
#define _warn_unused_result_ __attribute__((warn_unused_result))
#define _noreturn_           __attribute__((noreturn))
#define _unused_             __attribute__((unused))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define USEC_PER_SEC  UINT64_C(1000000)
#define USEC_PER_MSEC UINT64_C(1000)

/* Move a pointer out of a variable, so that its cleanup becomes a no-op. */
#define TAKE_PTR(p)                     \
        ({                              \
                typeof(p) taken_ = (p); \
                (p) = NULL;             \
                taken_;                 \
        })

/* Likewise for file descriptors. */
#define TAKE_FD(fd)                \
        ({                         \
                int taken_ = (fd); \
                (fd) = -1;         \
                taken_;            \
        })

/* For `_cleanup_`: define foop() from a foo_free() that takes NULL and returns NULL. */
#define DEFINE_CLEANUP(type, fn)             \
        static inline void fn##p(type **p) { \
                fn(*p);                      \
        }                                    \
        struct swallow_semicolon_##fn

static inline void freep(void *p) {
        free(*(void **) p);
}

/* Close on scope exit. An error in flight must survive, hence errno is kept. */
static inline void closep(int *fd) {
        int saved = errno;

        if (*fd >= 0)
                close(*fd);
        errno = saved;
}

static inline void fclosep(FILE **f) {
        if (*f)
                fclose(*f);
}

static inline void closedirp(DIR **d) {
        if (*d)
                closedir(*d);
}

/* An outcome that the callee can only give when we asked for it, and we did not. */
static inline int error_fold(int r) {
        return r > 0 ? -ENOTRECOVERABLE : r;
}

/* Keep the first error while cleaning up goes on. */
static inline void error_gather(int *acc, int r) {
        if (*acc >= 0 && r < 0)
                *acc = r;
}
