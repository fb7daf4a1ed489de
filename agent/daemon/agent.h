/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The Agent
 *
 * Keeps each GPU where it belongs, by asking systemd for jobs. It writes nothing but the journal.
 *
 * Events only cause a look at all GPUs. The look runs at idle priority, so a burst of events causes
 * one, and an event that is missed matters no longer than until the next.
 */

#include "os/roots.h"

typedef struct Agent Agent;
struct sd_event;

/*
 * The exit code of the loop if the agent is to be started again: a GPU came while it was about to leave, or
 * its socket has gone.
 */
#define AGENT_EXIT_AGAIN 75

int agent_new(struct sd_event *event, Roots *roots, Agent **ret) _warn_unused_result_;
Agent *agent_free(Agent *agent);
DEFINE_CLEANUP(Agent, agent_free);
void agent_reload(Agent *agent);
