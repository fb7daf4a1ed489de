/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reconciling
 *
 * What shall be done about one GPU, given how it looks now and what was tried before. No
 * clock, file or bus is looked at here.
 */

#include "model/gpu.h"

/* So many jobs for a GPU within so much time, and no more. */
#define RECONCILE_JOBS_MAX    5
#define RECONCILE_WINDOW_USEC (60 * USEC_PER_SEC)

/* What makes it worth trying again. Compared as a whole. */
typedef struct Fingerprint {
        Identity identity;
        char drivers[512]; /* of all functions, in their order */
        Mode wish;
        bool unfinished; /* a switch was cut off, or came back late */
} Fingerprint;

/* How a GPU looks now. */
typedef struct Sight {
        Fingerprint fingerprint;
        bool fulfilled; /* it is where it is wished to be */
        bool locked;    /* somebody switches it, or still writes to it */
} Sight;

/* When something was tried. {} is never. */
typedef struct Tries {
        uint64_t usec[RECONCILE_JOBS_MAX]; /* the newest last */
        size_t n;
} Tries;

/* What is remembered of a GPU. {} is nothing. */
typedef struct Memory {
        bool busy;  /* a job of ours is under way */
        bool tried; /* from what follows, and it is not seen to have helped */
        Fingerprint from;
        bool done;  /* but the job says that it has */
        bool moved; /* and drivers have come or gone since it was asked for */
        bool known; /* what follows was seen */
        Fingerprint last;
        Tries starts;   /* of jobs, but for those that follow */
        Tries let_go;   /* after those who held it had gone */
        bool is_let_go; /* and that is why the next one starts */
        bool gave_up;
} Memory;

typedef enum Action {
        RECONCILE_NOTHING, /* there is nothing to do, or it was tried in vain */
        RECONCILE_WAIT,    /* somebody is at it; the end of that is an event */
        RECONCILE_START,   /* a job */
        RECONCILE_GIVE_UP, /* said once */
        _RECONCILE_MAX,
} Action;

Action reconcile(Memory *memory, const Sight *sight, uint64_t now_usec);
void memory_forgive(Memory *memory);
void memory_end(Memory *memory, bool done);
void memory_note_move(Memory *memory);
void memory_untry(Memory *memory);
bool memory_let_go(Memory *memory, uint64_t now_usec);
void fingerprint_set(Fingerprint *fingerprint, const Gpu *gpu, Mode wish, bool unfinished);
bool fingerprint_equal(const Fingerprint *a, const Fingerprint *b);
