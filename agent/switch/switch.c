/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Switching
 *
 * All-then-all: every GPU is locked, recovered and checked before the first one
 * is touched. Locks are taken by ascending address, so that two requests cannot
 * wait for each other.
 *
 * Once the locks are ours, a request to end (^C, a stopping unit) is not heeded:
 * half-way there is no place to stop, and every step has a deadline.
 */

#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "switch/check.h"
#include "switch/commit.h"
#include "switch/give-back.h"
#include "switch/recover.h"
#include "switch/refuse.h"

/* One GPU of a request. */
typedef struct Item {
        Move move;
        Lock lock;
        PreflightInput preflight;
        Findings findings;
        bool skip; /* it shall not move any more */
        bool transient;
} Item;

static void items_free(Item *items, size_t n) {
        for (size_t i = 0; items && i < n; ++i) {
                lock_release(&items[i].lock);
                findings_deinit(&items[i].findings);
        }
        free(items);
}

static Item *items_new(SwitchContext *context, const SwitchRequest *request) {
        Item *items;

        items = calloc(request->n_gpus ?: 1, sizeof(*items));
        if (!items)
                return NULL;

        for (size_t i = 0; i < request->n_gpus; ++i)
                items[i] = (Item){
                        .move = {
                                .context = context,
                                .gpu = request->gpus[i],
                                .from = request->gpus[i]->mode,
                                .to = request->to,
                                .trigger = request->trigger,
                                .give_back = request->give_back,
                                .start_usec = monotonic_usec(),
                        },
                        .lock = LOCK_NULL,
                        .transient = request->transient,
                        .preflight = {
                                .roots = context->roots,
                                .gpu = request->gpus[i],
                                .to = request->to,
                                .allow_display = request->allow_display,
                        },
                };
        return items;
}

static void worsen(SwitchResult *result, SwitchResult other) {
        if (other > *result)
                *result = other;
}

/* Is it still to move, now that nobody else moves it? */
static int item_ask(Item *item, const SwitchRequest *request) {
        int r;

        if (!request->still)
                return 0;
        r = request->still(request->still_userdata, request, item->move.gpu);
        if (r < 0)
                return r;
        item->skip = r == 0;
        return 0;
}

/* Clean up behind whoever did not come to an end. */
static int item_recover(Item *item, Gpu *gpu, SwitchResult *result) {
        int r;

        refusal_forget(&item->move);
        r = recover(&item->move, &item->lock, gpu, &item->findings);
        item->move.from = gpu->mode;
        if (r == RECOVER_E_STUCK)
                worsen(result, SWITCH_STUCK);
        else if (r == RECOVER_E_FAILED)
                worsen(result, SWITCH_FAILED);
        else if (r == RECOVER_E_BUSY)
                worsen(result, SWITCH_BUSY);
        return r < 0 ? r : 0;
}

/* Of another card: is it still about what is beside the GPU? */
static int item_look_beside(Item *item) {
        Roots *roots = item->move.context->roots;
        bool due;
        int r;

        r = give_back_look(roots->sysfs, item->move.gpu, &due);
        if (r < 0 || due)
                return r;

        notify(&item->move, EVENT_WARNING, "policy",
                        "it was put on vfio, or fenced for it, by hand: what is beside the GPU is "
                        "left there, too");
        item->skip = true;
        return give_back_drop(roots->run_fd, item->move.gpu);
}

static int item_check(Item *item, SwitchResult *result) {
        int r;

        r = check(item->move.context, &item->preflight, item->move.give_back, &item->findings);
        if (r < 0)
                return r;
        worsen(result, check_result(&item->findings));
        return 0;
}

static SwitchResult result_of(int transaction) {
        switch (transaction) {
        case 0:
        case TRANSACTION_E_NOTHING:
                return SWITCH_DONE;
        case TRANSACTION_E_BUSY:
                return SWITCH_BUSY;
        case TRANSACTION_E_PRECONDITION:
                return SWITCH_PRECONDITION;
        case TRANSACTION_E_STUCK:
                return SWITCH_STUCK;
        default:
                return SWITCH_FAILED;
        }
}

static void item_commit(Item *item) {
        _cleanup_(freep) char *name = NULL, *aside = NULL, *failure = NULL;
        int r, error = 0;

        r = commit(item->move.context, item->move.gpu, item->move.to, item->transient, &name,
                        &error);
        if (name) {
                aside = text_format(
                                "the state file could not be understood, and was set aside as %s",
                                name);
                notify(&item->move, EVENT_WARNING, "commit", aside);
        }
        if (r < 0)
                failure = text_format("it will not be remembered: %s", strerror(-r));
        else if (r == COMMIT_E_PENDING)
                failure = text_format(
                                "it will be remembered until the next boot only, the state file "
                                "cannot be written: %s",
                                strerror(-error));
        if (failure)
                notify(&item->move, EVENT_WARNING, "commit", failure);
}

static int item_move(Item *item, SwitchResult *result) {
        Transaction transaction = {
                .move = &item->move,
                .lock = &item->lock,
                .preflight = &item->preflight,
        };
        int r;

        r = transaction_run(&transaction);
        if (r < 0)
                return r;

        worsen(result, result_of(r));
        if (r == 0 || r == TRANSACTION_E_NOTHING) {
                if (!item->move.give_back)
                        item_commit(item);
                notify(&item->move, r == 0 ? EVENT_DONE : EVENT_NOTHING, "end", NULL);
        }
        return 0;
}

/* Tell of everything that is in the way of any of them. */
static void report_refusals(const Item *items, size_t n) {
        for (size_t i = 0; i < n; ++i)
                if (items[i].findings.n > 0)
                        refuse(&items[i].move, &items[i].findings, "check");
}

/* What would end us: a request to end, or a terminal or pipe that went away. */
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

static void hold_signals(sigset_t *old) {
        sigset_t set = ending_signals();

        (void) sigprocmask(SIG_BLOCK, &set, old);
}

/* Who asked us to end meanwhile is told of it: what has begun is over, and nothing more shall. */
static bool release_signals(const sigset_t *old) {
        const struct timespec now = {};
        sigset_t pending = ending_signals();
        bool asked = false;

        while (sigtimedwait(&pending, NULL, &now) > 0)
                asked = true;
        (void) sigprocmask(SIG_SETMASK, old, NULL);
        return asked;
}

/* Wait for our turn. */
static int lock_items(Item *items, const SwitchRequest *request) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < request->n_gpus; ++i) {
                int run_fd = items[i].move.context->roots->run_fd;

                r = lock_take(&items[i].lock, run_fd, request->gpus[i]->address, false);
                if (r != LOCK_E_BUSY)
                        continue;
                notify(&items[i].move, EVENT_WARNING, PHASE_WAIT,
                                "waiting for another switch of this GPU to end");
                r = lock_take(&items[i].lock, run_fd, request->gpus[i]->address, true);
        }
        return error_fold(r);
}

/* With the lock, look and ask again, and clean up: it may have moved while we waited for it. */
static int enter_items(Item *items, const SwitchRequest *request, SwitchResult *result) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < request->n_gpus; ++i) {
                Gpu *gpu = request->gpus[i];

                r = gpu_refresh(gpu, items[i].move.context->roots->sysfs);
                if (r == 0)
                        r = item_ask(&items[i], request);
                if (r == 0 && !items[i].skip)
                        r = item_recover(&items[i], gpu, result);
                if (r == 0 && !items[i].skip && request->give_back && *result == SWITCH_DONE)
                        r = item_look_beside(&items[i]);
        }
        return r;
}

/* Who is left alone after all is in the way of the others like any stranger. */
static int note_moving(Item *items, size_t n, const Gpu ***ret) {
        const Gpu **moving = calloc(n ?: 1, sizeof(*moving));
        size_t n_moving = 0;

        if (!moving)
                return -ENOMEM;
        for (size_t i = 0; i < n; ++i)
                if (!items[i].skip)
                        moving[n_moving++] = items[i].move.gpu;
        for (size_t i = 0; i < n; ++i) {
                items[i].preflight.moving = moving;
                items[i].preflight.n_moving = n_moving;
        }
        *ret = moving;
        return 0;
}

static int run_items(Item *items, const SwitchRequest *request, SwitchResult *result) {
        _cleanup_(freep) const Gpu **moving = NULL;
        int r;

        r = enter_items(items, request, result);
        if (r == 0)
                r = note_moving(items, request->n_gpus, &moving);
        /* One finding is enough to stop, but all of them are to be told. */
        if (*result == SWITCH_DONE)
                for (size_t i = 0; r == 0 && i < request->n_gpus; ++i)
                        if (!items[i].skip)
                                r = item_check(&items[i], result);
        if (r == 0 && *result != SWITCH_DONE)
                report_refusals(items, request->n_gpus);
        for (size_t i = 0; r == 0 && *result == SWITCH_DONE && i < request->n_gpus; ++i)
                if (!items[i].skip)
                        r = item_move(&items[i], result);
        return r;
}

/**
 * switch_run() - move GPUs
 * @context:    where, and who is told
 * @request:    which, and where to
 * @ret:        the worst result of all
 *
 * The observer is told of every result, refusal and failure. A request to end that came
 * meanwhile is in @context, for who has more to do.
 *
 * Return: 0 on success, whatever the result is; negative error code on failure.
 */
int switch_run(SwitchContext *context, const SwitchRequest *request, SwitchResult *ret) {
        SwitchResult result = SWITCH_DONE;
        sigset_t old;
        Item *items;
        int r;

        items = items_new(context, request);
        if (!items)
                return -ENOMEM;

        r = lock_items(items, request);
        if (r == 0) {
                hold_signals(&old);
                r = run_items(items, request, &result);
                if (release_signals(&old))
                        context->asked_to_end = true;
        }

        items_free(items, request->n_gpus);
        if (r < 0)
                return r;
        *ret = result;
        return 0;
}
