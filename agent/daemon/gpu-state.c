/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>
#include <sys/pidfd.h>
#include <systemd/sd-event.h>

#include "daemon/gpu-state.h"
#include "daemon/log.h"
#include "os/systemd.h"
#include "policy/claim.h"
#include "vfiopt/names.h"

/*
 * Waits until all of some processes have exited. Most are no children of the agent, but a pidfd
 * needs no right over its process, and becomes readable on exit. By then the kernel has closed
 * the files of the process and dropped its locks, so the next look finds both gone. (Inotify
 * reports a file as closed before its lock is dropped: fs/file_table.c, __fput().)
 */
struct PidWatch {
        uint64_t key; /* the pid, or Refusal.when_usec of several */
        sd_event_source *sources[REFUSAL_PIDS_MAX];
        size_t n_left;
        int inhibit_fd; /* of sleep, or -1 */
        bool is_child;  /* of the agent's own, to be reaped */
        sd_event_source *look;
};

static PidWatch *pid_watch_free(PidWatch *watch) {
        if (!watch)
                return NULL;

        for (size_t i = 0; i < REFUSAL_PIDS_MAX; ++i)
                sd_event_source_disable_unref(watch->sources[i]);
        closep(&watch->inhibit_fd);
        free(watch);
        return NULL;
}

DEFINE_CLEANUP(PidWatch, pid_watch_free);

static int on_process_exit(
                sd_event_source *source, int fd, uint32_t events _unused_, void *userdata) {
        PidWatch *watch = userdata;
        siginfo_t info;

        if (watch->is_child)
                (void) waitid(P_PIDFD, (id_t) fd, &info, WEXITED | WNOHANG);
        /* A pidfd stays readable. */
        (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
        if (--watch->n_left == 0)
                (void) sd_event_source_set_enabled(watch->look, SD_EVENT_ONESHOT);
        return 0;
}

/* Enables @look at once if all processes have exited already. One without a number has. */
static int pid_watch_new(sd_event_source *look,
                const ProcessId *processes,
                size_t n_processes,
                uint64_t key,
                PidWatch **ret) {
        _cleanup_(pid_watch_freep) PidWatch *watch = calloc(1, sizeof(*watch));
        int fd, r;

        if (!watch)
                return -ENOMEM;
        *watch = (PidWatch){ .key = key, .inhibit_fd = -1, .look = look };

        for (size_t i = 0; i < n_processes; ++i) {
                fd = pidfd_open(processes[i].pid, 0);
                /* The number may still be that of a group or session, or of another process's
                 * thread (kernel/pid.c, pidfd_create(); kernel/fork.c, pidfd_prepare()). */
                if (fd < 0 && (errno == ESRCH || errno == EINVAL || errno == ENOENT))
                        continue;
                if (fd < 0)
                        return -errno;
                r = sd_event_add_io(sd_event_source_get_event(look), &watch->sources[i], fd,
                                EPOLLIN, on_process_exit, watch);
                if (r < 0) {
                        close(fd);
                        return r;
                }
                (void) sd_event_source_set_io_fd_own(watch->sources[i], true);
                ++watch->n_left;
        }

        if (watch->n_left == 0)
                (void) sd_event_source_set_enabled(look, SD_EVENT_ONESHOT);
        *ret = TAKE_PTR(watch);
        return 0;
}

/*
 * Each process is watched only once: the pidfd of a zombie is readable, so watching it again would
 * loop until its parent reaps it. If a child of it still has the lock, the exit of that child
 * closes a file in the folder of locks, which is an event, too (watch.c).
 */
static int watch_process(PidWatch **watch, pid_t pid, sd_event_source *look, bool *ret_is_new) {
        *ret_is_new = pid > 0 && (!*watch || (*watch)->key != (uint64_t) pid);
        if (pid > 0 && !*ret_is_new)
                return 0;
        *watch = pid_watch_free(*watch);
        if (pid <= 0)
                return 0;
        return pid_watch_new(look, &(ProcessId){ .pid = pid }, 1, (uint64_t) pid, watch);
}

/**
 * gpu_state_watch() - wait for the processes that keep a GPU from moving
 * @state:      state, after reconcile()
 * @observation: of this look
 * @look:       event source to enable when the next look is worth it
 *
 * These are the process that moves the GPU, a writer that is stuck or was left behind, a reader that the
 * kernel keeps waiting, and the processes that the last job was refused for. While there is such a writer, the machine
 * is kept from going to sleep, which would hang as well.
 *
 * Holders are waited for until another job starts, or none is needed. A refusal whose holders have
 * all exited is not waited for again: it stays in the record if the next job ends without a word.
 *
 * Return: 0 on success, negative error code on failure.
 */
int gpu_state_watch(GpuState *state, const Observation *observation, sd_event_source *look) {
        bool in_vain = state->attempts.state == ATTEMPT_FAILED ||
                        state->attempts.state == ATTEMPT_DONE;
        const Refusal *refusal = &observation->refusal;
        char address[ADDRESS_STRING_MAX], why[96];
        bool is_new;
        int r;

        r = watch_process(&state->stuck, observation->stuck, look, &is_new);
        if (r < 0)
                return r;
        if (is_new && state->stuck->n_left > 0) {
                snprintf(why, sizeof(why),
                                "a write to GPU %s has not come back, and sleep would hang",
                                address_format(state->address, address));
                r = systemd_inhibit_sleep(VFIOPT_NAME, why, &state->stuck->inhibit_fd);
                if (r < 0)
                        log_error("cannot inhibit sleep, which would hang: %s", strerror(-r));
        }
        r = watch_process(&state->owner, observation->owner, look, &is_new);
        if (r >= 0)
                r = watch_process(&state->reader, observation->reader, look, &is_new);
        if (state->reader)
                state->reader->is_child = true;
        if (r < 0)
                return r;

        if (!in_vain)
                state->holders = pid_watch_free(state->holders);
        else if (!state->holders && refusal->n_holders > 0 &&
                        refusal->when_usec != state->released_usec)
                return pid_watch_new(look, refusal->holders, refusal->n_holders, refusal->when_usec,
                                &state->holders);
        return 0;
}

/* Whether the processes that were waited for have all exited. True once. */
bool gpu_state_take_release(GpuState *state) {
        if (!state->holders || state->holders->n_left > 0)
                return false;
        state->released_usec = state->holders->key;
        state->holders = pid_watch_free(state->holders);
        return true;
}

/* The GPU that a function belongs to, or NULL. */
GpuState *gpu_state_find_slot(GpuState *list, Address function) {
        while (list && !address_same_slot(list->address, function))
                list = list->next;
        return list;
}

/* The GPU that a job moves, or NULL. */
GpuState *gpu_state_find_unit(GpuState *list, const char *unit) {
        while (list && strcmp(list->unit, unit))
                list = list->next;
        return list;
}

/* Finds the state of a GPU, or adds one. Return: 0 on success, negative error code on failure. */
int gpu_state_get(GpuState **list, Address gpu, GpuState **ret) {
        GpuState *state = gpu_state_find_slot(*list, gpu);
        char name[ADDRESS_STRING_MAX];

        if (!state) {
                state = calloc(1, sizeof(*state));
                if (!state)
                        return -ENOMEM;
                state->address = gpu;
                snprintf(state->unit, sizeof(state->unit),
                                VFIOPT_UNIT_AUTO ":%s" VFIOPT_UNIT_SUFFIX,
                                address_format(gpu, name));
                state->next = *list;
                *list = state;
        }

        *ret = state;
        return 0;
}

/*
 * Drops the GPUs that were not seen, or all. A GPU whose job is under way stays until that is over:
 * the next card in the slot must not start a second one. Nothing but the job is remembered of it.
 */
void gpu_state_sweep(GpuState **list, bool all) {
        while (*list) {
                GpuState *state = *list;

                if (!all && (state->seen || state->attempts.state == ATTEMPT_RUNNING)) {
                        if (!state->seen)
                                attempts_forgive(&state->attempts);
                        state->seen = false;
                        list = &state->next;
                        continue;
                }
                *list = state->next;
                ask_free(state->ask);
                pid_watch_free(state->stuck);
                pid_watch_free(state->owner);
                pid_watch_free(state->holders);
                pid_watch_free(state->reader);
                free(state);
        }
}

/**
 * observation_init() - look at a GPU
 * @observation: to fill in; owns nothing
 * @state:      of the GPU; or NULL: no claim is looked for
 * @roots:      our own directories may be missing
 * @policy:     policy
 * @gpu:        GPU, as sysfs shows it
 * @ret_decision: where it belongs, and whether another program has got it
 *
 * The overrides are read where another program may have set them for a GPU that is to move. While a
 * driver is at work on it they cannot be read. Then one child goes on waiting, whose end is an event,
 * and no other is started.
 *
 * Return: 0 on success, negative error code on failure.
 */
int observation_init(Observation *observation,
                const GpuState *state,
                const Roots *roots,
                const Policy *policy,
                const Gpu *gpu,
                Decision *ret_decision) {
        _cleanup_(runtime_deinit) Runtime runtime = RUNTIME_NULL;
        const LockHolders *lock = &runtime.lock;
        const PidWatch *waits = state ? state->reader : NULL;
        pid_t reader = waits && waits->n_left > 0 ? (pid_t) waits->key : 0;
        Decision decision;
        bool stuck;
        int r;

        r = runtime_init(&runtime, roots, gpu);
        if (r < 0)
                return r;

        /* The age of a writer is not known here: one that its parent has left behind is waited for. */
        stuck = runtime_is_stuck(&runtime) || (lock->writing && !lock->locked);
        decision = policy_decide(policy, gpu, &runtime, 0);
        if (state && !reader && !stuck && !lock->locked) {
                r = decision_look_for_claim(&decision, roots, gpu, &runtime, &reader);
                if (r < 0)
                        return r;
        }
        *observation = (Observation){
                .fingerprint = fingerprint_of(gpu, decision.mode, decision.interrupted),
                .source = decision.source,
                .fulfilled = decision.claimed || mode_fulfils(decision.mode, gpu->mode) ||
                                policy_keeps_display(policy, roots->sysfs, gpu, &decision),
                .locked = stuck || lock->locked || reader > 0,
                .damaged = runtime.damaged,
                /* The kernel knows the writer better than the record does. */
                .stuck = stuck ? lock->writer : 0,
                .owner = lock->locked ? lock->owner : 0,
                .reader = reader,
        };
        for (size_t i = 0; i < gpu->n_functions; ++i)
                if (driver_is_vfio(roots->sysfs, gpu->functions[i].driver))
                        observation->on_vfio |=
                                        (FunctionSet) (1U << gpu->functions[i].address.function);
        observation->may_be_taken = gpu->mode == MODE_MIXED && observation->on_vfio & 1U &&
                        decision.mode == MODE_HOST && !decision.interrupted;
        if (runtime.record.has_refusal)
                observation->refusal = runtime.record.refusal;
        for (size_t i = 0; i < observation->refusal.n_holders; ++i)
                if (process_is_over(roots->proc_fd, &observation->refusal.holders[i]))
                        observation->refusal.holders[i].pid = 0;
        *ret_decision = decision;
        return 0;
}
