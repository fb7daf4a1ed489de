/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Nearly all of the time is spent in the kernel, process by process, so a few threads share the
 * work. The first thread does none of it: it watches the others, gives up one that gets no answer
 * about its process within its share, has a new one go on in its place, and replies when all is
 * looked at or the time is up. Any user can keep such an answer back for ever: the kernel takes
 * locks for it that a process can be made to hold while it waits for a FUSE server (mmap_lock).
 *
 * A process that forks and ends passes on what it has open. So when all that are listed have been
 * looked at, so is each number that was given out meanwhile, one after the other, and then each that
 * was given out during that, until none was. What has a GPU in use at the beginning of such a round
 * without births, and had it by birth or before the look began, was there when it was looked at: if
 * not in this round, then in the one that its number was new in, or in the list. Whoever has ended by
 * then has nothing to pass on. In ascending order, as a number is given out before its process can be
 * seen: until it can, its parent is there, with the same files, and was looked at before. A child that
 * could not be seen is there when its parent has ended: so when one that was found ends, the numbers above
 * its own are looked at once more. Threads have numbers, too, and can have files of their own (KERNEL.md
 * 5.9, 5.10).
 *
 * A round takes microseconds, so it comes to its end on a machine that starts thousands of processes
 * a second. Where none has when the time is up, it is not known who has the GPU. When the
 * numbers have gone all around, all is listed anew.
 */

#include <fcntl.h>
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

/* So many numbers are not given out between the one that a child gets and the end of clone(). */
#define BIRTHS_MAX 4096

/* A process that passes on what it has every few microseconds has a name in one of them. */
#define NEWEST_TRIES 400U

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
        Hit hit; /* with the name of the process that .files is about, if there is something to be told */
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
        int loadavg_fd;      /* -1: not there */
        pid_t last;          /* up to this number all were queued; -1: none was */
        pid_t latest;        /* number that was given out */
        bool went_around;    /* numbers were given out from the beginning again */
        bool chasing;        /* the queue is numbers, in order: one thread looks at them */
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

/* What a hit tells of its process even if that ends: by what waits for nothing (KERNEL.md 5.7). */
static void learn_name(Hit *hit, int proc_fd) {
        _cleanup_(process_deinit) Process process = {};

        process_init_name(&process, proc_fd, hit->pid);
        hit->uid = process.uid;
        snprintf(hit->command, sizeof(hit->command), "%s", process.command ?: "");
}

static int push_unknown(Look *look, pid_t pid, int error) {
        Hit hit = { .pid = pid, .node = -1, .error = error };

        learn_name(&hit, look->input->roots->proc_fd);
        return push_hit(look, hit);
}

/* What was found of a process: a hit for each node, and one more if something could not be seen. */
static int push_hits(Look *look, const Seat *seat) {
        const OpenFiles *files = seat->files;
        Hit hit = seat->hit;
        int r = 0;

        hit.error = files->error;
        if (files->error > 0)
                r = push_hit(look, hit);
        hit.error = 0;
        for (size_t i = 0; i < look->input->n_sets; ++i)
                for (size_t k = 0; k < look->input->sets[i].n && r >= 0; ++k) {
                        unsigned char seen = files->seen[files->firsts[i] + k];

                        hit.set = i;
                        hit.node = k;
                        hit.mapped = !(seen & SEEN_OPEN);
                        if (seen)
                                r = push_hit(look, hit);
                }
        return r;
}

/*
 * Those of processes that have ended go. @keep_last: but for the last one of each set, as it is
 * not known whether it has passed on what it had. Return: the lowest of them, 0 if there was none, or
 * a negative error code
 */
static pid_t drop_ended(Look *look, bool keep_last) {
        _cleanup_(freep) bool *has_one = calloc(look->input->n_sets, sizeof(*has_one));
        Hit *hits = look->reply->hits;
        size_t n = look->reply->n_hits, to = n;
        pid_t lowest = 0;

        if (!has_one)
                return -ENOMEM;
        for (size_t i = n; i-- > 0;) {
                bool *last = &has_one[hits[i].set];

                if (!process_is_there(look->input->roots->proc_fd, hits[i].pid)) {
                        if (!keep_last || *last) {
                                if (lowest == 0 || hits[i].pid < lowest)
                                        lowest = hits[i].pid;
                                continue;
                        }
                        *last = true;
                }
                hits[--to] = hits[i];
        }
        look->reply->n_hits = n - to;
        memmove(hits, hits + to, (n - to) * sizeof(*hits));
        return lowest;
}

static int compare_hits(const void *a, const void *b) {
        const Hit *one = a, *other = b;

        if (one->pid != other->pid)
                return one->pid < other->pid ? -1 : 1;
        if (one->set != other->set)
                return one->set < other->set ? -1 : 1;
        return (one->node > other->node) - (one->node < other->node);
}

/* In order, and each once: a process may have been looked at again, or a thread of it. */
static void sort_hits(LookReply *reply) {
        Hit *hits = reply->hits;
        size_t n = 0;

        if (reply->n_hits > 0)
                qsort(hits, reply->n_hits, sizeof(*hits), compare_hits);
        for (size_t i = 0; i < reply->n_hits; ++i) {
                if (n > 0 && compare_hits(&hits[n - 1], &hits[i]) == 0)
                        hits[n - 1].mapped &= hits[i].mapped;
                else
                        hits[n++] = hits[i];
        }
        reply->n_hits = n;
}

/* the threads */

/* Which number was given out last? Often enough that they cannot have gone around unseen. */
static int read_latest(Look *look) {
        pid_t latest;
        int r;

        if (look->loadavg_fd < 0)
                return 0;
        r = process_last_number(look->loadavg_fd, &latest);
        if (r < 0)
                return r;
        look->went_around |= latest < look->latest;
        look->latest = latest;
        return 0;
}

/* Queue all processes that there are. */
static int queue_all(Look *look) {
        _cleanup_(freep) pid_t *pids = NULL;
        size_t n = 0;
        int r;

        r = process_list(look->input->roots->proc_fd, &pids, &n);
        for (size_t i = 0; i < n && r >= 0; ++i)
                r = pids_push(&look->queue, pids[i]);
        return r;
}

/* Queue the numbers that were given out since the last time. */
static int queue_new(Look *look) {
        bool all;
        int r;

        look->queue.n = 0;
        look->next = 0;
        r = read_latest(look);
        all = look->last < 0 || look->went_around;
        look->went_around = false;
        look->chasing = !all;
        if (r >= 0 && all)
                r = queue_all(look);
        for (pid_t pid = look->last + 1; pid <= look->latest && !all && r >= 0; ++pid)
                r = pids_push(&look->queue, pid);
        look->last = look->latest;
        return r;
}

/* Queue what may be a child of one that has ended, and could not be seen when its turn came. */
static int queue_children(Look *look, pid_t parent) {
        pid_t pid = look->latest - BIRTHS_MAX;
        int r = 0;

        for (pid = pid < parent ? parent + 1 : pid; pid <= look->latest && r >= 0; ++pid)
                if (process_is_there(look->input->roots->proc_fd, pid))
                        r = pids_push(&look->queue, pid);
        return r;
}

/*
 * None was started while the last ones were looked at: then who has ended by now, with none
 * started still, has passed nothing on but to those that were started before. Return: whether that
 * is so, and none of these is left to be looked at; or a negative error code.
 */
static int is_done(Look *look) {
        pid_t latest = look->latest, ended;
        int r;

        if (!look->chasing || look->queue.n > 0)
                return 0;
        ended = r = drop_ended(look, false);
        if (r >= 0)
                r = read_latest(look);
        if (r >= 0 && ended > 0)
                r = queue_children(look, ended);
        return r < 0 ? r : latest == look->latest && look->queue.n == 0;
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
        r = queue_new(look);
        if (r >= 0)
                r = is_done(look);
        look->done = r > 0;
        if (!look->chasing && look->queue.n > PROCESSES_PER_THREAD)
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

/* Without the lock, as it may never come back. @chasing: the number may be that of a thread */
static int look_at_process(Seat *seat, bool chasing, uint64_t end_usec) {
        const LookInput *input = seat->look->input;
        int proc_fd = input->roots->proc_fd, r = 0;
        OpenFiles *files = seat->files;
        pid_t pid = seat->pid;

        if (seat->waits)
                return process_wait_for_end(proc_fd, pid, end_usec);
        if (chasing)
                r = process_of_thread(proc_fd, pid, &pid);
        if (r == PROCESS_E_GONE || pid == input->self || pid == getpid()) {
                open_files_clear(files, pid);
                return 0;
        }
        r = r >= 0 && pid != seat->pid ? open_files_look_at_thread(files, pid, seat->pid)
                                       : open_files_look(files, pid);
        if (r < 0)
                return r;
        if (files->error > 0 && process_is_kernel_thread(proc_fd, pid))
                files->error = 0;
        seat->hit = (Hit){ .pid = files->pid, .node = -1 };
        if (files->error > 0 || open_files_saw_any(files))
                learn_name(&seat->hit, proc_fd);
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
        return push_hits(look, seat);
}

static void *work(void *userdata) {
        Seat *seat = userdata;
        Look *look = seat->look;
        uint64_t end_usec;
        bool chasing;
        int r;

        pthread_mutex_lock(&look->lock);
        while ((r = take_process(look, seat)) > 0) {
                end_usec = look->end_usec;
                chasing = look->chasing;
                pthread_mutex_unlock(&look->lock);
                r = look_at_process(seat, chasing, end_usec);
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
        if (look->chasing)
                wanted = 1;
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
                bool answers;

                if (seat->is_lost || seat->pid == 0)
                        continue;
                if (steps != seat->steps) {
                        seat->steps = steps;
                        seat->since_usec = look->clock_usec;
                }
                answers = look->clock_usec < seat->since_usec + LIMIT_SHARE_USEC;
                if (!is_over && (seat->waits || answers))
                        continue;
                seat->is_lost = true;
                --look->n_working;
                /* Maybe it waits for another one: again, without that. */
                if (!is_over && atomic_load(&seat->files->compares)) {
                        file_tables_turn_off(&look->tables);
                        look->queue.items[--look->next] = seat->pid;
                        continue;
                }
                r = push_unknown(look, seat->pid,
                                seat->waits               ? ETIMEDOUT
                                                : answers ? EBUSY
                                                          : ETIME);
        }
        return r;
}

/* One of those that were started last, by name: they come faster than they are looked at. */
static int push_newest(Look *look) {
        Hit hit = { .node = -1, .error = EAGAIN };

        for (unsigned int i = 0; i < NEWEST_TRIES && hit.command[0] == 0; ++i) {
                (void) read_latest(look);
                hit.pid = look->latest - (pid_t) (i % 4);
                learn_name(&hit, look->input->roots->proc_fd);
        }
        if (hit.command[0] == 0) {
                ++look->reply->n_left;
                return 0;
        }
        return push_hit(look, hit);
}

/* The time is up: who was not come to? */
static int note_rest(Look *look) {
        int r;

        look->reply->n_left += look->ending.n;
        if (!look->chasing)
                look->reply->n_left += look->queue.n - look->next ?: 1;
        r = drop_ended(look, true);
        return r < 0 || !look->chasing ? r : push_newest(look);
}

/* With the lock held, to the end: whoever comes back now comes too late. */
static int watch(Look *look) {
        uint64_t now = monotonic_usec(), before, until;
        int r = 0;

        while (!look->done && look->error == 0) {
                struct timespec ts;

                /* A machine that stood still, or has no time for us, has kept no answer back. */
                before = now;
                now = monotonic_usec();
                look->clock_usec += now - before < WATCH_USEC ? now - before : WATCH_USEC;
                r = read_latest(look);
                if (r >= 0)
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

        return look->done ? 0 : note_rest(look);
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
                .last = -1,
                .lock = PTHREAD_MUTEX_INITIALIZER,
                .reply = calloc(1, sizeof(*look.reply)),
        };
        if (!look.reply)
                return -ENOMEM;
        look.loadavg_fd = openat(look.input->roots->proc_fd, "loadavg", O_RDONLY | O_CLOEXEC);
        if (look.loadavg_fd < 0 && procfs_is_real(look.input->roots->proc_fd))
                return -errno;
        (void) pthread_condattr_init(&attributes);
        (void) pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        (void) pthread_cond_init(&look.changed, &attributes);

        pthread_mutex_lock(&look.lock);
        r = watch(&look);
        if (r < 0)
                return r;
        sort_hits(look.reply);
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
                                (hit.node >= 0 && (size_t) hit.node >= input->sets[hit.set].n) ||
                                !memchr(hit.command, 0, sizeof(hit.command)))
                        return -EBADMSG;
        }
        return 0;
}
