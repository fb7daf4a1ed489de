/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A fake Manager
 *
 * Owns systemd's name on a bus of the test's own, in a child process. What becomes of
 * a unit is in its name.
 */

#include <sys/types.h>

/* unit names, and what their job comes to */
#define UNIT_DONE    "done.service"
#define UNIT_BUSY    "busy.service"    /* its process exits with 3 */
#define UNIT_STUCK   "stuck.service"   /* … with 6 */
#define UNIT_SANDBOX "sandbox.service" /* … with 226, before the program ran */
#define UNIT_KILLED  "killed.service"  /* by a signal */
#define UNIT_DENIED  "denied.service"  /* the caller may not */
#define UNIT_REFUSED "refused.service" /* the manager does not want to */
#define UNIT_WAITING "waiting.service" /* never begins; the caller gets ^C */
#define UNIT_RUNNING "running.service" /* never ends; the caller gets ^C */
#define UNIT_VANISH  "vanish.service"  /* the manager itself dies */

/* what the agent asks for: none of them moves anything */
#define UNIT_AUTO        "vfiopt@auto:0000:01:00.0.service" /* it is done */
#define UNIT_AUTO_DENIED "vfiopt@auto:0000:02:00.0.service" /* it may not */
#define UNIT_AUTO_BUSY   "vfiopt@auto:0000:03:00.0.service" /* its process exits with 3 */
#define UNIT_AUTO_KILLED "vfiopt@auto:0000:04:00.0.service" /* by a signal */

pid_t fake_manager_start(void);
void fake_manager_stop(pid_t pid);
unsigned int fake_manager_n_asked(void);
