/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test the Agent
 *
 * Its loop, on a machine made of files, with vfiopt-ask and a manager that is played, on a bus of
 * the test's own: $DBUS_SYSTEM_BUS_ADDRESS must name it. A job of that manager moves nothing,
 * which is the worst that can happen to an agent that listens to its own events.
 */

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "lib/pci-model.h"
#include "lib/test.h"

#include "daemon/agent.h"
#include "daemon/reconcile.h"
#include "fake-ask.h"
#include "fake-manager.h"
#include "journal/write.h"
#include "os/ask.h"
#include "os/systemd.h"
#include "policy/policy.h"
#include "record/gpu-record.h"
#include "record/lock.h"
#include "record/pin.h"
#include "vfiopt/names.h"

/* Of what comes for certain; nobody waits for what may not come. */
#define LIMIT_USEC (60 * USEC_PER_SEC)

#define STATE(mode)                                                                    \
        "{\"version\":1,\"gpus\":[{\"address\":\"0000:01:00.0\",\"id\":\"10de:2d04\"," \
        "\"subsystem\":\"1043:5678\",\"mode\":\"" mode "\"}]}\n"

int __real_policy_load(Policy *policy, const Roots *roots);
int __wrap_policy_load(Policy *policy, const Roots *roots);
int __real_runtime_init(Runtime *runtime, const Roots *roots, const Gpu *gpu);
int __wrap_runtime_init(Runtime *runtime, const Roots *roots, const Gpu *gpu);
int __wrap_journal_send(const Event *event, JournalSource *source);

/* Called once, after the agent has read the policy, or what /run says of a GPU. */
static void (*after_policy)(const Roots *roots);
static void (*after_runtime)(const Roots *roots);

/* The records of the agent since the beginning, and the reason of the last one. */
static struct {
        unsigned int n[_EVENT_MAX];
        char reason[256];
} journal;

int __wrap_policy_load(Policy *policy, const Roots *roots) {
        void (*fn)(const Roots *) = after_policy;
        int r;

        after_policy = NULL;
        r = __real_policy_load(policy, roots);
        if (fn)
                fn(roots);
        return r;
}

int __wrap_runtime_init(Runtime *runtime, const Roots *roots, const Gpu *gpu) {
        void (*fn)(const Roots *) = after_runtime;
        int r;

        after_runtime = NULL;
        r = __real_runtime_init(runtime, roots, gpu);
        if (fn)
                fn(roots);
        return r;
}

int __wrap_journal_send(const Event *event, JournalSource *source _unused_) {
        assert_int_equal(event->trigger, TRIGGER_AGENT);
        ++journal.n[event->kind];
        snprintf(journal.reason, sizeof(journal.reason), "%s", event->reason);
        return 0;
}

typedef struct Fixture {
        FakeTree *tree;
        pid_t manager, server;
        sd_event *event;
        Agent *agent;
} Fixture;

static int fixture_new(void **state) {
        static Fixture fixture;

        memset(&journal, 0, sizeof(journal));
        fixture = (Fixture){ .tree = fake_tree_new(), .manager = fake_manager_start() };
        assert_true(fixture.manager > 0);
        /* Who holds a lock, the real kernel tells. */
        closep(&fixture.tree->roots.proc_fd);
        fixture.tree->roots.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(fixture.tree->roots.proc_fd >= 0);
        fixture.server = fake_ask_start(fixture.tree, LIMIT_USEC);
        assert_true(sd_event_new(&fixture.event) >= 0);
        *state = &fixture;
        return 0;
}

static void stop_server(Fixture *fixture) {
        if (fixture->server <= 0)
                return;
        kill(fixture->server, SIGKILL);
        assert_int_equal(waitpid(fixture->server, NULL, 0), fixture->server);
        fixture->server = 0;
        fake_remove(fixture->tree->root, "run/" VFIOPT_RUN_ASK);
}

static int fixture_free(void **state) {
        Fixture *fixture = *state;

        stop_server(fixture);
        agent_free(fixture->agent);
        sd_event_unref(fixture->event);
        fake_manager_stop(fixture->manager);
        fake_tree_free(fixture->tree);
        return 0;
}

/* A record of the card at 0000:01:00.0, to be filled in. */
static GpuRecord record_new(void) {
        return (GpuRecord){
                .address = { .bus = 1 },
                .identity = { 0x10de, 0x2d04, 0x1043, 0x5678 },
        };
}

static void save(Fixture *fixture, const GpuRecord *record) {
        assert_int_equal(gpu_record_save(record, fixture->tree->roots.run_fd), 0);
}

static void start(Fixture *fixture) {
        assert_int_equal(agent_new(fixture->event, &fixture->tree->roots, &fixture->agent), 0);
}

/* The agent's own connection to its manager. */
static sd_bus *agent_bus;

int __real_sd_bus_attach_event(sd_bus *, sd_event *, int);
int __wrap_sd_bus_attach_event(sd_bus *, sd_event *, int);

int __wrap_sd_bus_attach_event(sd_bus *bus, sd_event *event, int priority) {
        agent_bus = bus;
        return __real_sd_bus_attach_event(bus, event, priority);
}

static bool has_ended(Fixture *fixture) {
        return sd_event_get_state(fixture->event) == SD_EVENT_FINISHED;
}

/* Take in what is there. Files and processes are told of by the time they have changed. */
static void take_in(Fixture *fixture) {
        int r = 1;

        while (r > 0 && !has_ended(fixture))
                r = sd_event_run(fixture->event, 0);
        assert_true(r >= 0);
}

static int on_pong(sd_bus_message *reply, void *userdata, sd_bus_error *error _unused_) {
        bool *pong = userdata;

        assert_false(sd_bus_message_is_method_error(reply, NULL));
        *pong = true;
        return 0;
}

/*
 * Have vfiopt-ask answer, which serves one after the other, and then the manager: one connection
 * keeps the order. So what the agent has asked for before has come to the manager, and all that he
 * said to it has come back.
 */
static void hear_of_all(Fixture *fixture) {
        AskAnswer answer;
        bool pong = false;

        if (fixture->server > 0)
                assert_int_equal(fake_ask(fixture->tree, "x", 1, &answer, sizeof(answer)),
                                sizeof(answer));
        assert_true(sd_bus_call_method_async(agent_bus, NULL, "org.freedesktop.systemd1", "/",
                                    "org.freedesktop.DBus.Peer", "Ping", on_pong, &pong,
                                    NULL) >= 0);
        while (!pong && !has_ended(fixture))
                assert_true(sd_event_run(fixture->event, LIMIT_USEC) > 0);
}

/*
 * Let it work until it rests: nothing is there to be taken in, nothing is under way, and what
 * came last was no reason to ask for more. Return: how many jobs it has asked for, since the
 * beginning.
 */
static unsigned int rest(Fixture *fixture) {
        unsigned int n_still = 0, n_asked = fake_manager_n_asked();

        while (n_still < 2 && !has_ended(fixture)) {
                take_in(fixture);
                if (has_ended(fixture))
                        break;
                hear_of_all(fixture);
                n_still = fake_manager_n_asked() == n_asked ? n_still + 1 : 0;
                n_asked = fake_manager_n_asked();
        }
        return fake_manager_n_asked();
}

static void without_a_wish_nothing_is_done(void **state) {
        Fixture *fixture = *state;

        fake_standard_drivers(fixture->tree);
        fake_gpu_add(fixture->tree, "0000:01:00.0", .group = 12, .driver = "nvidia");
        start(fixture);
        assert_int_equal(rest(fixture), 0);
}

static void a_wish_is_a_job_and_one_only(void **state) {
        Fixture *fixture = *state;

        fake_standard_drivers(fixture->tree);
        fake_gpu_add(fixture->tree, "0000:01:00.0", .group = 12, .driver = "nvidia");
        start(fixture);
        assert_int_equal(rest(fixture), 0);
        fake_write(fixture->tree->root, "etc/vfiopt/state", STATE("passthrough"));
        assert_int_equal(rest(fixture), 1);

        /* That job has moved nothing. */
        fake_write(fixture->tree->root, "etc/vfiopt/state", STATE("passthrough"));
        fake_write(fixture->tree->root, "run/vfiopt/lock/x", "x");
        assert_int_equal(rest(fixture), 1);
}

static void a_person_gets_another_job(void **state) {
        Fixture *fixture = *state;

        fake_standard_drivers(fixture->tree);
        fake_gpu_add(fixture->tree, "0000:01:00.0", .group = 12, .driver = "nvidia");
        fake_write(fixture->tree->root, "etc/vfiopt/state", STATE("passthrough"));
        start(fixture);
        assert_int_equal(rest(fixture), 1);
        fake_write(fixture->tree->root, "etc/vfiopt/vfiopt.conf", "[vfiopt]\n");
        assert_int_equal(rest(fixture), 2);
        /* A folder that was not there is watched from now on. */
        fake_write(fixture->tree->root, "etc/vfiopt/vfiopt.conf.d/a.conf", "[vfiopt]\n");
        assert_int_equal(rest(fixture), 3);
        fake_write(fixture->tree->root, "etc/vfiopt/vfiopt.conf.d/a.conf", "[vfiopt]\n\n");
        assert_int_equal(rest(fixture), 4);
        agent_reload(fixture->agent);
        assert_int_equal(rest(fixture), 5);
}

/* Our directory is another one of the same name; whoever looks into the old one sees nothing. */
static void a_directory_that_was_replaced_is_watched(void **state) {
        Fixture *fixture = *state;
        const char *root = fixture->tree->root;
        char from[256], to[256];

        fake_standard_drivers(fixture->tree);
        fake_gpu_add(fixture->tree, "0000:01:00.0", .group = 12, .driver = "nvidia");
        start(fixture);
        assert_int_equal(rest(fixture), 0);

        snprintf(from, sizeof(from), "%s/etc/vfiopt", root);
        snprintf(to, sizeof(to), "%s/etc/old", root);
        assert_int_equal(rename(from, to), 0);
        assert_int_equal(mkdir(from, 0755), 0);
        assert_int_equal(rest(fixture), 0);
        fake_write(root, "etc/vfiopt/state", STATE("passthrough"));
        assert_int_equal(rest(fixture), 1);
        fake_write(root, "etc/old/vfiopt.conf", "[vfiopt]\n");
        assert_int_equal(rest(fixture), 1);

        assert_int_equal(unlinkat(fixture->tree->roots.etc_fd, "state", 0), 0);
        assert_int_equal(rmdir(from), 0);
        assert_int_equal(rest(fixture), 1);
        assert_int_equal(mkdir(from, 0755), 0);
        fake_write(root, "etc/vfiopt/state", STATE("passthrough"));
        agent_reload(fixture->agent);
        assert_int_equal(rest(fixture), 2);
}

static void a_folder_behind_a_link_is_watched(void **state) {
        Fixture *fixture = *state;
        const char *root = fixture->tree->root;

        fake_standard_drivers(fixture->tree);
        fake_gpu_add(fixture->tree, "0000:01:00.0", .group = 12, .driver = "nvidia");
        fake_write(root, "etc/real/empty.conf", "[vfiopt]\n");
        assert_int_equal(symlinkat("../real", fixture->tree->roots.etc_fd, "vfiopt.conf.d"), 0);
        start(fixture);
        assert_int_equal(rest(fixture), 0);
        fake_write(root, "etc/real/a.conf", "[vfiopt]\nDefaultMode=passthrough\n");
        assert_int_equal(rest(fixture), 1);
}

/* A switch that ends while the agent looks, and its new wish. */
static void commit_state(const Roots *roots) {
        State state = STATE_NULL;

        assert_int_equal(state_load(&state, roots->etc_fd), 0);
        state.entries[0].mode = MODE_HOST;
        assert_int_equal(state_save(&state, roots->etc_fd), 0);
        state_deinit(&state);
}

static void commit_record(const Roots *roots) {
        GpuRecord record = record_new();

        record.mode = MODE_HOST;
        assert_int_equal(gpu_record_save(&record, roots->run_fd), 0);
}

static void a_switch_that_ends_during_the_look_is_not_undone(void **state) {
        Fixture *fixture = *state;

        fake_standard_drivers(fixture->tree);
        fake_gpu_add(fixture->tree, "0000:01:00.0", .group = 12, .driver = "nvidia");
        fake_write(fixture->tree->root, "etc/vfiopt/state", STATE("passthrough"));
        after_policy = commit_state;
        start(fixture);
        assert_int_equal(rest(fixture), 0);
        assert_null(after_policy);

        fake_write(fixture->tree->root, "etc/vfiopt/state", STATE("passthrough"));
        after_runtime = commit_record;
        assert_int_equal(rest(fixture), 0);
        assert_null(after_runtime);
}

static void a_damaged_record_is_logged_once(void **state) {
        Fixture *fixture = *state;
        const char *root = fixture->tree->root;

        fake_standard_drivers(fixture->tree);
        fake_gpu_add(fixture->tree, "0000:01:00.0", .group = 12, .driver = "nvidia");
        fake_write(root, "etc/vfiopt/state", STATE("passthrough"));
        fake_write(root, "run/vfiopt/gpu/0000:01:00.0-10de-2d04-1043-5678.json", "{");
        start(fixture);
        assert_int_equal(rest(fixture), 0);
        assert_int_equal(journal.n[EVENT_WARNING], 1);
        assert_non_null(strstr(journal.reason, "is not understood"));
        agent_reload(fixture->agent);
        assert_int_equal(rest(fixture), 0);
        assert_int_equal(journal.n[EVENT_WARNING], 1);
}

static void what_is_left_alone_at_boot_is_left_alone_after_it(void **state) {
        Fixture *fixture = *state;
        const char *root = fixture->tree->root;
        GpuRecord record = record_new();

        fake_standard_drivers(fixture->tree);
        fake_gpu_add(fixture->tree, "0000:01:00.0", .group = 12, .driver = "nvidia");
        fake_write(root, "etc/vfiopt/state", STATE("passthrough"));
        fake_write(root, "etc/vfiopt/vfiopt.conf", "[GPU 01:00]\nBootMode=unset\n");
        start(fixture);
        assert_int_equal(rest(fixture), 0);
        record.mode = MODE_PASSTHROUGH;
        save(fixture, &record);
        agent_reload(fixture->agent);
        assert_int_equal(rest(fixture), 1);
}

static void what_is_as_wished_is_left_alone(void **state) {
        Fixture *fixture = *state;

        fake_standard_drivers(fixture->tree);
        fake_module_load(fixture->tree, "vfio_pci");
        fake_gpu_add(fixture->tree, "0000:01:00.0", .group = 12, .driver = "vfio-pci");
        fake_write(fixture->tree->root, "etc/vfiopt/state", STATE("passthrough"));
        start(fixture);
        assert_int_equal(rest(fixture), 0);
}

/* To ask for a job at each look would be in vain; the boot tells of it, and so does status. */
static void a_boot_display_that_stays_is_no_job(void **state) {
        Fixture *fixture = *state;

        fake_standard_drivers(fixture->tree);
        fake_gpu_add(fixture->tree, "0000:01:00.0", .group = 12, .driver = "nvidia",
                        .boot_vga = "1");
        fake_write(fixture->tree->root, "etc/vfiopt/state", STATE("passthrough"));
        start(fixture);
        assert_int_equal(rest(fixture), 0);
        fake_write(fixture->tree->root, "etc/vfiopt/vfiopt.conf",
                        "[GPU 01:00]\nAllowDisplay=yes\n");
        agent_reload(fixture->agent);
        assert_int_equal(rest(fixture), 1);
}

/* libvirt with managed='yes', from the first write to the last. */
static void what_another_program_claims_is_left_to_it(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;
        const char *root = tree->root;

        fake_standard_drivers(tree);
        fake_module_load(tree, "vfio_pci");
        fake_gpu_add(tree, "0000:01:00.0", .functions = 2, .group = 12, .driver = "vfio-pci");
        fake_write(root, "etc/vfiopt/state", STATE("host"));
        start(fixture);
        assert_int_equal(rest(fixture), 0);
        assert_int_equal(journal.n[EVENT_CLAIMED], 1);
        assert_string_equal(journal.reason,
                        "driver_override is set on 0000:01:00.0 0000:01:00.1; until that ends, or: "
                        "vfioptctl switch host 0000:01:00.0");
        /* Once, whatever happens meanwhile; and no person's word but that for the GPU counts. */
        fake_write(root, "run/vfiopt/lock/x", "x");
        agent_reload(fixture->agent);
        assert_int_equal(rest(fixture), 0);
        assert_int_equal(journal.n[EVENT_CLAIMED], 1);

        /* Half-way home, and there still is an override. */
        assert_int_equal(pci_model_write(tree, "bus/pci/drivers/vfio-pci/unbind", "0000:01:00.0"),
                        0);
        fake_device_write(tree, "0000:01:00.0", "driver_override", "(null)");
        fake_write(root, "run/vfiopt/lock/x", "x");
        assert_int_equal(rest(fixture), 0);

        /* The claim ends, with a function left on vfio. */
        fake_device_write(tree, "0000:01:00.1", "driver_override", "(null)");
        fake_write(root, "run/vfiopt/lock/x", "x");
        assert_int_equal(rest(fixture), 1);
        assert_int_equal(journal.n[EVENT_CLAIMED], 1);
}

/* An edit of the state file is a word about what we have moved there ourselves. */
static void what_we_have_moved_ourselves_is_no_claim(void **state) {
        Fixture *fixture = *state;
        GpuRecord record = record_new();

        record.n_host = 1;
        record.host[0].driver = (char *) "nvidia";
        fake_standard_drivers(fixture->tree);
        fake_module_load(fixture->tree, "vfio_pci");
        fake_gpu_add(fixture->tree, "0000:01:00.0", .group = 12, .driver = "vfio-pci");
        save(fixture, &record);
        fake_write(fixture->tree->root, "etc/vfiopt/state", STATE("passthrough"));
        start(fixture);
        assert_int_equal(rest(fixture), 0);
        fake_write(fixture->tree->root, "etc/vfiopt/state", STATE("host"));
        assert_int_equal(rest(fixture), 1);
        assert_int_equal(journal.n[EVENT_CLAIMED], 0);
}

static void another_card_is_left_alone(void **state) {
        Fixture *fixture = *state;

        fake_standard_drivers(fixture->tree);
        fake_gpu_add(fixture->tree, "0000:01:00.0", .device = 0x1e04, .group = 12,
                        .driver = "nvidia");
        fake_write(fixture->tree->root, "etc/vfiopt/state", STATE("passthrough"));
        start(fixture);
        assert_int_equal(rest(fixture), 0);
}

/* The answer to a request comes on another connection than the end of its job, and may be late. */
static void a_job_that_is_over_before_the_answer_is_over(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;
        AskAnswer answer = {};
        char request[64], *why = NULL;
        int listen_fd, fd;

        stop_server(fixture);
        listen_fd = fake_ask_listen(tree);
        fake_standard_drivers(tree);
        fake_gpu_add(tree, "0000:01:00.0", .group = 12, .driver = "nvidia");
        fake_write(tree->root, "etc/vfiopt/state", STATE("passthrough"));
        start(fixture);
        for (unsigned int i = 1; i < 4; ++i) {
                assert_int_equal(rest(fixture), i - 1);
                fd = accept(listen_fd, NULL, NULL);
                assert_int_equal(recv(fd, request, sizeof(request), 0), 12);
                assert_int_equal(systemd_start_once(UNIT_AUTO, &answer.job_id, &why), 0);
                assert_int_equal(rest(fixture), i);
                assert_int_equal(send(fd, &answer, sizeof(answer), 0), sizeof(answer));
                close(fd);
                assert_int_equal(rest(fixture), i);
                agent_reload(fixture->agent);
        }
        close(listen_fd);
}

/* Nobody listens: that is told, and no reason to end. */
static void what_cannot_be_asked_for_is_asked_for_later(void **state) {
        Fixture *fixture = *state;

        stop_server(fixture);
        fake_standard_drivers(fixture->tree);
        fake_gpu_add(fixture->tree, "0000:01:00.0", .group = 12, .driver = "nvidia");
        fake_write(fixture->tree->root, "etc/vfiopt/state", STATE("passthrough"));
        /* The socket has gone with its unit, or is closed: systemd has both started again. */
        for (unsigned int i = 0; i < 2; ++i) {
                int exit_code = -1;

                if (i > 0)
                        close(fake_ask_listen(fixture->tree));
                start(fixture);
                assert_int_equal(rest(fixture), 0);
                assert_true(has_ended(fixture));
                assert_int_equal(sd_event_get_exit_code(fixture->event, &exit_code), 0);
                assert_int_equal(exit_code, AGENT_EXIT_AGAIN);
                fixture->agent = agent_free(fixture->agent);
                sd_event_unref(fixture->event);
                assert_true(sd_event_new(&fixture->event) >= 0);
        }
        fake_remove(fixture->tree->root, "run/" VFIOPT_RUN_ASK);
        fixture->server = fake_ask_start(fixture->tree, LIMIT_USEC);
        start(fixture);
        assert_int_equal(rest(fixture), 1);
        assert_false(has_ended(fixture));
}

/* It answers nobody: that is no reason to leave. */
static void what_is_not_answered_is_asked_for_later(void **state) {
        Fixture *fixture = *state;
        int fd;

        stop_server(fixture);
        fd = fake_ask_listen(fixture->tree);
        fake_standard_drivers(fixture->tree);
        fake_gpu_add(fixture->tree, "0000:01:00.0", .group = 12, .driver = "nvidia");
        fake_write(fixture->tree->root, "etc/vfiopt/state", STATE("passthrough"));
        start(fixture);
        assert_int_equal(rest(fixture), 0);
        close(fd);
        assert_int_equal(rest(fixture), 0);
        assert_false(has_ended(fixture));
        fake_remove(fixture->tree->root, "run/" VFIOPT_RUN_ASK);
        fixture->server = fake_ask_start(fixture->tree, LIMIT_USEC);
        fake_write(fixture->tree->root, "etc/vfiopt/state", STATE("passthrough"));
        assert_int_equal(rest(fixture), 1);
}

static void what_is_denied_is_not_asked_again(void **state) {
        Fixture *fixture = *state;

        fake_standard_drivers(fixture->tree);
        fake_gpu_add(fixture->tree, "0000:02:00.0", .group = 13, .driver = "nvidia");
        fake_write(fixture->tree->root, "etc/vfiopt/vfiopt.conf",
                        "[vfiopt]\nDefaultMode=passthrough\n");
        start(fixture);
        assert_int_equal(rest(fixture), 1);
        fake_write(fixture->tree->root, "etc/vfiopt/other", "x");
        assert_int_equal(rest(fixture), 1);
}

static void what_is_refused_is_not_asked_again(void **state) {
        Fixture *fixture = *state;

        fake_standard_drivers(fixture->tree);
        fake_gpu_add(fixture->tree, "0000:03:00.0", .group = 14, .driver = "nvidia");
        fake_write(fixture->tree->root, "etc/vfiopt/vfiopt.conf",
                        "[vfiopt]\nDefaultMode=passthrough\n");
        start(fixture);
        assert_int_equal(rest(fixture), 1);
}

/* A process that does nothing until it is killed. */
static pid_t hold(void) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0)
                for (;;)
                        pause();
        return pid;
}

static void end(pid_t pid, bool reap) {
        siginfo_t info;

        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitid(P_PID, (id_t) pid, &info, WEXITED | (reap ? 0 : WNOWAIT)), 0);
}

static void what_is_held_is_asked_again_when_all_holders_have_ended(void **state) {
        Fixture *fixture = *state;
        pid_t first = hold(), second = hold();
        GpuRecord record = record_new();

        record.has_refusal = true;
        record.refusal.when_usec = 1;
        refusal_add(&record.refusal, (ProcessId){ .pid = first });
        refusal_add(&record.refusal, (ProcessId){ .pid = second });
        save(fixture, &record);
        fake_standard_drivers(fixture->tree);
        fake_gpu_add(fixture->tree, "0000:01:00.0", .group = 12, .driver = "nvidia");
        fake_write(fixture->tree->root, "etc/vfiopt/state", STATE("passthrough"));
        start(fixture);
        assert_int_equal(rest(fixture), 1);
        end(first, true);
        assert_int_equal(rest(fixture), 1);
        /* Nobody has waited for this one yet: its pidfd tells for ever that it has ended. */
        end(second, false);
        assert_int_equal(rest(fixture), 2);
        /* The refusal is still there, as that job was none. */
        fake_write(fixture->tree->root, "etc/vfiopt/state", STATE("passthrough"));
        assert_int_equal(rest(fixture), 2);

        /* Refused once more, and all are gone before we look. */
        end(second, true);
        record.refusal.when_usec = 2;
        save(fixture, &record);
        fake_write(fixture->tree->root, "etc/vfiopt/state", STATE("passthrough"));
        assert_int_equal(rest(fixture), 3);

        /* By somebody whom nobody has found. */
        record.refusal = (Refusal){ .when_usec = 3 };
        save(fixture, &record);
        fake_write(fixture->tree->root, "etc/vfiopt/state", STATE("passthrough"));
        assert_int_equal(rest(fixture), 3);
}

static void holders_that_come_and_go_are_enough_at_some_time(void **state) {
        Fixture *fixture = *state;
        const char *root = fixture->tree->root;
        pid_t gone = hold();
        GpuRecord record = record_new();

        end(gone, true);
        record.has_refusal = true;
        refusal_add(&record.refusal, (ProcessId){ .pid = gone });
        fake_standard_drivers(fixture->tree);
        fake_gpu_add(fixture->tree, "0000:01:00.0", .group = 12, .driver = "nvidia");
        fake_write(root, "etc/vfiopt/state", STATE("passthrough"));
        start(fixture);
        assert_int_equal(rest(fixture), 1);
        for (unsigned int i = 1; i <= RECONCILE_JOBS_MAX; ++i) {
                record.refusal.when_usec = i;
                save(fixture, &record);
                fake_write(root, "etc/vfiopt/state", STATE("passthrough"));
                assert_int_equal(rest(fixture), 1 + i);
                assert_int_equal(journal.n[EVENT_GAVE_UP], 0);
        }
        record.refusal.when_usec = RECONCILE_JOBS_MAX + 1;
        save(fixture, &record);
        fake_write(root, "etc/vfiopt/state", STATE("passthrough"));
        assert_int_equal(rest(fixture), 1 + RECONCILE_JOBS_MAX);
        assert_int_equal(journal.n[EVENT_GAVE_UP], 1);
        assert_string_equal(journal.reason,
                        "in use at each of 5 attempts within 60 s; retry with: systemctl reload "
                        "vfioptd");
}

static void what_is_killed_is_asked_again_but_not_for_ever(void **state) {
        Fixture *fixture = *state;

        fake_standard_drivers(fixture->tree);
        fake_gpu_add(fixture->tree, "0000:04:00.0", .group = 15, .driver = "nvidia");
        fake_write(fixture->tree->root, "etc/vfiopt/vfiopt.conf",
                        "[vfiopt]\nDefaultMode=passthrough\n");
        start(fixture);
        assert_int_equal(rest(fixture), RECONCILE_JOBS_MAX);
        assert_int_equal(journal.n[EVENT_ASKED], RECONCILE_JOBS_MAX);
        assert_int_equal(journal.n[EVENT_GAVE_UP], 1);
        assert_string_equal(journal.reason,
                        "moved 5 times within 60 s, and something moved it away each time; stop "
                        "that program, then: systemctl reload vfioptd");
}

static void without_a_gpu_it_ends(void **state) {
        Fixture *fixture = *state;
        int exit_code = -1;

        start(fixture);
        assert_int_equal(rest(fixture), 0);
        assert_int_equal(sd_event_get_state(fixture->event), SD_EVENT_FINISHED);
        assert_int_equal(sd_event_get_exit_code(fixture->event, &exit_code), 0);
        assert_int_equal(exit_code, 0);
}

/* A child that holds the guard of a writer, until it is told to end. */
static pid_t hang(FakeTree *tree, int *ret_end) {
        struct flock lock = { .l_type = F_WRLCK };
        int ready[2], end[2], fd;
        pid_t pid;
        char c;

        assert_int_equal(pipe(ready), 0);
        assert_int_equal(pipe(end), 0);
        fake_write(tree->root, "run/vfiopt/lock/0000:01:00.0.writer", "%s", "");
        fd = openat(tree->roots.run_fd, "lock/0000:01:00.0.writer", O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                close(end[1]);
                if (fcntl(fd, F_SETLK, &lock) == 0 && write(ready[1], "", 1) == 1)
                        (void) !read(end[0], &c, 1);
                _exit(0);
        }
        assert_int_equal(read(ready[0], &c, 1), 1);
        close(fd);
        close(ready[0]);
        close(ready[1]);
        close(end[0]);
        *ret_end = end[1];
        return pid;
}

static void the_end_of_a_stuck_writer_is_a_job(void **state) {
        Fixture *fixture = *state;
        GpuRecord record = record_new();
        LateWrite *late = &record.move.late;
        siginfo_t info;
        int end;

        record.has_move = record.move.is_late = true;
        record.move.from = MODE_HOST;
        record.move.to = MODE_PASSTHROUGH;
        record.move.moved = FUNCTION_SET_ALL;
        late->function = record.address;
        late->action = (char *) "unbind";

        fake_standard_drivers(fixture->tree);
        fake_gpu_add(fixture->tree, "0000:01:00.0", .group = 12, .driver = "nvidia");
        late->writer.pid = hang(fixture->tree, &end);
        save(fixture, &record);
        fake_write(fixture->tree->root, "etc/vfiopt/state", STATE("passthrough"));
        start(fixture);
        assert_int_equal(rest(fixture), 0);

        close(end);
        assert_int_equal(waitid(P_PID, (id_t) late->writer.pid, &info, WEXITED | WNOWAIT), 0);
        assert_int_equal(rest(fixture), 1);
        assert_int_equal(waitpid(late->writer.pid, NULL, 0), late->writer.pid);
}

/*
 * A switch is killed, and not reaped, while a child of it has the lock: the pidfd of the zombie is
 * readable for ever, and nothing is over before the child ends.
 */
static void the_end_of_a_killed_switch_and_its_child_is_a_job(void **state) {
        Fixture *fixture = *state;
        int ready[2], stop[2];
        pid_t owner, child;
        Lock lock = LOCK_NULL;
        siginfo_t info;
        char c;

        fake_standard_drivers(fixture->tree);
        fake_gpu_add(fixture->tree, "0000:01:00.0", .group = 12, .driver = "nvidia");
        fake_write(fixture->tree->root, "etc/vfiopt/state", STATE("passthrough"));
        assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
        assert_int_equal(pipe(ready), 0);
        assert_int_equal(pipe(stop), 0);
        owner = fork();
        assert_true(owner >= 0);
        if (owner == 0) {
                close(stop[1]);
                if (lock_take(&lock, fixture->tree->roots.run_fd, (Address){ .bus = 1 }, false))
                        _exit(1);
                child = fork();
                if (child == 0)
                        _exit(read(stop[0], &c, 1) != 0);
                if (write(ready[1], &child, sizeof(child)) == sizeof(child))
                        pause();
                _exit(1);
        }
        close(stop[0]);
        assert_int_equal(read(ready[0], &child, sizeof(child)), sizeof(child));
        close(ready[0]);
        close(ready[1]);
        start(fixture);
        assert_int_equal(rest(fixture), 0);
        end(owner, false);
        assert_int_equal(rest(fixture), 0);

        close(stop[1]);
        assert_int_equal(waitid(P_PID, (id_t) child, &info, WEXITED), 0);
        assert_int_equal(rest(fixture), 1);
        end(owner, true);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define test(name) cmocka_unit_test_setup_teardown(name, fixture_new, fixture_free)
                test(without_a_wish_nothing_is_done),
                test(a_wish_is_a_job_and_one_only),
                test(a_person_gets_another_job),
                test(a_directory_that_was_replaced_is_watched),
                test(a_folder_behind_a_link_is_watched),
                test(a_switch_that_ends_during_the_look_is_not_undone),
                test(a_damaged_record_is_logged_once),
                test(what_is_left_alone_at_boot_is_left_alone_after_it),
                test(what_is_as_wished_is_left_alone),
                test(a_boot_display_that_stays_is_no_job),
                test(what_another_program_claims_is_left_to_it),
                test(what_we_have_moved_ourselves_is_no_claim),
                test(another_card_is_left_alone),
                test(a_job_that_is_over_before_the_answer_is_over),
                test(what_cannot_be_asked_for_is_asked_for_later),
                test(what_is_not_answered_is_asked_for_later),
                test(what_is_denied_is_not_asked_again),
                test(what_is_refused_is_not_asked_again),
                test(what_is_held_is_asked_again_when_all_holders_have_ended),
                test(holders_that_come_and_go_are_enough_at_some_time),
                test(what_is_killed_is_asked_again_but_not_for_ever),
                test(without_a_gpu_it_ends),
                test(the_end_of_a_stuck_writer_is_a_job),
                test(the_end_of_a_killed_switch_and_its_child_is_a_job),
#undef test
        };

        if (!getenv("DBUS_SYSTEM_BUS_ADDRESS")) {
                print_message("$DBUS_SYSTEM_BUS_ADDRESS does not name a bus of our own\n");
                return 77;
        }
        return cmocka_run_group_tests_name("daemon/agent", tests, NULL, NULL);
}
