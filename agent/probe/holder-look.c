/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Nearly all of the time is spent in the kernel, process by process, so a few threads share the
 * work. The first thread does none of it: it watches the others, gives up one that gets no answer
 * about its process within its share, has a new one go on in its place, and replies when all is
 * looked at or the time is up. Any user can keep such an answer back for ever: the kernel takes
 * locks for it that a process can be made to hold while it waits for a FUSE server (mmap_lock).
 *
 * A process that forks and ends passes on what it has open. So when all that are listed have been
 * looked at, they are listed again, and those that are new are looked at, newest first, until a
 * list has none that is new: then each process that was there when it was made has been looked at,
 * and what one has by birth it has had since. On a machine that starts processes all the time that
 * comes true between two of them. Where it has not when the time is up, it is not known who
 * has the GPU.
 */

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "os/process.h"
#include "probe/holder-look.h"
#include "probe/open-files.h"

/* More of them only wait for each other, and for fewer processes none is worth starting. */
#define THREADS_MAX          4U
#define PROCESSES_PER_THREAD 32U

/* How long the kernel may take for one answer, and how often is looked for it. */
#define LIMIT_SHARE_USEC (250 * USEC_PER_MSEC)
#define WATCH_USEC       (50 * USEC_PER_MSEC)

/* A process that ends is gone in less, unless a driver keeps it. */
#define LIMIT_END_USEC (1 * USEC_PER_SEC)

typedef struct Pids {
        pid_t *items;
        size_t n;
} Pids;

typedef struct Look Look;

/* One thread. It is given up, but never freed: what it waits for may come back to it. */
typedef struct Seat {
        Look *look;
        struct Seat *next;
        OpenFiles *files;
        pid_t pid;          /* that it is at, or 0 */
        bool waits;         /* for the end of it */
        bool is_lost;       /* given up */
        unsigned int steps; /* of .files, as seen last, and since when */
        uint64_t since_usec;
} Seat;

struct Look {
        const LookInput *input;
        FileTables tables;
        uint64_t deadline_usec;
        size_t n_threads_max;
        pthread_mutex_t lock;   /* of all below */
        pthread_cond_t changed; /* the first thread has something to do */
        Seat *seats;
        size_t n_working;
        uint64_t clock_usec; /* of time in which the kernel had a chance to answer */
        Pids known;          /* listed last, ascending */
        Pids queue;          /* to be looked at; or, if .waiting, to be waited for */
        size_t next;         /* of .queue: whichever thread is free takes it */
        bool waiting;
        uint64_t end_usec; /* how long it is waited */
        Pids ending;       /* they showed nothing, as they were ending */
        bool done;
        int error;
        LookReply *reply;
        size_t n_allocated;
};

static int pids_push(Pids *pids, pid_t pid) {
        pid_t *more;

        /* Doubled each time that it comes to a power of two. */
        if ((pids->n & (pids->n - 1)) == 0) {
                more = realloc(pids->items, (pids->n ? 2 * pids->n : 1) * sizeof(*more));
                if (!more)
                        return -ENOMEM;
                pids->items = more;
        }
        pids->items[pids->n++] = pid;
        return 0;
}

/* hits */

static int push_hit(Look *look, Hit hit) {
        LookReply *more;
        size_t n;

        if (look->reply->n_hits == LOOK_HITS_MAX) {
                ++look->reply->n_left;
                return 0;
        }
        if (look->reply->n_hits == look->n_allocated) {
                n = look->n_allocated ? 2 * look->n_allocated : 64;
                more = realloc(look->reply, sizeof(*more) + n * sizeof(hit));
                if (!more)
                        return -ENOMEM;
                look->reply = more;
                look->n_allocated = n;
        }
        look->reply->hits[look->reply->n_hits++] = hit;
        return 0;
}

static int push_unknown(Look *look, pid_t pid, int error) {
        return push_hit(look, (Hit){ .pid = pid, .node = -1, .error = error });
}

static int push_hits(Look *look, const OpenFiles *files) {
        int r = 0;

        if (files->error > 0)
                r = push_unknown(look, files->pid, files->error);
        for (size_t i = 0; i < look->input->n_sets; ++i)
                for (size_t k = 0; k < look->input->sets[i].n && r >= 0; ++k) {
                        unsigned char seen = files->seen[files->firsts[i] + k];

                        if (seen)
                                r = push_hit(look,
                                                (Hit){ .pid = files->pid,
                                                                .set = i,
                                                                .node = k,
                                                                .mapped = !(seen & SEEN_OPEN) });
                }
        return r;
}

static int compare_hits(const void *a, const void *b) {
        const Hit *one = a, *other = b;

        if (one->pid != other->pid)
                return one->pid < other->pid ? -1 : 1;
        if (one->set != other->set)
                return one->set < other->set ? -1 : 1;
        return (one->node > other->node) - (one->node < other->node);
}

/* the threads */

static int compare_pids(const void *a, const void *b) {
        const pid_t one = *(const pid_t *) a, other = *(const pid_t *) b;

        return (one > other) - (one < other);
}

/* Queue the processes that have come since the last list, newest first. */
static int list_new(Look *look) {
        Pids now = {};
        int r;

        r = process_list(look->input->roots->proc_fd, &now.items, &now.n);
        if (r < 0)
                return r;
        qsort(now.items, now.n, sizeof(*now.items), compare_pids);
        look->queue.n = 0;
        look->next = 0;
        for (size_t i = now.n, k = look->known.n; i-- > 0 && r >= 0;) {
                pid_t pid = now.items[i];

                while (k > 0 && look->known.items[k - 1] > pid)
                        --k;
                if (k > 0 && look->known.items[k - 1] == pid)
                        continue;
                if (pid != look->input->self && pid != getpid())
                        r = pids_push(&look->queue, pid);
        }
        free(look->known.items);
        look->known = now;
        return r;
}

/* All in the queue has been looked at, and this is the last thread at work: what comes next? */
static int refill(Look *look) {
        Pids done;
        int r;

        if (!look->waiting && look->ending.n > 0) {
                done = look->queue;
                look->queue = look->ending;
                look->ending = done;
                look->ending.n = 0;
                look->next = 0;
                look->waiting = true;
                look->end_usec = monotonic_usec() + LIMIT_END_USEC;
                if (look->end_usec > look->deadline_usec)
                        look->end_usec = look->deadline_usec;
                return 0;
        }
        look->waiting = false;
        r = list_new(look);
        look->done = r >= 0 && look->queue.n == 0;
        if (look->queue.n > PROCESSES_PER_THREAD)
                pthread_cond_signal(&look->changed);
        return r;
}

/* Return: 1 if the thread has a process to look at, 0 if none is left for it, or an error. */
static int take_process(Look *look, Seat *seat) {
        int r = 0;

        while (look->next == look->queue.n && look->n_working == 1 && !look->done && r >= 0)
                r = refill(look);
        if (r < 0 || look->next == look->queue.n)
                return r;
        seat->pid = look->queue.items[look->next++];
        seat->waits = look->waiting;
        seat->since_usec = look->clock_usec;
        return 1;
}

/* Without the lock, as it may never come back. */
static int look_at_process(Seat *seat, uint64_t end_usec) {
        int proc_fd = seat->look->input->roots->proc_fd, r;

        if (seat->waits)
                return process_wait_for_end(proc_fd, seat->pid, end_usec);
        r = open_files_look(seat->files, seat->pid);
        if (r >= 0 && seat->files->error > 0 && process_is_kernel_thread(proc_fd, seat->pid))
                seat->files->error = 0;
        return r;
}

static int note_process(Look *look, Seat *seat, int r) {
        if (r < 0 && !seat->waits)
                return r;
        if (seat->waits)
                return r == 0 ? 0 : push_unknown(look, seat->pid, r < 0 ? -r : ETIMEDOUT);
        if (r == OPEN_FILES_E_ENDING) {
                r = pids_push(&look->ending, seat->pid);
                if (r < 0)
                        return r;
        }
        return push_hits(look, seat->files);
}

static void *work(void *userdata) {
        Seat *seat = userdata;
        Look *look = seat->look;
        uint64_t end_usec;
        int r;

        pthread_mutex_lock(&look->lock);
        while ((r = take_process(look, seat)) > 0) {
                end_usec = look->end_usec;
                pthread_mutex_unlock(&look->lock);
                r = look_at_process(seat, end_usec);
                pthread_mutex_lock(&look->lock);
                if (seat->is_lost)
                        break;
                r = note_process(look, seat, r);
                seat->pid = 0;
                if (r < 0)
                        break;
        }
        if (!seat->is_lost) {
                look->n_working--;
                if (r < 0)
                        look->error = r;
                pthread_cond_signal(&look->changed);
        }
        pthread_mutex_unlock(&look->lock);
        return NULL;
}

/* the first thread */

static int start_thread(Look *look) {
        Seat *seat = calloc(1, sizeof(*seat));
        pthread_t thread;
        int r;

        if (!seat)
                return -ENOMEM;
        r = open_files_new(look->input->roots, look->input->sets, look->input->n_sets,
                        look->input->deep, &seat->files);
        if (r >= 0) {
                seat->look = look;
                seat->files->tables = &look->tables;
                r = -pthread_create(&thread, NULL, work, seat);
        }
        if (r < 0) {
                open_files_free(seat->files);
                free(seat);
                return r;
        }
        (void) pthread_detach(thread);
        seat->next = look->seats;
        look->seats = seat;
        ++look->n_working;
        return 0;
}

/* As many as there is work for. With fewer it only takes longer. */
static int start_threads(Look *look) {
        size_t wanted = (look->queue.n - look->next) / PROCESSES_PER_THREAD;
        int r = 0;

        if (wanted > look->n_threads_max)
                wanted = look->n_threads_max;
        while (r >= 0 && !look->done && look->n_working < (wanted ?: 1))
                r = start_thread(look);
        return look->n_working > 0 || look->done ? 0 : r;
}

/* Give up the threads that get no answer; all of them, when the time is up. */
static int give_up(Look *look, bool is_over) {
        int r = 0;

        for (Seat *seat = look->seats; seat && r >= 0; seat = seat->next) {
                unsigned int steps =
                                atomic_load_explicit(&seat->files->steps, memory_order_relaxed);

                if (seat->is_lost || seat->pid == 0)
                        continue;
                if (steps != seat->steps) {
                        seat->steps = steps;
                        seat->since_usec = look->clock_usec;
                }
                if (!is_over &&
                                (seat->waits ||
                                                look->clock_usec < seat->since_usec +
                                                                                LIMIT_SHARE_USEC))
                        continue;
                seat->is_lost = true;
                --look->n_working;
                r = push_unknown(look, seat->pid, seat->waits ? ETIMEDOUT : ETIME);
        }
        return r;
}

/* With the lock held, to the end: whoever comes back now comes too late. */
static int watch(Look *look) {
        uint64_t now = monotonic_usec(), before, until;
        size_t n_left;
        int r = 0;

        while (!look->done && look->error == 0) {
                struct timespec ts;

                /* A machine that stood still, or has no time for us, has kept no answer back. */
                before = now;
                now = monotonic_usec();
                look->clock_usec += now - before < WATCH_USEC ? now - before : WATCH_USEC;
                r = give_up(look, now >= look->deadline_usec);
                if (r < 0 || now >= look->deadline_usec)
                        break;
                r = start_threads(look);
                if (r < 0)
                        return r;
                until = now + WATCH_USEC;
                if (until > look->deadline_usec)
                        until = look->deadline_usec;
                ts.tv_sec = until / USEC_PER_SEC;
                ts.tv_nsec = until % USEC_PER_SEC * 1000;
                (void) pthread_cond_timedwait(&look->changed, &look->lock, &ts);
        }
        if (look->error < 0 || r < 0)
                return look->error < 0 ? look->error : r;

        n_left = look->queue.n - look->next + look->ending.n;
        /* New ones come faster than they are looked at: at least the next is not known. */
        if (!look->done && n_left == 0)
                n_left = 1;
        look->reply->n_left += n_left;
        return 0;
}

static int send_reply(const Look *look, int reply_fd) {
        const char *rest = (const char *) look->reply;
        size_t n = sizeof(*look->reply) + look->reply->n_hits * sizeof(Hit);
        ssize_t k;

        for (; n > 0; rest += k, n -= k) {
                k = write(reply_fd, rest, n);
                if (k <= 0)
                        return k < 0 ? -errno : -EIO;
        }
        return 0;
}

static size_t count_cpus(void) {
        cpu_set_t cpus;

        if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
                return 1;
        return (size_t) CPU_COUNT(&cpus) < THREADS_MAX ? (size_t) CPU_COUNT(&cpus) : THREADS_MAX;
}

/**
 * holder_look() - look at all processes
 * @userdata:   LookInput
 * @reply_fd:   where the LookReply goes
 *
 * The work of a child (ChildFn): it ends with its process, and cleans up nothing.
 *
 * Return: 0 on success, negative error code on failure.
 */
int holder_look(void *userdata, int reply_fd) {
        /* A thread that was given up may come back to it until the process ends. */
        static Look look;
        pthread_condattr_t attributes;
        int r;

        look = (Look){
                .input = userdata,
                .tables = FILE_TABLES_NULL,
                .deadline_usec = monotonic_usec() + LOOK_LIMIT_USEC,
                .n_threads_max = count_cpus(),
                .lock = PTHREAD_MUTEX_INITIALIZER,
                .reply = calloc(1, sizeof(*look.reply)),
        };
        if (!look.reply)
                return -ENOMEM;
        (void) pthread_condattr_init(&attributes);
        (void) pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        (void) pthread_cond_init(&look.changed, &attributes);

        pthread_mutex_lock(&look.lock);
        r = watch(&look);
        if (r < 0)
                return r;
        if (look.reply->n_hits > 0)
                qsort(look.reply->hits, look.reply->n_hits, sizeof(Hit), compare_hits);
        return send_reply(&look, reply_fd);
}

/* Whether a reply is whole, and tells of what was asked for. Return: 0, or -EBADMSG. */
int look_reply_check(const LookInput *input, const char *reply, size_t n) {
        LookReply head;
        Hit hit;

        if (n < sizeof(head))
                return -EBADMSG;
        memcpy(&head, reply, sizeof(head));
        if (head.n_hits > LOOK_HITS_MAX || n != sizeof(head) + head.n_hits * sizeof(hit))
                return -EBADMSG;
        for (size_t i = 0; i < head.n_hits; ++i) {
                memcpy(&hit, reply + sizeof(head) + i * sizeof(hit), sizeof(hit));
                if (hit.pid <= 0 || hit.set >= input->n_sets || hit.node < -1 ||
                                (hit.node >= 0 && (size_t) hit.node >= input->sets[hit.set].n))
                        return -EBADMSG;
        }
        return 0;
}
