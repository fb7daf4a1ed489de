/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Jobs
 */

#include <stddef.h>
#include <stdint.h>

#include "port.h"

typedef struct Job Job;
typedef struct Jobs Jobs;

int jobs_new(Port *port, int epoll_fd, Jobs **ret_jobs);
Jobs *jobs_free(Jobs *jobs);

int jobs_handle_frame(Jobs *jobs, const FrameHeader *header, const uint8_t *payload);
int jobs_handle_event(Jobs *jobs, void *source);
int jobs_resume(Jobs *jobs);
