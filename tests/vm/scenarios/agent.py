# SPDX-License-Identifier: LGPL-2.1-or-later
"""The agent: the wish holds, whatever is plugged in, loaded, bound or killed."""

from testvm import Gpu, scenario
from testvm.agent import DRIVERS, jobs, on, remember, rest, until
from testvm.product import STUCK, VFIO, clean, intruder, on_vfio, records, results, state

GPU = Gpu("rp1")
OTHER = Gpu("rp1", id="10de:1e04")
AUTO = f"vfiopt@auto:{GPU.address}.service"


@scenario(gpus=[GPU])
def agent_may_inhibit_sleep_and_start_nothing(vm):
    """The manager refuses the user vfiopt everything, whatever the method, the unit and the mode; logind inhibits sleep for it."""
    absent = "vfiopt@auto:0000:09:00.0.service"
    units = vm.sh("systemctl list-units --all --plain --no-legend | cut -d' ' -f1").out
    # Nor is there any other way that leads to a process of root's.
    run = "1 ExecStart 'a(sasb)' 1 /bin/touch 2 /bin/touch /run/owned false"
    calls = [
        *(f"StartUnit ss {AUTO} {mode}" for mode in ("fail", "replace", "flush", "isolate", "replace-irreversibly",
                                                     "ignore-dependencies", "ignore-requirements")),
        *(f"StartUnit ss {unit} fail" for unit in (
            "vfiopt@auto.service", "vfiopt@host.service", "vfiopt@passthrough.service", "vfiopt@toggle.service", absent,
            f"vfiopt@auto_allow-display:{GPU.address}.service", "vfiopt-boot.service", "vfiopt-ask.service",
            "vfiopt-ask.socket", "dbus.service", "reboot.target")),
        *(f"{method} ss {unit} fail" for method in ("StopUnit", "RestartUnit", "ReloadUnit", "TryRestartUnit", "ReloadOrRestartUnit")
          for unit in (AUTO, "vfioptd.service", "vfiopt-ask.socket")),
        *(f"StartTransientUnit 'ssa(sv)a(sa(sv))' {unit} fail {run} 0" for unit in (absent, AUTO, "run-x.service")),
        f"SetUnitProperties 'sba(sv)' {AUTO} true {run}", "EnqueueUnitJob sss vfiopt-ask.socket stop flush",
        "KillUnit ssi vfioptd.service all 9", "KillUnit ssi vfiopt-ask.socket all 9", "ClearJobs",
        "ResetFailedUnit s vfioptd.service", f"EnableUnitFiles asbb 1 {AUTO} true false", f"CleanUnit sas {AUTO} 1 runtime",
        f"LinkUnitFiles asbb 1 /tmp/{AUTO} true false", "SetEnvironment as 1 LD_PRELOAD=/tmp/x", "Reload",
    ]
    manager = "org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager"
    out = vm.sh("\n".join(f"out=$(busctl call {manager} {call} 2>&1); echo $? $out" for call in calls), user="vfiopt", timeout=110).out
    for call, answer in zip(calls, out.splitlines(), strict=True):
        vm.match("^1 .*([Dd]enied|authentication|Interactive|not permitted|not allowed|already loaded or has a fragment file)",
                 answer, call)
    vm.check(not vm.exists("/run/owned"), "it has run something as root")
    vm.equal(vm.sh("systemctl list-jobs --no-legend").out.split(), [], "jobs")
    added = set(vm.sh("systemctl list-units --all --plain --no-legend | cut -d' ' -f1").out.split()) - set(units.split())
    vm.equal({unit for unit in added if unit.startswith(("vfiopt", "run-x"))}, set(), "units")
    for what, code in (("sleep:handle-lid-switch", 0), ("sleep", 0), ("handle-lid-switch", 0),
                       ("shutdown", 1), ("handle-power-key", 1)):
        r = vm.sh("busctl call org.freedesktop.login1 /org/freedesktop/login1 "
                  f"org.freedesktop.login1.Manager Inhibit ssss {what} t t block", user="vfiopt", ok=code)
        vm.match("denied|authentication|Interactive|not permitted" if code else "", r.err, f"inhibiting {what}")
    vm.equal(vm.sh("systemctl show -P User vfioptd").out.strip(), "vfiopt", "user of the agent")
    status = vm.sh("cat /proc/$(systemctl show -P MainPID vfioptd)/status").out
    for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb"):
        vm.match(rf"Cap{kind}:\s*0{{16}}", status, "capabilities of the agent")


@scenario(gpus=[])
def agent_comes_and_goes_with_the_gpu(vm):
    """Without a GPU there is no agent; it comes with the first and ends with the last."""
    vm.sh("udevadm verify $(find /usr/lib/udev /lib/udev /etc/udev -name 70-vfiopt.rules | head -n 1)")
    vm.sh("systemctl is-active vfioptd", ok=3)
    vm.plug(GPU)
    until(vm, "systemctl -q is-active vfioptd", "the agent runs")
    # A tag is that of the last event. The agent hears of all of them, and is wanted after all.
    device = vm.sh(f"readlink -f /sys/bus/pci/devices/{GPU.address}").out.strip()
    for action in ("add", "change", "unbind", "bind"):
        if action in ("add", "change"):
            vm.write(f"{device}/uevent", action)
        else:
            vm.write(f"{DRIVERS}/nvidia/{action}", GPU.address)
        tags = vm.sh(f"udevadm settle; udevadm info -q property --property=CURRENT_TAGS --value {device}").out
        vm.equal(sorted(tags.strip().strip(":").split(":")), ["systemd", "vfiopt"], f"tags after {action}")
        vm.sh(f'systemctl is-active "$(systemd-escape --path --suffix=device {device})"')
    vm.unplug(GPU)
    until(vm, "! systemctl -q is-active vfioptd", "the agent has ended")
    vm.equal(vm.sh("systemctl show -P Result vfioptd").out.strip(), "success", "how it has ended")
    vm.plug(GPU)
    until(vm, "systemctl -q is-active vfioptd", "the agent runs again")


@scenario(gpus=[GPU], files={"/etc/systemd/system/vfioptd.service.d/watch.conf": "[Service]\nWatchdogSec=4s\n"},
          alone="one that is well must get its turn every two seconds")
def agent_that_hangs_starts_again(vm):
    """An agent that does not move any more is ended by the manager, and the next one does its work."""
    # No other hand than the manager's: no event of a device tells it to be there.
    vm.sh("systemctl restart vfioptd")
    agent = vm.sh("systemctl show -P MainPID vfioptd").out.strip()
    vm.sh(f"kill -STOP {agent}")
    remember(vm, GPU)
    on(vm, GPU, VFIO)
    on_vfio(vm, GPU)
    vm.match("watchdog", vm.sh("journalctl -q -u vfioptd -o cat", quiet=True).out.lower(), "the journal")
    # One that is well is left alone.
    agent = vm.sh("systemctl show -P MainPID vfioptd").out.strip()
    restarts = vm.sh("systemctl show -P NRestarts vfioptd").out
    ping = "$(systemctl show -P WatchdogTimestampMonotonic vfioptd)"
    for _ in range(3):
        before = vm.sh(f'echo "{ping}"').out.strip()
        until(vm, f'[ "{ping}" != {before} ]', "it says that it is well")
    vm.equal(vm.sh("systemctl show -P MainPID vfioptd").out.strip(), agent, "the agent")
    vm.equal(vm.sh("systemctl show -P NRestarts vfioptd").out, restarts, "restarts")


@scenario(gpus=[GPU])
def agent_follows_the_state_file(vm):
    """A state file that is edited by hand moves the GPU, there and back."""
    until(vm, "systemctl -q is-active vfioptd", "the agent runs")
    remember(vm, GPU)
    on(vm, GPU, VFIO)
    remember(vm, GPU, mode="host")
    until(vm, f"[ -e {DRIVERS}/nvidia/{GPU.address} ]", "the GPU is on nvidia again")


@scenario(gpus=[GPU])
def agent_undoes_what_others_do(vm):
    """An admin unbinds and binds by hand, and loads nvidia: the wish is restored, and told."""
    vm.sh("systemctl start vfiopt@passthrough")
    cursor = vm.journal_cursor()
    vm.write(f"{DRIVERS}/vfio-pci/unbind", GPU.addresses[1])
    on(vm, GPU, VFIO)
    asked = [r for r in records(vm, cursor) if r["VFIOPT_RESULT"] == "asked"]
    vm.check(asked, "the agent has said nothing")
    vm.equal({r["VFIOPT_TRIGGER"] for r in asked}, {"agent"}, "trigger")
    vm.equal(asked[0]["VFIOPT_GPU"], GPU.address, "which GPU")
    vm.match(f"is in mixed, should be in passthrough.*{AUTO}", asked[0]["MESSAGE"], "the message")
    done = [r for r in records(vm, cursor, unit=AUTO) if r["VFIOPT_RESULT"] == "done"]
    vm.equal({r["VFIOPT_TRIGGER"] for r in done}, {"agent"}, "trigger of the job")

    vm.sh(f"for a in {' '.join(GPU.addresses)}; do echo $a >{DRIVERS}/vfio-pci/unbind; done; "
          f"for a in {' '.join(GPU.addresses)}; do echo >/sys/bus/pci/devices/$a/driver_override; done; "
          f"modprobe nvidia; echo {GPU.address} >/sys/bus/pci/drivers_probe")
    on(vm, GPU, VFIO)
    on_vfio(vm, GPU)

    # Loaded when there is no GPU for it, it looks at none and goes again.
    vm.sh("modprobe -r nvidia_drm nvidia_uvm nvidia_modeset nvidia; ! test -e /sys/module/nvidia && dmesg -C")
    vm.match("No such device", vm.sh("modprobe nvidia", ok=1).err, "why nvidia is not loaded")
    rest(vm)
    on_vfio(vm, GPU)
    log = vm.sh("dmesg", quiet=True).out
    vm.match("probe routine was not called for 1 device", log, "the kernel's log")
    vm.check(f"nvidia {GPU.address}" not in log, "nvidia has probed the GPU")


@scenario(gpus=[Gpu("sp1"), Gpu("sp2")], timeout=240)
def agent_restores_two_gpus_in_one_group(vm):
    """Both have left passthrough, and neither gets back there alone: one job takes the other along."""
    one, two = Gpu("sp1"), Gpu("sp2")
    vm.sh("systemctl start vfiopt@passthrough")
    vm.sh("systemctl stop vfioptd")
    for address in (one.addresses[1], two.addresses[1]):
        device = f"/sys/bus/pci/devices/{address}"
        vm.sh(f"echo {address} >{DRIVERS}/vfio-pci/unbind; echo >{device}/driver_override; "
              f"echo {address} >{DRIVERS}/snd_hda_intel/bind")
        vm.equal(vm.driver(address), "snd_hda_intel", "whom somebody has bound it to")
    cursor = vm.journal_cursor()
    vm.sh("systemctl start vfioptd")
    for card in (one, two):
        on(vm, card, VFIO)
        on_vfio(vm, card)
    vm.check(jobs(vm, cursor) <= 2, "more than a job for each")

    vm.unplug(one)
    vm.unplug(two)
    until(vm, "! systemctl -q is-active vfioptd", "the agent has ended")
    # The kernel has a driver for each function, and is faster than a pin.
    vm.sh("modprobe -a nvidia snd_hda_intel || true")
    vm.plug(one, wait=False)
    vm.plug(two)
    for card in (one, two):
        on(vm, card, VFIO)
        on_vfio(vm, card)
    vm.equal([r for r in records(vm, cursor) if r["VFIOPT_RESULT"] == "gave-up"], [], "gave up")


@scenario(gpus=[GPU], timeout=300, alone="five jobs have to be over within the minute that the agent counts them in")
def agent_gives_up_a_fight(vm):
    """Somebody undoes each job, at once and for ever: told, and left alone until a person acts."""
    vm.sh("systemctl start vfiopt@passthrough")
    until(vm, "systemctl -q is-active vfioptd", "the agent runs")
    rest(vm)
    cursor = vm.journal_cursor()
    usb = GPU.addresses[2]
    device = f"/sys/bus/pci/devices/{usb}"
    # Another program that binds drivers. It lets a job end, for in the middle of one it would
    # be refused, and only now and then would there be a fight.
    fight = vm.spawn(
        f"while :; do [ {device}/driver -ef {DRIVERS}/vfio-pci ] || continue; "
        "[ -z \"$(systemctl list-jobs --no-legend 'vfiopt@*')\" ] || continue; "
        f"echo {usb} >{DRIVERS}/vfio-pci/unbind; echo >{device}/driver_override; "
        f"echo {usb} >{DRIVERS}/xhci_hcd/bind; done")
    gave_up = "journalctl -q _COMM=vfioptd VFIOPT_RESULT=gave-up"
    until(vm, f"{gave_up} | grep -q .", "the agent gives up", 60)
    vm.equal(jobs(vm, cursor), 5, "jobs of the agent")
    said = [r for r in records(vm, cursor) if r["VFIOPT_RESULT"] == "gave-up"]
    vm.equal([(r["VFIOPT_GPU"], r["VFIOPT_TO"], r["PRIORITY"]) for r in said],
             [(GPU.address, "passthrough", "3")], "records")
    vm.match("moved 5 times within 60 s.*stop that program.*systemctl reload vfioptd", said[0]["MESSAGE"], "the message")

    # Whatever else happens to the card is no reason to begin again.
    vm.sh(f"udevadm trigger --settle -s pci; echo {usb} >{DRIVERS}/xhci_hcd/unbind; udevadm settle; "
          f"echo {usb} >/sys/bus/pci/drivers_probe")
    rest(vm)
    vm.equal(jobs(vm, cursor), 5, "jobs of the agent")
    vm.equal(vm.driver(usb), "xhci_hcd", "who has won")
    vm.equal(vm.sh(f"{gave_up} -o cat").out.count("\n"), 1, "records")

    fight.kill()
    vm.sh("systemctl reload vfioptd")
    on(vm, GPU, VFIO)
    on_vfio(vm, GPU)
    vm.equal(jobs(vm, cursor), 6, "jobs of the agent")


@scenario(gpus=[], files={"/etc/vfiopt/vfiopt.conf.d/a.conf": "[vfiopt]\nDefaultMode=passthrough\n"})
def agent_gives_unknown_cards_the_default(vm):
    """A card that nobody knows gets DefaultMode=; another one at a known address is left alone."""
    vm.plug(GPU)
    on(vm, GPU, VFIO)
    vm.unplug(GPU)
    cursor = vm.journal_cursor()
    vm.plug(OTHER)
    until(vm, "systemctl -q is-active vfioptd", "the agent runs")
    until(vm, "journalctl -q _COMM=vfioptd VFIOPT_RESULT=warning | grep -q .",
          "the agent tells of another card")
    rest(vm)
    vm.equal(vm.driver(OTHER.address), "nvidia", "driver of the other card")
    vm.sh("udevadm trigger --settle -s pci; udevadm trigger --settle -s pci")
    rest(vm)
    told = [r for r in records(vm, cursor)
            if r["VFIOPT_RESULT"] == "warning" and r["_COMM"] == "vfioptd"]
    vm.equal(len(told), 1, "records of the other card")


@scenario(gpus=[GPU], timeout=300)
def agent_sees_a_stuck_gpu_through(vm):
    """While a write is stuck the machine does not sleep; when it comes back, all is cleared."""
    before = state(vm, GPU)
    until(vm, "systemctl -q is-active vfioptd", "the agent runs")
    # A lid that is closed heeds only what inhibits itself.
    listed = ("systemd-inhibit --list --no-legend --no-pager | "
              "grep -q '^vfiopt .*sleep:handle-lid-switch.*block'")
    vm.sh(listed, ok=1)
    cursor = vm.journal_cursor()
    holder, switch = intruder(vm, GPU)
    switch.wait(60, ok=STUCK)
    until(vm, listed, "sleep is inhibited")
    rest(vm)
    vm.equal(jobs(vm, cursor), 0, "jobs while it is stuck")

    holder.stop()
    until(vm, "! grep -l late /run/vfiopt/gpu/* 2>/dev/null", "the record of it is cleared")
    until(vm, f"! {listed}", "sleep is not inhibited any more")
    rest(vm)
    # Nobody has a wish: the switch is undone.
    clean(vm, GPU, before=before)
    vm.match(r"unstuck|recover", str(results(vm, cursor)), "records")
    vm.equal(jobs(vm, cursor), 1, "jobs of the agent")


@scenario(gpus=[GPU])
def agent_rests(vm):
    """At rest it is not woken."""
    vm.sh("systemctl start vfiopt@passthrough")
    # The end of any job of the manager's wakes it, and the snapshot's timers are overdue.
    vm.sh("systemctl stop '*.timer'")
    count = ("grep -h ctxt_switches /proc/$(systemctl show -P MainPID vfioptd)/status; "
             "systemctl show -P NInstalledJobs")
    for attempt in range(1, 4):
        rest(vm)
        lines = vm.sh(f"{count}; sleep 20; {count}", timeout=120).out.splitlines()
        if lines[2] == lines[5]:
            break
        vm.report(f"attempt {attempt}: the manager has run {int(lines[5]) - int(lines[2])} jobs")
    vm.equal(lines[5], lines[2], "jobs of the manager's, before and after 20 s")
    vm.equal(lines[3:5], lines[0:2], "switches before and after 20 s")
    vm.log(vm.sh("grep Pss /proc/$(systemctl show -P MainPID vfioptd)/smaps_rollup").out)
