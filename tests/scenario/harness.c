/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The Harness of the Scenarios
 *
 * The job is forked off the test, and so has the tree's model and its directories
 * open. Its result lies in shared memory, because it may be killed at any time.
 *
 * The product gives up a write after minutes. A test wants it given up as soon as it
 * waits, and not a moment earlier on a slow machine. Hence the linker wraps child_run()
 * and its like for workers, and the child tells through an event that it waits: time plays no part.
 */

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "harness.h"
#include "lib/pci-model.h"
#include "os/child.h"
#include "record/pin.h"

struct Job {
        FakeTree *tree;
        Outcome *outcome;       /* shared */
        unsigned int n_clashes; /* before it */
        pid_t pid;
};

/*
 * impatience
 */

static bool is_impatient;

int __real_child_run(const ChildOptions *, ChildFn, void *, ChildResult *);
int __wrap_child_run(const ChildOptions *, ChildFn, void *, ChildResult *);
int __real_worker_start(Worker *, const ChildOptions *, WorkerFn, void *);
int __wrap_worker_start(Worker *, const ChildOptions *, WorkerFn, void *);
int __real_worker_receive(Worker *, const ChildOptions *, ChildResult *);
int __wrap_worker_receive(Worker *, const ChildOptions *, ChildResult *);
int __real_child_guard_wait(int, uint64_t, pid_t *);
int __wrap_child_guard_wait(int, uint64_t, pid_t *);

static int give_up(void *userdata _unused_, uint64_t *deadline_usec) {
        *deadline_usec = 0;
        return 0;
}

int __wrap_child_run(const ChildOptions *options, ChildFn fn, void *userdata, ChildResult *ret) {
        ChildOptions changed = *options;
        int keep[8], fd, r;

        if (!is_impatient)
                return __real_child_run(options, fn, userdata, ret);

        fd = eventfd(0, EFD_CLOEXEC);
        assert_true(fd >= 0);
        assert_true(options->n_keep < ARRAY_SIZE(keep));
        memcpy(keep, options->keep, options->n_keep * sizeof(*keep));
        keep[changed.n_keep++] = fd;
        changed.keep = keep;
        changed.watch_fd = fd;
        changed.watch = give_up;
        machine_blocked_fd = fd;

        r = __real_child_run(&changed, fn, userdata, ret);
        machine_blocked_fd = -1;
        close(fd);
        return r;
}

/* Each worker tells through an event of its own, which it inherits and its asker watches. */
static struct {
        pid_t pid;
        int fd;
} workers[8];

int __wrap_worker_start(Worker *worker, const ChildOptions *options, WorkerFn fn, void *userdata) {
        size_t slot = options->guard_byte;
        ChildOptions changed = *options;
        int keep[8], r;

        if (!is_impatient)
                return __real_worker_start(worker, options, fn, userdata);

        assert_true(slot < ARRAY_SIZE(workers));
        if (workers[slot].pid > 0)
                close(workers[slot].fd);
        workers[slot].fd = eventfd(0, EFD_CLOEXEC);
        assert_true(workers[slot].fd >= 0);
        assert_true(options->n_keep < ARRAY_SIZE(keep));
        memcpy(keep, options->keep, options->n_keep * sizeof(*keep));
        keep[changed.n_keep++] = workers[slot].fd;
        changed.keep = keep;
        machine_blocked_fd = workers[slot].fd;
        r = __real_worker_start(worker, &changed, fn, userdata);
        machine_blocked_fd = -1;
        workers[slot].pid = worker->child.pid;
        return r;
}

int __wrap_worker_receive(Worker *worker, const ChildOptions *options, ChildResult *ret) {
        ChildOptions changed = *options;

        for (size_t i = 0; is_impatient && i < ARRAY_SIZE(workers); ++i)
                if (workers[i].pid == worker->child.pid) {
                        changed.watch_fd = workers[i].fd;
                        changed.watch = give_up;
                }
        return __real_worker_receive(worker, &changed, ret);
}

int __wrap_child_guard_wait(int guard_fd, uint64_t limit, pid_t *ret_pid) {
        return __real_child_guard_wait(guard_fd, is_impatient ? 0 : limit, ret_pid);
}

void scenario_be_impatient(bool impatient) {
        is_impatient = impatient;
}

/*
 * jobs
 */

static void observe(void *userdata, const Event *event) {
        Outcome *outcome = userdata;
        Told *told = &outcome->told[outcome->n_told];

        if (outcome->n_told >= ARRAY_SIZE(outcome->told))
                return;
        told->kind = event->kind;
        snprintf(told->phase, sizeof(told->phase), "%s", event->phase ?: "");
        snprintf(told->reason, sizeof(told->reason), "%s", event->reason ?: "");
        ++outcome->n_told;
}

bool scenario_automatic;
Trigger scenario_trigger = TRIGGER_COMMAND;

/* What a request is made of, for as long as it takes. */
typedef struct Order {
        Modules *modules;
        Inventory inventory;
        Gpu *gpus[8];
        SwitchContext context;
        SwitchRequest request;
} Order;

static void order_init(Order *order, FakeTree *tree, Mode to, const char *name, Outcome *outcome) {
        Gpu *gpu;

        *order = (Order){
                .context = { .roots = &tree->roots,
                                .observer = observe,
                                .observer_userdata = outcome },
                .request = { .to = to,
                                .trigger = scenario_trigger,
                                .automatic = scenario_automatic },
        };
        order->request.gpus = order->gpus;
        assert_int_equal(modules_new(&order->modules), 0);
        order->context.modules = order->modules;
        assert_int_equal(inventory_init(&order->inventory, &tree->roots), 0);

        for (size_t i = 0; !name && i < order->inventory.n_gpus; ++i)
                order->gpus[order->request.n_gpus++] = &order->inventory.gpus[i];
        if (name) {
                assert_int_equal(inventory_select(&order->inventory, tree->roots.sysfs, name, &gpu),
                                0);
                order->gpus[order->request.n_gpus++] = gpu;
        }
}

static void order_deinit(Order *order) {
        inventory_deinit(&order->inventory);
        modules_free(order->modules);
}

static void run_switch(FakeTree *tree, Mode to, const char *gpu, Outcome *outcome) {
        Order order;

        order_init(&order, tree, to, gpu, outcome);
        outcome->r = switch_run(&order.context, &order.request, &outcome->result);
        order_deinit(&order);
}

Outcome scenario_switch_here(FakeTree *tree, Mode to, const char *gpu) {
        Outcome outcome = {};

        run_switch(tree, to, gpu, &outcome);
        assert_int_equal(outcome.r, 0);
        return outcome;
}

static size_t preview(FakeTree *tree, Mode to, const char *gpu, SwitchResult *ret) {
        Outcome outcome = {};
        Move *moves;
        Order order;
        size_t n;

        order_init(&order, tree, to, gpu, &outcome);
        assert_int_equal(switch_preview(&order.context, &order.request, &moves, ret), 0);
        n = moves[0].plan.n_steps;
        moves_free(moves, order.request.n_gpus);
        order_deinit(&order);
        return n;
}

size_t scenario_preview(FakeTree *tree, Mode to, const char *gpu) {
        SwitchResult result;

        return preview(tree, to, gpu, &result);
}

SwitchResult scenario_foresee(FakeTree *tree, Mode to, const char *gpu) {
        SwitchResult result;

        (void) preview(tree, to, gpu, &result);
        return result;
}

Job *scenario_start(FakeTree *tree, Mode to, const char *gpu) {
        Job *job = calloc(1, sizeof(*job));

        assert_non_null(job);
        job->tree = tree;
        job->outcome = mmap(NULL, sizeof(*job->outcome), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(job->outcome, MAP_FAILED);

        /* Nobody asks so fast that a driver would still be behind. */
        pci_model_catch_up(tree);
        job->n_clashes = atomic_load(&tree->machine->n_clashes);
        fflush(NULL);
        job->pid = fork();
        assert_true(job->pid >= 0);
        if (job->pid == 0) {
                Outcome *outcome = job->outcome;

                free(job);
                tree->machine->victim = getpid();
                changes_start(&outcome->n_changes);
                run_switch(tree, to, gpu, outcome);
                /* Not _exit(): leaks are looked for at the end. */
                exit(EXIT_SUCCESS);
        }
        return job;
}

void scenario_end(Job *job) {
        assert_int_equal(kill(job->pid, SIGTERM), 0);
}

Outcome scenario_finish(Job *job) {
        Outcome outcome;
        int status;

        assert_int_equal(waitpid(job->pid, &status, 0), job->pid);
        outcome = *job->outcome;
        outcome.killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        outcome.ended = WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM;
        if (!outcome.killed && !outcome.ended)
                assert_int_equal(status, 0);
        assert_int_equal(atomic_load(&job->tree->machine->n_clashes), job->n_clashes);
        munmap(job->outcome, sizeof(*job->outcome));
        free(job);
        return outcome;
}

Outcome scenario_switch(FakeTree *tree, Mode to, const char *gpu) {
        return scenario_finish(scenario_start(tree, to, gpu));
}

static GpuRecord record_of(FakeTree *tree, const char *name) {
        _cleanup_(gpu_deinit) Gpu gpu = {};
        GpuRecord record = GPU_RECORD_NULL;
        Address address;
        int r;

        assert_int_equal(address_parse(name, &address), 0);
        r = gpu_init(&gpu, fake_sysfs(tree), address);
        assert_true(r >= 0);
        if (r > 0) /* Not every machine has that card. */
                return record;
        assert_int_equal(gpu_record_load(&record, tree->roots.run_fd, &gpu), 0);
        return record;
}

bool scenario_has_move(FakeTree *tree, const char *gpu) {
        _cleanup_(gpu_record_deinit) GpuRecord record = record_of(tree, gpu);

        return record.has_move;
}

bool scenario_has_host(FakeTree *tree, const char *gpu) {
        _cleanup_(gpu_record_deinit) GpuRecord record = record_of(tree, gpu);

        return record.n_host > 0;
}

bool scenario_is_late(FakeTree *tree, const char *gpu) {
        _cleanup_(gpu_record_deinit) GpuRecord record = record_of(tree, gpu);

        return record.has_move && record.move.is_late;
}

void scenario_forget_host(FakeTree *tree, const char *gpu) {
        _cleanup_(gpu_record_deinit) GpuRecord record = record_of(tree, gpu);

        gpu_record_forget_host(&record);
        assert_int_equal(gpu_record_save(&record, tree->roots.run_fd), 0);
}

bool scenario_was_told(const Outcome *outcome, EventKind kind) {
        for (unsigned int i = 0; i < outcome->n_told; ++i)
                if (outcome->told[i].kind == kind)
                        return true;
        return false;
}

/*
 * machines
 */

/* One card of four functions, each with a driver, each with settings of its owner's. */
static void build_one(FakeTree *tree) {
        fake_gpu_add(tree, GPU_A, .group = 12, .driver = "nvidia");
        pci_model_catch_up(tree);
        fake_device_write(tree, GPU_A, "power/control", "auto");
        fake_device_write(tree, "0000:01:00.1", "power/control", "on");
        fake_device_write(tree, GPU_A, "d3cold_allowed", "0");
        fake_device_write(tree, "0000:01:00.2", "power/control", "auto");
        fake_write(tree->root, "etc/vfiopt/vfiopt.conf", "[GPU 01:00]\nD3cold=no\n");
}

/* A card with a function that nobody drives, and one with an override of its owner's. */
static void build_bare(FakeTree *tree) {
        fake_gpu_add(tree, GPU_A, .functions = 1, .group = 12, .driver = "nvidia");
        fake_device_add(tree, "0000:01:00.1", .vendor = 0x10de, .device = 0x22eb, .class = 0x040300,
                        .group = 12, .driver = "snd_hda_intel", .override = "snd_hda_intel",
                        .power = "auto");
        fake_device_add(tree, "0000:01:00.3", .vendor = 0x10de, .device = 0x1ad9, .class = 0x118000,
                        .group = 12);
}

/* Two of the very same model. The second is asked for, the first is at work. */
static void build_identical(FakeTree *tree) {
        fake_gpu_add(tree, GPU_A, .group = 12, .driver = "nvidia");
        fake_gpu_add(tree, GPU_B, .group = 13, .driver = "nvidia");
        fake_cuda_add(tree, GPU_A);
        device_hold(machine_find_device(tree->machine, GPU_A));
}

/* Two cards that share a group with the bridge above them, and go together. */
static void build_shared(FakeTree *tree) {
        fake_device_add(tree, "0000:00:01.0", .vendor = 0x8086, .class = 0x060400, .group = 12,
                        .driver = "pcieport");
        fake_gpu_add(tree, GPU_A, .functions = 2, .group = 12, .driver = "nvidia");
        fake_gpu_add(tree, GPU_B, .functions = 2, .group = 12, .driver = "nvidia");
}

/*
 * A card that was on vfio-pci before anybody looked: nobody knows what it was like at home.
 * Whoever looked at boot has pinned it.
 */
static void pin_all(FakeTree *tree) {
        Address address = { .bus = 1 };
        Gpu gpu;

        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), 0);
        assert_int_equal(pins_set(tree->roots.run_fd, &gpu, NULL, false), 0);
        gpu_deinit(&gpu);
}

static void build_born(FakeTree *tree) {
        fake_gpu_add(tree, GPU_A, .group = 12, .driver = "vfio-pci");
        pin_all(tree);
}

/*
 * Likewise, but vfio-pci has it by its ids=, and a blacklist keeps udev from loading nvidia.
 * snd_hda_intel is loaded for the board's own sound.
 */
static void build_ids(FakeTree *tree) {
        static const char *const ids[] = { "2D04", "22EB", "1AD8", "1AD9" };
        MachineModule *vfio = machine_find_module(tree->machine, "vfio_pci");

        for (size_t i = 0; i < ARRAY_SIZE(ids); ++i)
                snprintf(vfio->driver.match[i], MACHINE_MATCH_MAX, "pci:v000010DEd0000%s*", ids[i]);
        machine_find_module(tree->machine, "nvidia")->is_blacklisted = true;
        fake_module_load(tree, "snd_hda_intel");
        build_born(tree);
}

/* nvidia is loaded for another card, and too new for this one. nouveau is not. */
static void build_old(FakeTree *tree) {
        fake_module_add(tree, .name = "nouveau", .aliases = { "pci:v000010DEd*bc03sc*" },
                        .driver = { .name = "nouveau", .match = { "pci:v000010DEd*bc03sc*" } });
        fake_gpu_add(tree, GPU_B, .functions = 2, .group = 13, .driver = "nvidia");
        fake_gpu_add(tree, GPU_A, .functions = 2, .device = 0x1b80, .group = 12,
                        .driver = "vfio-pci");
        strcpy(machine_find_driver(tree->machine, "nvidia")->refuses, GPU_A);
        pin_all(tree);
}

const Machinery machineries[] = {
        { "one", build_one, GPU_A, false },
        { "bare", build_bare, GPU_A, false },
        { "identical", build_identical, GPU_B, false },
        { "shared", build_shared, NULL, false },
        { "born", build_born, GPU_A, true },
        { "ids", build_ids, GPU_A, true },
        { "old", build_old, GPU_A, true },
};

const size_t n_machineries = ARRAY_SIZE(machineries);

FakeTree *scenario_machine(const Machinery *machinery, Mode to) {
        FakeTree *tree = fake_tree_new();
        Outcome outcome;

        fake_standard_drivers(tree);
        machinery->build(tree);
        if (to == MODE_HOST && !machinery->is_away) {
                outcome = scenario_switch(tree, MODE_PASSTHROUGH, machinery->gpu);
                assert_int_equal(outcome.r, 0);
                assert_int_equal(outcome.result, SWITCH_DONE);
        }
        writes_clear(tree->machine);
        return tree;
}
