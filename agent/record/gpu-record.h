/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Records of GPUs
 *
 * Everything that has to be known about a card until the machine is shut down, in one file
 * that is replaced by one rename: /run/vfiopt/gpu/ADDRESS-VVVV-DDDD-SSSS-SSSS.json. It is
 * written under the lock of the GPU and read by everybody. A file that says nothing is removed.
 */

#include <sys/types.h>

#include "model/gpu.h"
#include "os/process.h"

/* Who moves a GPU. */
typedef enum Trigger {
        TRIGGER_COMMAND, /* a person */
        TRIGGER_AGENT,
        TRIGGER_BOOT,
        TRIGGER_RECOVERY, /* an interrupted move is finished or undone */
        _TRIGGER_MAX,
} Trigger;

/* A function as it was on the host, so that it comes back just so. */
typedef struct HostFunction {
        uint8_t number;       /* 0 to 7 */
        char *driver;         /* NULL: none */
        char *module;         /* that the driver is in; NULL: built in, or not known */
        char *override;       /* NULL: none */
        char *power_control;  /* "on" or "auto"; NULL: not known */
        char *d3cold_allowed; /* "0" or "1"; NULL: not known */
        char *company; /* other modules of its driver that were loaded, with blanks between; or NULL */
} HostFunction;

/* A write to sysfs that did not come back in time. */
typedef struct LateWrite {
        Address function;
        char *action; /* "unbind", "bind", … */
        char *driver; /* from or to which; or NULL */
        ProcessId writer;
        uint64_t since_usec; /* CLOCK_REALTIME */
} LateWrite;

/* A move, from before its first write until it is verified and committed, or undone. */
typedef struct MoveRecord {
        Mode from;
        Mode to;
        Trigger trigger;
        FunctionSet moved; /* those that its plan is about */
        ProcessId mover;   /* the process that is at it */
        bool is_late;
        LateWrite late;
} MoveRecord;

#define REFUSAL_PIDS_MAX 16U

/* The last time that a move was refused since processes hold the GPU. */
typedef struct Refusal {
        uint64_t when_usec;                  /* CLOCK_MONOTONIC */
        ProcessId holders[REFUSAL_PIDS_MAX]; /* each once; the rest is left out */
        size_t n_holders;
} Refusal;

typedef struct GpuRecord {
        Address address;
        Identity identity;
        Mode mode; /* where a person has moved it in this boot, if nothing else says so */
        HostFunction host[8]; /* from when it leaves the host until it is back */
        size_t n_host;
        bool has_move;
        MoveRecord move;
        bool has_refusal;
        Refusal refusal;
} GpuRecord;

#define GPU_RECORD_NULL \
        {}

enum {
        _GPU_RECORD_E_SUCCESS,

        GPU_RECORD_E_INVALID, /* there is one, and it is not understood */
};

int gpu_record_load(GpuRecord *record, int run_fd, const Gpu *gpu) _warn_unused_result_;
int gpu_record_save(const GpuRecord *record, int run_fd) _warn_unused_result_;
void gpu_record_deinit(GpuRecord *record);

/* parts */

int gpu_record_note_host(GpuRecord *record, Sysfs *sysfs, const Gpu *gpu, char *const *overrides)
                _warn_unused_result_;
const HostFunction *gpu_record_find_host(const GpuRecord *record, Address function);
void gpu_record_forget_host(GpuRecord *record);
void gpu_record_forget_move(GpuRecord *record);
void refusal_add(Refusal *refusal, ProcessId process);

const char *trigger_to_string(Trigger trigger);
int trigger_from_string(const char *s, Trigger *ret) _warn_unused_result_;

/* all records */

int gpu_record_forget_mode(int run_fd, Address slot) _warn_unused_result_;
bool gpu_record_is_outdated(int run_fd);
