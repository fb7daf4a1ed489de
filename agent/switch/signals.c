/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Held is only what writes, which has deadlines of its own. */

#include <time.h>

#include "switch/signals.h"

static sigset_t ending_signals(void) {
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGHUP);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGPIPE);
        sigaddset(&set, SIGQUIT);
        sigaddset(&set, SIGTERM);
        return set;
}

/* @old: to be given to one of those below */
void signals_hold(sigset_t *old) {
        sigset_t set = ending_signals();

        (void) sigprocmask(SIG_BLOCK, &set, old);
}

/* What came meanwhile ends the process now: there is more to do, and it has not begun. What was begun is done. */
void signals_release(const sigset_t *old) {
        (void) sigprocmask(SIG_SETMASK, old, NULL);
}

/* Likewise behind the last write, where nothing is left to end. Return: whether any came. */
bool signals_take(const sigset_t *old) {
        const struct timespec now = {};
        sigset_t pending = ending_signals();
        bool asked = false;

        while (sigtimedwait(&pending, NULL, &now) > 0)
                asked = true;
        signals_release(old);
        return asked;
}
