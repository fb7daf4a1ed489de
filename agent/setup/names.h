/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Files that a set-up makes on a machine. */

#include "vfiopt/names.h"

/* Before what drivers and distributions bring: kmod goes by the first softdep line. */
#define SETUP_MODPROBE_NAME "00-" VFIOPT_NAME ".conf"
#define SETUP_MODPROBE_FILE "etc/modprobe.d/" SETUP_MODPROBE_NAME
#define SETUP_MODULES_FILE  "etc/modules-load.d/" VFIOPT_NAME ".conf"
#define SETUP_HOOK_FILE     "etc/initramfs-tools/hooks/" VFIOPT_NAME
#define SETUP_DRACUT_FILE   "etc/dracut.conf.d/50-" VFIOPT_NAME ".conf"
#define SETUP_MKINIT_FILE   "etc/mkinitcpio.conf.d/" VFIOPT_NAME ".conf"

#define SETUP_HEADER "# Written by `vfioptctl setup`; `vfioptctl rollback` takes it back.\n"
