/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef STANDIN_MODESET_USER_H
#define STANDIN_MODESET_USER_H

/* /dev/nvidia-modeset */
int user_init(void);
void user_exit(void);

#endif
