/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "record/runtime.h"
#include "record/pin.h"

void runtime_deinit(Runtime *runtime) {
        gpu_record_deinit(&runtime->record);
        *runtime = (Runtime) RUNTIME_NULL;
}

static int read_record(Runtime *runtime, const Roots *roots, const Gpu *gpu) {
        int r;

        gpu_record_deinit(&runtime->record);
        r = gpu_record_load(&runtime->record, roots->run_fd, gpu);
        runtime->damaged = r == GPU_RECORD_E_INVALID;
        return r < 0 ? r : 0;
}

/*
 * Look who is at a GPU. /proc/locks may have left a holder out: a process that the record names and
 * that is still there, by number and start, is believed to be one. The caller knows what it is at itself.
 * To the agent all others are hidden (ProtectProc=): the job that it then asks for waits for the lock, and decides
 * anew. A number alone may be that of another process, for which an interrupted move would wait for ever.
 *
 * Return: 0 on success, negative error code on failure.
 */
int runtime_test_lock(const Roots *roots, const GpuRecord *record, LockHolders *ret) {
        const MoveRecord *move = &record->move;
        LockHolders lock;
        int r;

        r = lock_test(roots->run_fd, roots->proc_fd, record->address, &lock);
        if (r < 0)
                return r;
        if (!lock.certain && record->has_move && !lock.locked && move->mover.pid != getpid() &&
                        process_is_alive(roots->proc_fd, &move->mover)) {
                lock.locked = true;
                lock.owner = move->mover.pid;
        }
        if (!lock.certain && record->has_move && !lock.writing && move->is_late &&
                        process_is_alive(roots->proc_fd, &move->late.writer)) {
                lock.writing = true;
                lock.writer = move->late.writer.pid;
        }
        if (lock.writing && !lock.locked) {
                const ProcessId writer = process_identify(roots->proc_fd, lock.writer);

                /* It began no later than its write. */
                lock.overdue = process_age_usec(roots->proc_fd, &writer) >= WRITE_LIMIT_USEC;
        }
        *ret = lock;
        return 0;
}

/*
 * Look at what /run says of a GPU; runtime_deinit() it. In @roots, run_fd may be missing.
 *
 * The record is read before and after the lock is looked at: a move that began after the first
 * look is not taken for an interrupted one, and one that ended before the second has left none.
 *
 * Return: 0 on success, negative error code on failure.
 */
int runtime_init(Runtime *runtime, const Roots *roots, const Gpu *gpu) {
        int r;

        *runtime = (Runtime) RUNTIME_NULL;
        r = read_record(runtime, roots, gpu);
        if (r < 0 || roots->run_fd < 0)
                return r;

        r = runtime_test_lock(roots, &runtime->record, &runtime->lock);
        if (r >= 0 && runtime->record.has_move && !runtime->lock.locked)
                r = read_record(runtime, roots, gpu);
        if (r >= 0)
                r = pins_test(roots->run_fd, gpu, &runtime->pinned);
        if (r < 0)
                runtime_deinit(runtime);
        return r;
}
