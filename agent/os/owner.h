/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Owners
 *
 * What a process belongs to, by its control group: a unit or a session, or a container, a
 * virtual machine or an application, which has a manager of its own and is ended by that.
 *
 * Names of control groups are chosen by those who make them, any user among these. A name is
 * told only if it has no character that means something to a shell; else it is left out.
 */

#include "base/macro.h"

typedef enum OwnerKind {
        OWNER_NONE,       /* nothing but the unit or the session, if it has one */
        OWNER_DOCKER,     /* .id: the short id of the container */
        OWNER_PODMAN,     /* likewise */
        OWNER_NERDCTL,    /* likewise */
        OWNER_POD,        /* .name: the uid of the pod, .id: that of the container in it */
        OWNER_LXC,        /* .name of the container */
        OWNER_PROXMOX_CT, /* .name: its number */
        OWNER_MACHINE,    /* .name, as systemd-machined knows it */
        OWNER_LIBVIRT, /* .name of the virtual machine, maybe less than all of it, .id: its number */
        OWNER_PROXMOX_VM, /* .name: its number */
        OWNER_FLATPAK,    /* .name of the application */
        OWNER_RUNTIME,    /* the service that containers run in, and none of them */
        _OWNER_MAX,
} OwnerKind;

typedef struct Owner {
        OwnerKind kind;
        bool of_user;    /* it is managed for a user, not for the machine */
        bool of_desktop; /* and is in session.slice, with what the user's session is made of */
        char *name;      /* or NULL where it is not fit to be told */
        char *id;        /* likewise */
        char *unit;      /* systemd unit, or NULL for one that is in none, or in a container */
        char *session;   /* login session, or NULL */
} Owner;

int owner_init(Owner *owner, const char *cgroup) _warn_unused_result_;
void owner_deinit(Owner *owner);
