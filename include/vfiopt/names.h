/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Names
 *
 * Under which other programs, units, rules and policies meet vfiopt. The files in
 * units/ and rules.d/ spell them too; tests/lint/names.py compares.
 */

/* clang-format off */

/* Section of vfiopt.conf, inhibitor of sleep, directory below /run and /etc. */
#define VFIOPT_NAME "vfiopt"

/* units: vfiopt@MODE.service for all managed GPUs, vfiopt@MODE:ADDRESS[_ADDRESS...].service for some */
#define VFIOPT_UNIT_TEMPLATE "vfiopt@"
#define VFIOPT_UNIT_AUTO     VFIOPT_UNIT_TEMPLATE "auto"
#define VFIOPT_UNIT_SUFFIX   ".service"
#define VFIOPT_UNIT_BOOT     "vfiopt-boot.service"
#define VFIOPT_UNIT_AGENT    "vfioptd.service"
#define VFIOPT_UNIT_ASK      "vfiopt-ask.socket"

/* user that vfioptd runs as; its records and those of root are genuine */
#define VFIOPT_USER "vfiopt"

/* on each event of a function of an NVIDIA card */
#define VFIOPT_UDEV_TAG "vfiopt"

/* what tags them, and pins */
#define VFIOPT_UDEV_RULES "70-vfiopt.rules"

/* kernel command line: vfiopt.mode=host, =passthrough or =off */
#define VFIOPT_KERNEL_KEY "vfiopt.mode"

/* of what vfioptctl --json prints; the schemas are in /usr/share/vfiopt */
#define VFIOPT_JSON_VERSION 1U

/* configuration, and the modes of the GPUs across reboots */
#define VFIOPT_ETC_DIR     "/etc/vfiopt"
#define VFIOPT_ETC_CONFIG  "vfiopt.conf"
#define VFIOPT_ETC_DROPINS "vfiopt.conf.d"
#define VFIOPT_ETC_STATE   "state"

/* until the next boot; private, but for what units and rules refer to */
#define VFIOPT_RUN_DIR      "/run/vfiopt"
#define VFIOPT_RUN_ASK      "vfiopt-ask" /* beside it: the socket of vfiopt-ask.socket */
#define VFIOPT_RUN_GPU      "gpu"
#define VFIOPT_RUN_LOCK     "lock"
#define VFIOPT_RUN_MODPROBE "modprobe.conf"
#define VFIOPT_RUN_PINS     "pins"

/* clang-format on */
