/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Owners
 *
 * Paths of control groups, as each of the managers makes them.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "os/owner.h"

#define ID    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SHORT "0123456789ab"
#define USER  "/user.slice/user-1000.slice/user@1000.service"
#define POD   "01234567-89ab-cdef-0123-456789abcdef"

typedef struct Case {
        const char *path;
        OwnerKind kind;
        const char *name, *id, *unit, *session;
        bool of_user, of_desktop;
} Case;

static void assert_same(const char *path, const char *found, const char *expected) {
        if (!!found != !!expected || (found && strcmp(found, expected) != 0))
                fail_msg("%s: \"%s\", not \"%s\"", path, found ?: "NULL", expected ?: "NULL");
}

static void assert_cases(const Case *cases, size_t n) {
        for (size_t i = 0; i < n; ++i) {
                const char *path = cases[i].path;
                Owner owner;

                assert_int_equal(owner_init(&owner, path), 0);
                if (owner.kind != cases[i].kind)
                        fail_msg("%s: kind %u, not %u", path, owner.kind, cases[i].kind);
                assert_same(path, owner.name, cases[i].name);
                assert_same(path, owner.id, cases[i].id);
                assert_same(path, owner.unit, cases[i].unit);
                assert_same(path, owner.session, cases[i].session);
                assert_int_equal(owner.of_user, cases[i].of_user);
                assert_int_equal(owner.of_desktop, cases[i].of_desktop);
                owner_deinit(&owner);
                assert_null(owner.name);
        }
}

static void units_and_sessions_are_found(void **state _unused_) {
        static const Case cases[] = {
                { .path = "/" },
                { .path = "" },
                { .path = "/init.scope", .unit = "init.scope" },
                { .path = "/system.slice/ollama.service", .unit = "ollama.service" },
                { .path = "/system.slice/ollama.service/sub/below.service",
                                .unit = "ollama.service" },
                { .path = "/a.slice/a-b.slice/x@1\\x2d2.service", .unit = "x@1\\x2d2.service" },
                { .path = "/user.slice/user-1000.slice/session-2.scope",
                                .unit = "session-2.scope",
                                .session = "2" },
                { .path = "/user.slice/user-1000.slice/session-c1.scope/x",
                                .unit = "session-c1.scope",
                                .session = "c1" },
                { USER "/session.slice/org.gnome.Shell@wayland.service",
                                .unit = "org.gnome.Shell@wayland.service", .of_user = true,
                                .of_desktop = true },
                { USER "/session.slice/x.slice/x-y.slice/y.service", .unit = "y.service",
                                .of_user = true, .of_desktop = true },
                { .path = "/session.slice/y.service", .unit = "y.service" },
                { USER "/init.scope", .unit = "init.scope", .of_user = true },
                /* What a user calls a session is none. */
                { USER "/app.slice/session-2.scope", .unit = "session-2.scope", .of_user = true },
                { USER "/app.slice/snap.firefox.firefox-0a.scope",
                                .unit = "snap.firefox.firefox-0a.scope", .of_user = true },
                { .path = "/system.slice/docker.service",
                                .kind = OWNER_RUNTIME,
                                .unit = "docker.service" },
                { .path = "/system.slice/dockerish.service", .unit = "dockerish.service" },
        };

        assert_cases(cases, ARRAY_SIZE(cases));
}

static void containers_are_found_by_their_ids(void **state _unused_) {
        static const Case cases[] = {
                { .path = "/system.slice/docker-" ID ".scope", .kind = OWNER_DOCKER, .id = SHORT },
                { .path = "/docker/" ID, .kind = OWNER_DOCKER, .id = SHORT },
                { .path = "/docker/" ID "/system.slice/x.service",
                                .kind = OWNER_DOCKER,
                                .id = SHORT },
                { .path = "/system.slice/docker.service/docker/" ID,
                                .kind = OWNER_DOCKER,
                                .id = SHORT },
                { USER "/app.slice/docker-" ID ".scope", .kind = OWNER_DOCKER, .id = SHORT,
                                .of_user = true },
                { .path = "/machine.slice/libpod-" ID ".scope/container",
                                .kind = OWNER_PODMAN,
                                .id = SHORT },
                { USER "/user.slice/libpod-" ID ".scope/container", .kind = OWNER_PODMAN,
                                .id = SHORT, .of_user = true },
                { .path = "/libpod_parent/libpod-" ID, .kind = OWNER_PODMAN, .id = SHORT },
                { .path = "/machine.slice/libpod-conmon-" ID ".scope",
                                .unit = "libpod-conmon-" ID ".scope" },
                /* A quadlet: its unit starts it again. */
                { .path = "/system.slice/web.service/libpod-payload-" ID, .unit = "web.service" },
                { .path = "/system.slice/nerdctl-" ID ".scope",
                                .kind = OWNER_NERDCTL,
                                .id = SHORT },
                { .path = "/default/" ID, .kind = OWNER_NERDCTL, .id = SHORT },
        };

        assert_cases(cases, ARRAY_SIZE(cases));
}

static void pods_are_found_by_their_uids(void **state _unused_) {
        static const Case cases[] = {
                { .path = "/kubepods.slice/kubepods-besteffort.slice/"
                          "kubepods-besteffort-pod01234567_89ab_cdef_0123_456789abcdef.slice/"
                          "cri-containerd-" ID ".scope",
                                .kind = OWNER_POD,
                                .name = POD,
                                .id = SHORT },
                { .path = "/kubepods/burstable/pod" POD "/" ID,
                                .kind = OWNER_POD,
                                .name = POD,
                                .id = SHORT },
                { .path = "/kubelet.slice/kubelet-kubepods.slice/"
                          "kubelet-kubepods-pod01234567_89ab_cdef_0123_456789abcdef.slice/crio-" ID
                          ".scope",
                                .kind = OWNER_POD,
                                .name = POD,
                                .id = SHORT },
                { .path = "/system.slice/containerd.service/"
                          "kubepods-besteffort-pod01234567_89ab_cdef_0123_456789abcdef.slice:cri-containerd:" ID,
                                .kind = OWNER_POD,
                                .name = POD,
                                .id = SHORT },
                { .path = "/kubepods.slice", .kind = OWNER_POD },
                { .path = "/x.slice/crio-" ID ".scope", .kind = OWNER_POD, .id = SHORT },
        };

        assert_cases(cases, ARRAY_SIZE(cases));
}

static void machines_are_found_by_their_names(void **state _unused_) {
        static const Case cases[] = {
                { .path = "/lxc/101/ns/system.slice/jellyfin.service",
                                .kind = OWNER_PROXMOX_CT,
                                .name = "101" },
                { .path = "/lxc/media/system.slice/x.service", .kind = OWNER_LXC, .name = "media" },
                { .path = "/lxc.payload.media/system.slice/docker-" ID ".scope",
                                .kind = OWNER_LXC,
                                .name = "media" },
                { .path = "/lxc.payload/media", .kind = OWNER_LXC, .name = "media" },
                { .path = "/lxc.monitor.media" },
                { .path = "/machine.slice/systemd-nspawn@build\\x2dhost.service/payload",
                                .kind = OWNER_MACHINE,
                                .name = "build-host" },
                { .path = "/machine.slice/machine-build\\x2dhost.scope",
                                .kind = OWNER_MACHINE,
                                .name = "build-host" },
                { .path = "/machine.slice/machine-qemu\\x2d2\\x2dwin11.scope/libvirt/emulator",
                                .kind = OWNER_LIBVIRT,
                                .name = "win11",
                                .id = "2" },
                { .path = "/machine.slice/machine-qemu\\x2d12\\x2dwin\\x2d11.scope",
                                .kind = OWNER_LIBVIRT,
                                .name = "win-11",
                                .id = "12" },
                { .path = "/machine.slice/machine-qemu\\x2dbob\\x2d2\\x2dwin11.scope",
                                .kind = OWNER_LIBVIRT,
                                .name = "win11",
                                .id = "2",
                                .of_user = true },
                { .path = "/machine.slice/machine-qemu\\x2dembed\\x2dab\\x2d2\\x2dx.scope",
                                .kind = OWNER_LIBVIRT },
                { .path = "/qemu.slice/101.scope", .kind = OWNER_PROXMOX_VM, .name = "101" },
                { USER "/app.slice/app-flatpak-com.valvesoftware.Steam-4711.scope",
                                .kind = OWNER_FLATPAK, .name = "com.valvesoftware.Steam",
                                .unit = "app-flatpak-com.valvesoftware.Steam-4711.scope",
                                .of_user = true },
                { USER "/app.slice/app-flatpak-org.x\\x2dy-1.scope", .kind = OWNER_FLATPAK,
                                .name = "org.x-y", .unit = "app-flatpak-org.x\\x2dy-1.scope",
                                .of_user = true },
        };

        assert_cases(cases, ARRAY_SIZE(cases));
}

/* Any name can be made there. */
static void below_a_user_is_only_what_a_user_can_run(void **state _unused_) {
        static const Case cases[] = {
                { USER "/docker-" ID ".scope", .kind = OWNER_DOCKER, .id = SHORT, .of_user = true },
                { USER "/docker/" ID, .kind = OWNER_DOCKER, .id = SHORT, .of_user = true },
                { USER "/libpod_parent/libpod-" ID, .kind = OWNER_PODMAN, .id = SHORT,
                                .of_user = true },
                { USER "/user.slice/nerdctl-" ID ".scope", .kind = OWNER_NERDCTL, .id = SHORT,
                                .of_user = true },
                { USER "/lxc.payload.media/init.scope", .kind = OWNER_LXC, .name = "media",
                                .of_user = true },
                { USER "/app.slice/docker.service", .kind = OWNER_RUNTIME, .unit = "docker.service",
                                .of_user = true },
                { USER "/lxc/101", .of_user = true },
                { USER "/lxc/media/x.service", .unit = "x.service", .of_user = true },
                { USER "/lxc.payload/media", .of_user = true },
                { USER "/qemu.slice/101.scope", .unit = "101.scope", .of_user = true },
                { USER "/kubepods/pod" POD "/" ID, .of_user = true },
                { USER "/kubelet.slice/kubelet-kubepods.slice/x", .of_user = true },
                { USER "/app.slice/k3s.service/kubepods/pod" POD "/" ID, .kind = OWNER_RUNTIME,
                                .unit = "k3s.service", .of_user = true },
                { USER "/app.slice/docker.service/lxc/101", .kind = OWNER_RUNTIME,
                                .unit = "docker.service", .of_user = true },
                { USER "/cri-containerd-" ID ".scope", .unit = "cri-containerd-" ID ".scope",
                                .of_user = true },
                { USER "/crio-" ID ".scope", .kind = OWNER_RUNTIME, .unit = "crio-" ID ".scope",
                                .of_user = true },
                { USER "/machine-x.scope", .unit = "machine-x.scope", .of_user = true },
                { USER "/machine.slice/machine-qemu\\x2d2\\x2dwin11.scope",
                                .unit = "machine-qemu\\x2d2\\x2dwin11.scope", .of_user = true },
                { .path = "/user/bob/0/machine-x.scope",
                                .unit = "machine-x.scope",
                                .of_user = true },
                { .path = "/user/bob/0/lxc.payload.media",
                                .kind = OWNER_LXC,
                                .name = "media",
                                .of_user = true },
                { USER "/systemd-nspawn@x.service", .unit = "systemd-nspawn@x.service",
                                .of_user = true },
                { USER "/systemd-vmspawn@x.service", .unit = "systemd-vmspawn@x.service",
                                .of_user = true },
        };

        assert_cases(cases, ARRAY_SIZE(cases));
}

static void what_is_made_in_one_place_counts_only_there(void **state _unused_) {
        static const Case cases[] = {
                { .path = "/system.slice/x.service/kubepods/pod" POD "/" ID, .unit = "x.service" },
                { .path = "/x.slice/kubepods/pod" POD "/" ID },
                { .path = "/x.slice/x-kubepods.slice" },
                { .path = "/x/lxc/101" },
                { .path = "/x/lxc.payload.media" },
                { .path = "/x/lxc.payload/media" },
                { .path = "/x.slice/qemu.slice/101.scope", .unit = "101.scope" },
                { .path = "/kubelet/kubepods/pod" POD "/" ID,
                                .kind = OWNER_POD,
                                .name = POD,
                                .id = SHORT },
                { .path = "/system.slice/k3s.service/kubepods/pod" POD "/" ID,
                                .kind = OWNER_POD,
                                .name = POD,
                                .id = SHORT },
                { .path = "/system.slice/lxc.service/lxc.payload.media",
                                .kind = OWNER_LXC,
                                .name = "media" },
        };

        assert_cases(cases, ARRAY_SIZE(cases));
}

static void what_a_shell_would_understand_is_left_out(void **state _unused_) {
        static const Case cases[] = {
                { .path = "/lxc/a;reboot/x", .kind = OWNER_LXC },
                { .path = "/lxc.payload.-rf", .kind = OWNER_LXC },
                { .path = "/lxc.payload.$(x)", .kind = OWNER_LXC },
                { .path = "/docker/0123" },
                { .path = "/system.slice/docker-" ID "0.scope", .kind = OWNER_DOCKER },
                { .path = "/system.slice/docker-`x`.scope", .kind = OWNER_DOCKER },
                { .path = "/machine.slice/machine-a\\x24\\x28b.scope", .kind = OWNER_MACHINE },
                { .path = "/machine.slice/machine-a\\x2.scope", .kind = OWNER_MACHINE },
                { .path = "/machine.slice/machine-qemu\\x2d2\\x2da\\x3bb.scope",
                                .kind = OWNER_LIBVIRT,
                                .id = "2" },
                { .path = "/machine.slice/machine-qemu\\x2dx.scope",
                                .kind = OWNER_LIBVIRT,
                                .of_user = true },
                { .path = "/qemu.slice/1;2.scope", .kind = OWNER_PROXMOX_VM },
                { USER "/app.slice/x';reboot;'.service", .of_user = true },
                { USER "/app.slice/-x.service", .of_user = true },
                { USER "/app.slice/app-flatpak-a b-1.scope", .kind = OWNER_FLATPAK,
                                .of_user = true },
                { .path = "/kubepods/pod;x/" ID, .kind = OWNER_POD, .id = SHORT },
        };

        assert_cases(cases, ARRAY_SIZE(cases));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(units_and_sessions_are_found),
                cmocka_unit_test(containers_are_found_by_their_ids),
                cmocka_unit_test(pods_are_found_by_their_uids),
                cmocka_unit_test(machines_are_found_by_their_names),
                cmocka_unit_test(below_a_user_is_only_what_a_user_can_run),
                cmocka_unit_test(what_is_made_in_one_place_counts_only_there),
                cmocka_unit_test(what_a_shell_would_understand_is_left_out),
        };

        return cmocka_run_group_tests_name("os/owner", tests, NULL, NULL);
}
