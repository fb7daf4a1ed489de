/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The Agent
 *
 * Sees to it that each GPU is where it is wished to be, by asking the manager for jobs.
 */

#include "os/roots.h"

typedef struct Agent Agent;
struct sd_event;

/* With which the loop ends if there is work again just when there was none left. */
#define AGENT_EXIT_AGAIN 75

int agent_new(struct sd_event *event, Roots *roots, Agent **ret) _warn_unused_result_;
Agent *agent_free(Agent *agent);
DEFINE_CLEANUP(Agent, agent_free);
void agent_reload(Agent *agent);
