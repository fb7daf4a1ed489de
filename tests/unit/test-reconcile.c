/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Reconciling
 *
 * Tables of what is seen, one line after the other, and what is decided.
 */

#include <string.h>

#include "lib/test.h"

#include "daemon/reconcile.h"

/* What happens before a look. */
typedef enum Before {
        LOOK,
        ENDED,   /* our job is over */
        DONE,    /* and says that it has done all */
        UNDONE,  /* and drivers have moved */
        FAILED,  /* our job has not come about */
        FORGIVE, /* somebody acts */
        LET_GO,  /* our job is over, and who was in its way has gone */
} Before;

typedef struct Line {
        Before before;
        const char *drivers;
        Mode wish;
        bool fulfilled, locked, interrupted, other;
        unsigned int second;
        Action decision;
} Line;

#define HOST "0:nvidia 1:snd_hda_intel "
#define VFIO "0:vfio-pci 1:vfio-pci "
#define BARE "0: 1: "

static void run(const char *name, const Line *lines, size_t n) {
        Attempts attempts = {};

        for (size_t i = 0; i < n; ++i) {
                const Line *line = &lines[i];
                Observation now = { .fulfilled = line->fulfilled, .locked = line->locked };
                Action decision;

                now.fingerprint.identity.device = line->other ? 2 : 1;
                now.fingerprint.wish = line->wish;
                now.fingerprint.interrupted = line->interrupted;
                snprintf(now.fingerprint.drivers, sizeof(now.fingerprint.drivers), "%s",
                                line->drivers);
                if (line->before == UNDONE)
                        attempts.moved = true;
                if (line->before == ENDED || line->before == DONE || line->before == UNDONE)
                        attempts_end(&attempts,
                                        line->before == ENDED ? ATTEMPT_FAILED : ATTEMPT_DONE);
                if (line->before == FAILED)
                        attempts_end(&attempts, ATTEMPT_IDLE);
                if (line->before == FORGIVE)
                        attempts_forgive(&attempts);
                if (line->before == LET_GO) {
                        attempts_end(&attempts, ATTEMPT_FAILED);
                        (void) attempts_release(&attempts, (1000 + line->second) * USEC_PER_SEC);
                }

                decision = reconcile(
                                &attempts, &now, 1000 * USEC_PER_SEC + line->second * USEC_PER_SEC);
                if (decision != line->decision)
                        fail_msg("%s, line %zu: %d, not %d", name, i, decision, line->decision);
        }
}

#define table(...)                                            \
        do {                                                  \
                static const Line lines_[] = { __VA_ARGS__ }; \
                run(__func__, lines_, ARRAY_SIZE(lines_));    \
        } while (0)

static void what_is_as_wished_is_left_alone(void **state _unused_) {
        table({ LOOK, HOST, MODE_UNSET, .decision = RECONCILE_NOTHING },
                        { LOOK, HOST, MODE_HOST, .fulfilled = true, .decision = RECONCILE_NOTHING },
                        { LOOK, VFIO, MODE_UNSET, .decision = RECONCILE_NOTHING });
}

static void a_wish_is_tried_once_and_is_fulfilled(void **state _unused_) {
        table({ LOOK, HOST, MODE_PASSTHROUGH, .decision = RECONCILE_START },
                        { LOOK, BARE, MODE_PASSTHROUGH, .decision = RECONCILE_WAIT },
                        { LOOK, VFIO, MODE_PASSTHROUGH, .fulfilled = true,
                                        .decision = RECONCILE_WAIT },
                        { ENDED, VFIO, MODE_PASSTHROUGH, .fulfilled = true,
                                        .decision = RECONCILE_NOTHING });
}

static void what_has_not_helped_is_not_repeated(void **state _unused_) {
        table({ LOOK, HOST, MODE_PASSTHROUGH, .decision = RECONCILE_START },
                        { ENDED, HOST, MODE_PASSTHROUGH, .decision = RECONCILE_NOTHING },
                        { LOOK, HOST, MODE_PASSTHROUGH, .second = 500,
                                        .decision = RECONCILE_NOTHING },
                        { LOOK, BARE, MODE_PASSTHROUGH, .second = 501,
                                        .decision = RECONCILE_START });
}

static void a_person_gets_another_try(void **state _unused_) {
        table({ LOOK, HOST, MODE_PASSTHROUGH, .decision = RECONCILE_START },
                        { ENDED, HOST, MODE_PASSTHROUGH, .decision = RECONCILE_NOTHING },
                        { FORGIVE, HOST, MODE_PASSTHROUGH, .decision = RECONCILE_START },
                        { ENDED, HOST, MODE_PASSTHROUGH, .decision = RECONCILE_NOTHING },
                        { LOOK, HOST, MODE_UNSET, .decision = RECONCILE_NOTHING },
                        { LOOK, HOST, MODE_PASSTHROUGH, .decision = RECONCILE_START },
                        { ENDED, HOST, MODE_PASSTHROUGH, .decision = RECONCILE_NOTHING },
                        { LOOK, HOST, MODE_PASSTHROUGH, .other = true,
                                        .decision = RECONCILE_START });
}

static void a_job_that_never_ran_was_no_try(void **state _unused_) {
        table({ LOOK, HOST, MODE_PASSTHROUGH, .decision = RECONCILE_START },
                        { FAILED, HOST, MODE_PASSTHROUGH, .decision = RECONCILE_START });
}

static void somebody_else_is_waited_for(void **state _unused_) {
        table({ LOOK, HOST, MODE_PASSTHROUGH, .locked = true, .decision = RECONCILE_WAIT },
                        { LOOK, VFIO, MODE_PASSTHROUGH, .fulfilled = true,
                                        .decision = RECONCILE_NOTHING });
}

static void what_was_cut_off_is_finished(void **state _unused_) {
        table({ LOOK, HOST, MODE_HOST, .fulfilled = true, .interrupted = true,
                              .decision = RECONCILE_START },
                        { ENDED, HOST, MODE_HOST, .fulfilled = true, .interrupted = true,
                                        .decision = RECONCILE_NOTHING },
                        { LOOK, HOST, MODE_HOST, .fulfilled = true,
                                        .decision = RECONCILE_NOTHING });
}

/* While it is locked, where it belongs is no matter of who wishes what. */
static void what_changes_on_the_way_is_no_person(void **state _unused_) {
        table({ LOOK, VFIO, MODE_HOST, .decision = RECONCILE_START },
                        { LOOK, VFIO, MODE_UNSET, .locked = true, .decision = RECONCILE_WAIT },
                        { ENDED, VFIO, MODE_HOST, .interrupted = true,
                                        .decision = RECONCILE_START },
                        { LOOK, VFIO, MODE_UNSET, .locked = true, .decision = RECONCILE_WAIT },
                        { ENDED, VFIO, MODE_HOST, .interrupted = true,
                                        .decision = RECONCILE_NOTHING });
}

#define LOST(s) \
        { LOOK, HOST, MODE_PASSTHROUGH, .second = s, .decision = RECONCILE_START }
#define WON(s)                                                                 \
        {                                                                      \
                ENDED, VFIO, MODE_PASSTHROUGH, .fulfilled = true, .second = s, \
                                               .decision = RECONCILE_NOTHING   \
        }

static void a_fight_is_given_up_once(void **state _unused_) {
        table(LOST(0), WON(1), LOST(2), WON(3), LOST(4), WON(5), LOST(6), WON(7), LOST(8), WON(9),
                        { LOOK, HOST, MODE_PASSTHROUGH, .second = 10,
                                        .decision = RECONCILE_GIVE_UP },
                        { LOOK, HOST, MODE_PASSTHROUGH, .second = 11,
                                        .decision = RECONCILE_NOTHING },
                        { LOOK, BARE, MODE_PASSTHROUGH, .second = 500,
                                        .decision = RECONCILE_NOTHING },
                        { FORGIVE, HOST, MODE_PASSTHROUGH, .second = 501,
                                        .decision = RECONCILE_START });
}

/* Whoever brings it there ends the fight, and is helped from then on. */
static void a_fight_that_was_given_up_may_be_won(void **state _unused_) {
        table(LOST(0), WON(1), LOST(2), WON(3), LOST(4), WON(5), LOST(6), WON(7), LOST(8), WON(9),
                        { LOOK, HOST, MODE_PASSTHROUGH, .second = 10,
                                        .decision = RECONCILE_GIVE_UP },
                        { LOOK, VFIO, MODE_PASSTHROUGH, .fulfilled = true, .second = 20,
                                        .decision = RECONCILE_NOTHING },
                        LOST(500));
}

static void what_was_undone_unseen_is_repeated(void **state _unused_) {
        table({ LOOK, HOST, MODE_PASSTHROUGH, .decision = RECONCILE_START },
                        { UNDONE, HOST, MODE_PASSTHROUGH, .second = 1,
                                        .decision = RECONCILE_START },
                        { UNDONE, HOST, MODE_PASSTHROUGH, .second = 2,
                                        .decision = RECONCILE_START },
                        { UNDONE, HOST, MODE_PASSTHROUGH, .second = 3,
                                        .decision = RECONCILE_START },
                        { UNDONE, HOST, MODE_PASSTHROUGH, .second = 4,
                                        .decision = RECONCILE_START },
                        { UNDONE, HOST, MODE_PASSTHROUGH, .second = 5,
                                        .decision = RECONCILE_GIVE_UP },
                        { LOOK, HOST, MODE_PASSTHROUGH, .second = 6,
                                        .decision = RECONCILE_NOTHING });
}

/* It may have thought that there was nothing to do; it would think so again. */
static void a_job_that_moved_nothing_is_not_repeated(void **state _unused_) {
        table({ UNDONE, HOST, MODE_PASSTHROUGH, .decision = RECONCILE_START },
                        { DONE, HOST, MODE_PASSTHROUGH, .decision = RECONCILE_NOTHING });
}

/* As often as they come and go there is no end of jobs, but it is not given up either. */
static void who_comes_and_goes_is_no_fight(void **state _unused_) {
        table({ LOOK, HOST, MODE_PASSTHROUGH, .decision = RECONCILE_START },
                        { LET_GO, HOST, MODE_PASSTHROUGH, .second = 1,
                                        .decision = RECONCILE_START },
                        { LET_GO, HOST, MODE_PASSTHROUGH, .second = 2,
                                        .decision = RECONCILE_START },
                        { LET_GO, HOST, MODE_PASSTHROUGH, .second = 3,
                                        .decision = RECONCILE_START },
                        { LET_GO, HOST, MODE_PASSTHROUGH, .second = 4,
                                        .decision = RECONCILE_START },
                        { LET_GO, HOST, MODE_PASSTHROUGH, .second = 5,
                                        .decision = RECONCILE_START },
                        { LET_GO, HOST, MODE_PASSTHROUGH, .second = 6,
                                        .decision = RECONCILE_NOTHING },
                        { LOOK, BARE, MODE_PASSTHROUGH, .second = 7, .decision = RECONCILE_START },
                        { LET_GO, BARE, MODE_PASSTHROUGH, .second = 62,
                                        .decision = RECONCILE_START },
                        { LET_GO, BARE, MODE_PASSTHROUGH, .second = 62,
                                        .decision = RECONCILE_START },
                        { DONE, BARE, MODE_PASSTHROUGH, .second = 62,
                                        .decision = RECONCILE_NOTHING });
}

static void slow_trouble_is_no_fight(void **state _unused_) {
        table(LOST(0), WON(1), LOST(15), WON(16), LOST(30), WON(31), LOST(45), WON(46), LOST(59),
                        WON(59), LOST(60), WON(61), LOST(75));
}

static void a_fingerprint_has_all_drivers(void **state _unused_) {
        static Device functions[] = {
                { .identity = { .device = 7 }, .driver = (char *) "nvidia" },
                { .address = { .function = 1 } },
                { .address = { .function = 3 }, .driver = (char *) "vfio-pci" },
        };
        const Gpu gpu = { .functions = functions, .n_functions = ARRAY_SIZE(functions) };
        Fingerprint a, b;

        a = fingerprint_of(&gpu, MODE_HOST, false);
        assert_string_equal(a.drivers, "0:nvidia 1: 3:vfio-pci ");
        assert_int_equal(a.identity.device, 7);
        b = fingerprint_of(&gpu, MODE_HOST, false);
        assert_true(fingerprint_equal(&a, &b));
        b = fingerprint_of(&gpu, MODE_HOST, true);
        assert_false(fingerprint_equal(&a, &b));
}

static void long_names_do_no_harm(void **state _unused_) {
        char name[600];
        Device functions[] = { { .driver = name }, { .driver = name } };
        const Gpu gpu = { .functions = functions, .n_functions = ARRAY_SIZE(functions) };
        Fingerprint fingerprint;

        memset(name, 'x', sizeof(name) - 1);
        name[sizeof(name) - 1] = 0;
        fingerprint = fingerprint_of(&gpu, MODE_HOST, false);
        assert_int_equal(strlen(fingerprint.drivers), sizeof(fingerprint.drivers) - 1);
}

/* Another program takes it function by function, and later gives it back. */
static void what_is_being_taken_is_waited_for(void **state _unused_) {
        static const struct {
                const char *drivers;
                FunctionSet on_vfio;
                bool may_be_taken, fulfilled;
                Action decision;
        } looks[] = {
                { "0:nvidia 1:snd 2:xhci ", 0, false, true, RECONCILE_NOTHING },
                { "0:vfio-pci 1:snd 2:xhci ", 1, true, false, RECONCILE_WAIT },
                { "0:vfio-pci 1: 2:xhci ", 1, true, false, RECONCILE_WAIT },
                { "0:vfio-pci 1:vfio-pci 2:xhci ", 3, true, false, RECONCILE_WAIT },
                { "0:vfio-pci 1:vfio-pci 2:vfio-pci ", 7, false, true, RECONCILE_NOTHING },
                /* One has left. */
                { "0:vfio-pci 1:vfio-pci 2: ", 3, true, false, RECONCILE_START },
        };
        Attempts attempts = {};

        for (size_t i = 0; i < ARRAY_SIZE(looks); ++i) {
                Observation now = {
                        .fingerprint.wish = MODE_HOST,
                        .fulfilled = looks[i].fulfilled,
                        .on_vfio = looks[i].on_vfio,
                        .may_be_taken = looks[i].may_be_taken,
                };

                strcpy(now.fingerprint.drivers, looks[i].drivers);
                assert_int_equal(reconcile(&attempts, &now, USEC_PER_SEC), looks[i].decision);
        }
}

/* What was left like that when the agent came is not being taken, as far as can be told. */
static void what_was_half_taken_before_is_not_waited_for(void **state _unused_) {
        Observation now = {
                .fingerprint = { .wish = MODE_HOST, .drivers = "0:vfio-pci 1:snd " },
                .on_vfio = 1,
                .may_be_taken = true,
        };
        Attempts attempts = {};

        assert_int_equal(reconcile(&attempts, &now, USEC_PER_SEC), RECONCILE_START);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_being_taken_is_waited_for),
                cmocka_unit_test(what_was_half_taken_before_is_not_waited_for),
                cmocka_unit_test(what_is_as_wished_is_left_alone),
                cmocka_unit_test(a_wish_is_tried_once_and_is_fulfilled),
                cmocka_unit_test(what_has_not_helped_is_not_repeated),
                cmocka_unit_test(a_person_gets_another_try),
                cmocka_unit_test(a_job_that_never_ran_was_no_try),
                cmocka_unit_test(somebody_else_is_waited_for),
                cmocka_unit_test(what_was_cut_off_is_finished),
                cmocka_unit_test(what_changes_on_the_way_is_no_person),
                cmocka_unit_test(a_fight_is_given_up_once),
                cmocka_unit_test(a_fight_that_was_given_up_may_be_won),
                cmocka_unit_test(what_was_undone_unseen_is_repeated),
                cmocka_unit_test(a_job_that_moved_nothing_is_not_repeated),
                cmocka_unit_test(who_comes_and_goes_is_no_fight),
                cmocka_unit_test(slow_trouble_is_no_fight),
                cmocka_unit_test(a_fingerprint_has_all_drivers),
                cmocka_unit_test(long_names_do_no_harm),
        };

        return cmocka_run_group_tests_name("daemon/reconcile", tests, NULL, NULL);
}
