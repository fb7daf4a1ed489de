/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Obstacles to Modules
 *
 * The lines of modprobe.d as people write them, in a fake tree.
 */

#include "lib/test.h"

#include "os/obstacle.h"

typedef struct Fixture {
        FakeTree *tree;
        Modules *modules;
} Fixture;

static int setup(void **state) {
        Fixture *fixture = calloc(1, sizeof(*fixture));

        if (!fixture)
                return -1;
        fixture->tree = fake_tree_new();
        fake_module_add(fixture->tree, .name = "nvidia");
        fake_module_add(fixture->tree, .name = "vfio_pci");
        *state = fixture;
        return modules_new(&fixture->modules);
}

static int teardown(void **state) {
        Fixture *fixture = *state;

        modules_free(fixture->modules);
        fake_tree_free(fixture->tree);
        free(fixture);
        return 0;
}

#define obstacle_test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

static void assert_obstacle(const Fixture *fixture, ObstacleKind kind, const char *where) {
        Obstacle obstacle;

        assert_int_equal(
                        obstacle_find(&fixture->tree->roots, fixture->modules, "nvidia", &obstacle),
                        0);
        assert_int_equal(obstacle.kind, kind);
        if (where)
                assert_string_equal(obstacle.where, where);
        else
                assert_null(obstacle.where);
        obstacle_deinit(&obstacle);
}

static void conf(const Fixture *fixture, const char *path, const char *text) {
        fake_write(fixture->tree->root, path, "%s", text);
}

static void nothing_said_is_nothing_in_the_way(void **state) {
        assert_obstacle(*state, OBSTACLE_NONE, NULL);
        conf(*state, "etc/modprobe.d/a.conf",
                        "blacklist nvidia\noptions nvidia x=1\n#install nvidia /bin/false\n"
                        "install nvidia_drm /bin/false\ninstall\n\ninstall nvidia");
        conf(*state, "etc/modprobe.d/a.conf.bak", "install nvidia /bin/false\n");
        conf(*state, "etc/modprobe.d/.hidden.conf", "install nvidia /bin/false\n");
        conf(*state, "proc/cmdline",
                        "modprobe.blacklist=nvidia module_blacklist=nvidia_drm,nvidi\n");
        conf(*state, "proc/sys/kernel/modules_disabled", "0\n");
        assert_obstacle(*state, OBSTACLE_NONE, NULL);
}

static void an_install_line_is_named_as_it_stands(void **state) {
        conf(*state, "usr/lib/modprobe.d/b.conf",
                        "# one\ninstall  snd \\\n  /bin/true\n\tinstall\tnvidia*   /usr/bin/false --really\n");
        assert_obstacle(*state, OBSTACLE_INSTALL,
                        "/usr/lib/modprobe.d/b.conf:4: install nvidia* /usr/bin/false --really");
}

static void lines_may_go_on(void **state) {
        conf(*state, "etc/modprobe.d/b.conf", "install \\\nnvidia \\\n/bin/true\n");
        assert_obstacle(*state, OBSTACLE_INSTALL,
                        "/etc/modprobe.d/b.conf:1: install nvidia /bin/true");
}

static void commands_are_looked_into(void **state) {
        static const struct {
                const char *command;
                bool is_inert;
        } cases[] = {
                { "/bin/sh -c \"exit 1\"", true },
                { "/bin/sh -ec 'echo no >&2; exit 1'", true },
                { "/usr/bin/env false", true },
                { "LC_ALL=C env -i false", true },
                { "/bin/false || true", true },
                { "/bin/echo disabled", true },
                { "echo no 2>&1 > /dev/kmsg; false", true },
                { "logger -t eco 'modprobe; not today' && exit 1", true },
                { "busybox true # modprobe", true },
                { "/bin/true; modprobe -i nvidia", false },
                { "/bin/sh -c 'true; modprobe -i nvidia'", false },
                { "/bin/sh /opt/eco.sh", false },
                { "/opt/eco.sh", false },
                { "/bin/echo $(modprobe -i nvidia)", false },
                { "true &&modprobe -i nvidia", false },
                { "sh", false },
                { "bash --norc -c 'exit 1'", true },
                { "bash --norc -c 'modprobe -i nvidia'", false },
                { "bash --rcfile /dev/null -c 'modprobe -i nvidia'", false },
                { "bash --init-file true -c 'modprobe -i nvidia'", false },
                { "sh -ec 'modprobe -i nvidia'", false },
                { "sh -c -e 'modprobe -i nvidia'", false },
                { "sh -c -e 'exit 1'", true },
                { "sh -c -- 'modprobe -i nvidia'", false },
                { "bash -ceo pipefail 'modprobe -i nvidia'", false },
                { "bash -cO true 'modprobe -i nvidia'", false },
                { "env X=1 sh -c 'modprobe -i nvidia'", false },
                { "env X=1 sh -c 'exit 1'", true },
                { "env '-Smodprobe -i nvidia'", false },
                { "echo <(modprobe -i nvidia)", false },
                { "sh -c \"true \\\"; modprobe -i nvidia\"", false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                char line[128], where[160];

                snprintf(line, sizeof(line), "install nvidia %s\n", cases[i].command);
                snprintf(where, sizeof(where), "/etc/modprobe.d/a.conf:1: install nvidia %s",
                                cases[i].command);
                conf(*state, "etc/modprobe.d/a.conf", line);
                assert_obstacle(*state, cases[i].is_inert ? OBSTACLE_INSTALL : OBSTACLE_NONE,
                                cases[i].is_inert ? where : NULL);
        }
}

static void names_of_files_decide_who_comes_first_and_who_is_hidden(void **state) {
        conf(*state, "usr/lib/modprobe.d/a.conf", "install nvidia /bin/false\n");
        conf(*state, "etc/modprobe.d/a.conf", "# nothing\n");
        assert_obstacle(*state, OBSTACLE_NONE, NULL);
        /* The first line counts, and this one does load it. */
        conf(*state, "lib/modprobe.d/c.conf", "install nvidia /bin/false\n");
        conf(*state, "run/modprobe.d/b.conf", "install nvidia modprobe -i nvidia-current\n");
        assert_obstacle(*state, OBSTACLE_NONE, NULL);
}

static void assert_script(const Fixture *fixture, const char *where) {
        _cleanup_(freep) char *found = NULL;

        assert_int_equal(obstacle_find_script(&fixture->tree->roots, fixture->modules, "vfio_pci",
                                         &found),
                        0);
        if (where)
                assert_string_equal(found, where);
        else
                assert_null(found);
}

static void a_script_is_no_obstacle_but_named(void **state) {
        const Fixture *fixture = *state;
        MachineModule *module = machine_find_module(fixture->tree->machine, "vfio_pci");

        assert_script(*state, NULL);
        conf(*state, "etc/modprobe.d/b.conf", "install vfio-pci /sbin/x; modprobe -i vfio-pci\n");
        assert_script(*state,
                        "/etc/modprobe.d/b.conf:1: install vfio_pci /sbin/x; modprobe -i vfio-pci");
        module->has_softdep = true;
        assert_script(*state, NULL);
        module->has_softdep = false;
        conf(*state, "etc/modprobe.d/a.conf", "install vfio-pci /bin/false\n");
        assert_script(*state, NULL);
}

static void a_softdep_takes_the_install_line_out_of_the_way(void **state) {
        const Fixture *fixture = *state;
        MachineModule *module = machine_find_module(fixture->tree->machine, "nvidia");

        /* What a softdep is, and whether it counts, is known to libkmod alone. */
        conf(fixture, "etc/modprobe.d/a.conf",
                        "install nvidia /bin/false\nsoftdep nvidia pre: nothing\n");
        assert_obstacle(fixture, OBSTACLE_INSTALL,
                        "/etc/modprobe.d/a.conf:1: install nvidia /bin/false");
        module->has_softdep = true;
        assert_obstacle(fixture, OBSTACLE_NONE, NULL);
}

static void the_kernel_itself_may_refuse(void **state) {
        const Fixture *fixture = *state;

        conf(fixture, "proc/cmdline", "quiet module_blacklist=nouveau,nvidia splash\n");
        assert_obstacle(fixture, OBSTACLE_KERNEL_LINE, NULL);
        conf(fixture, "proc/sys/kernel/modules_disabled", "1\n");
        assert_obstacle(fixture, OBSTACLE_DISABLED, NULL);
}

static void the_file_of_the_module_may_not_fit(void **state) {
        const Fixture *fixture = *state;
        MachineModule *module = machine_find_module(fixture->tree->machine, "nvidia");

        conf(fixture, "proc/sys/kernel/osrelease", "6.12.117+deb13-amd64\n");
        strcpy(module->release, "6.12.117+deb13-amd64");
        module->is_unsigned = true;
        assert_obstacle(fixture, OBSTACLE_NONE, NULL);
        conf(fixture, "sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
        assert_obstacle(fixture, OBSTACLE_NONE, NULL);
        conf(fixture, "sys/module/module/parameters/sig_enforce", "Y\n");
        assert_obstacle(fixture, OBSTACLE_UNSIGNED, NULL);
        strcpy(module->release, "6.1.0-1-amd64");
        assert_obstacle(fixture, OBSTACLE_OTHER_KERNEL, "6.1.0-1-amd64");
}

static void no_module_at_all_is_told(void **state) {
        const Fixture *fixture = *state;
        Obstacle obstacle;

        for (unsigned int i = 0; i < 4; ++i) {
                if (i == 1)
                        conf(fixture, "proc/sys/kernel/osrelease", "7.0.1-arch1-1\n");
                if (i == 2)
                        conf(fixture, "lib/modules/7.0.2-arch1-1/modules.dep", "");
                if (i == 3)
                        conf(fixture, "lib/modules/7.0.1-arch1-1/modules.dep", "");
                assert_int_equal(obstacle_find_no_index(&fixture->tree->roots, &obstacle), 0);
                assert_int_equal(obstacle.kind, i == 2 ? OBSTACLE_NO_INDEX : OBSTACLE_NONE);
                if (i == 2)
                        assert_string_equal(obstacle.where, "7.0.1-arch1-1");
                obstacle_deinit(&obstacle);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                obstacle_test(nothing_said_is_nothing_in_the_way),
                obstacle_test(an_install_line_is_named_as_it_stands),
                obstacle_test(lines_may_go_on),
                obstacle_test(commands_are_looked_into),
                obstacle_test(no_module_at_all_is_told),
                obstacle_test(names_of_files_decide_who_comes_first_and_who_is_hidden),
                obstacle_test(a_script_is_no_obstacle_but_named),
                obstacle_test(a_softdep_takes_the_install_line_out_of_the_way),
                obstacle_test(the_kernel_itself_may_refuse),
                obstacle_test(the_file_of_the_module_may_not_fit),
        };

        return cmocka_run_group_tests_name("os/obstacle", tests, NULL, NULL);
}
