// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults in binding and unbinding, on demand
 *
 * Makes any driver of any PCI function refuse, be slow, or stand still, without
 * that driver knowing: the kernel's own vfio-pci, snd_hda_intel and xhci_hcd,
 * and NVIDIA's modules as well. A rule is added by writing one line to
 *
 *     /sys/module/pcifault/parameters/rules
 *
 *     refuse-bind  BDF DRIVER ERRNO [TIMES]  the driver's probe fails
 *     delay-bind   BDF DRIVER MSEC [TIMES]   it takes that much longer
 *     delay-unbind BDF DRIVER MSEC [TIMES]   so does its remove
 *     hold-bind    BDF DRIVER                it stands still until `release`
 *     hold-unbind  BDF DRIVER                so does its remove
 *     release      BDF                       goes on; the function's rules end
 *     clear                                  as release, for all
 *
 * DRIVER may be `*`. Reading gives the rules with the number of times that each
 * one has struck. A rule that strikes says so in the kernel log, which is what
 * a test waits for before it does what must happen at just that moment.
 *
 * Where a rule strikes is exact: binding, when the function has its driver but
 * probe() has not been called; unbinding, when the `driver` link has gone but
 * remove() has not been called, so nothing of the driver is undone yet.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/device.h>
#include <linux/kprobes.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/wait.h>

enum fault_verb {
	FAULT_REFUSE_BIND,
	FAULT_DELAY_BIND,
	FAULT_DELAY_UNBIND,
	FAULT_HOLD_BIND,
	FAULT_HOLD_UNBIND,
};

static const char *const verbs[] = {
	[FAULT_REFUSE_BIND] = "refuse-bind",   [FAULT_DELAY_BIND] = "delay-bind",
	[FAULT_DELAY_UNBIND] = "delay-unbind", [FAULT_HOLD_BIND] = "hold-bind",
	[FAULT_HOLD_UNBIND] = "hold-unbind",
};

struct fault_rule {
	struct list_head link;
	enum fault_verb verb;
	char bdf[16];
	char driver[32];
	unsigned int value; /* errno, or milliseconds */
	unsigned int times; /* how often it may strike, 0: always */
	unsigned int struck;
};

/* A spinlock, because refusing happens in a kprobe's handler. */
static DEFINE_SPINLOCK(rules_lock);
static LIST_HEAD(rules);
static DECLARE_WAIT_QUEUE_HEAD(released);

static struct fault_rule *find_locked(enum fault_verb verb, struct device *dev)
{
	const char *driver = dev->driver ? dev->driver->name : "";
	struct fault_rule *rule;

	list_for_each_entry(rule, &rules, link) {
		if (rule->verb != verb || strcmp(rule->bdf, dev_name(dev)))
			continue;
		if (strcmp(rule->driver, "*") && strcmp(rule->driver, driver))
			continue;
		if (rule->times && rule->struck == rule->times)
			continue;
		return rule;
	}
	return NULL;
}

/* Whether a rule strikes now, with its value. */
static bool strike(enum fault_verb verb, struct device *dev, unsigned int *ret_value)
{
	struct fault_rule *rule;
	unsigned long flags;

	spin_lock_irqsave(&rules_lock, flags);
	rule = find_locked(verb, dev);
	if (rule) {
		rule->struck++;
		*ret_value = rule->value;
	}
	spin_unlock_irqrestore(&rules_lock, flags);

	if (rule)
		pr_info("%s %s %s\n", verbs[verb], dev_name(dev), dev->driver->name);
	return rule;
}

static bool applies(enum fault_verb verb, struct device *dev)
{
	unsigned long flags;
	bool found;

	spin_lock_irqsave(&rules_lock, flags);
	found = find_locked(verb, dev);
	spin_unlock_irqrestore(&rules_lock, flags);
	return found;
}

/* Uninterruptible, as a driver is that waits for its users in remove(). */
static void delay_or_hold(struct device *dev, enum fault_verb delay, enum fault_verb hold)
{
	unsigned int value;

	if (strike(delay, dev, &value))
		msleep(value);
	if (strike(hold, dev, &value))
		wait_event(released, !applies(hold, dev));
}

static int on_pci_event(struct notifier_block *nb, unsigned long event, void *data)
{
	struct device *dev = data;

	if (event == BUS_NOTIFY_BIND_DRIVER)
		delay_or_hold(dev, FAULT_DELAY_BIND, FAULT_HOLD_BIND);
	else if (event == BUS_NOTIFY_UNBIND_DRIVER)
		delay_or_hold(dev, FAULT_DELAY_UNBIND, FAULT_HOLD_UNBIND);
	return NOTIFY_DONE;
}

static struct notifier_block pci_events = { .notifier_call = on_pci_event };

/* Called in place of pci_device_probe(), if a rule strikes. */
static noinline int refused_probe(struct device *dev)
{
	unsigned int error;

	return strike(FAULT_REFUSE_BIND, dev, &error) ? -(int)error : -ENODEV;
}

/*
 * Sends the call on instead of returning from it: on a kernel that places
 * kprobes through ftrace only the instruction pointer can be changed, not the
 * stack pointer.
 */
static int before_probe(struct kprobe *probe, struct pt_regs *regs)
{
	struct device *dev = (struct device *)regs_get_kernel_argument(regs, 0);

	if (!applies(FAULT_REFUSE_BIND, dev))
		return 0;

	instruction_pointer_set(regs, (unsigned long)refused_probe);
	return 1;
}

/* There only to be there: without it the instruction pointer must not be changed. */
static void after_probe(struct kprobe *probe, struct pt_regs *regs, unsigned long flags)
{
}

static struct kprobe pci_probe = {
	.symbol_name = "pci_device_probe",
	.pre_handler = before_probe,
	.post_handler = after_probe,
};

static int rule_parse(const char *text, struct fault_rule *rule)
{
	char verb[16];
	int n, i;

	n = sscanf(text, "%15s %15s %31s %u %u", verb, rule->bdf, rule->driver, &rule->value,
		   &rule->times);
	i = match_string(verbs, ARRAY_SIZE(verbs), verb);
	if (n < 1 || i < 0)
		return -EINVAL;

	rule->verb = i;
	return n >= (i == FAULT_HOLD_BIND || i == FAULT_HOLD_UNBIND ? 3 : 4) ? 0 : -EINVAL;
}

static int rule_add(const char *text)
{
	struct fault_rule *rule = kzalloc(sizeof(*rule), GFP_KERNEL);
	unsigned long flags;
	int r;

	if (!rule)
		return -ENOMEM;

	r = rule_parse(text, rule);
	if (r < 0) {
		kfree(rule);
		return r;
	}

	spin_lock_irqsave(&rules_lock, flags);
	list_add_tail(&rule->link, &rules);
	spin_unlock_irqrestore(&rules_lock, flags);
	return 0;
}

/* The rules of one function, or with NULL all of them. */
static void rules_end(const char *bdf)
{
	struct fault_rule *rule, *next;
	unsigned long flags;
	LIST_HEAD(ended);

	spin_lock_irqsave(&rules_lock, flags);
	list_for_each_entry_safe(rule, next, &rules, link)
		if (!bdf || sysfs_streq(bdf, rule->bdf))
			list_move(&rule->link, &ended);
	spin_unlock_irqrestore(&rules_lock, flags);

	list_for_each_entry_safe(rule, next, &ended, link)
		kfree(rule);
	wake_up_all(&released);
}

static int rules_set(const char *text, const struct kernel_param *kp)
{
	if (sysfs_streq(text, "clear")) {
		rules_end(NULL);
		return 0;
	}
	if (!strncmp(text, "release ", 8)) {
		rules_end(text + 8);
		return 0;
	}
	return rule_add(text);
}

static int rules_get(char *text, const struct kernel_param *kp)
{
	struct fault_rule *rule;
	unsigned long flags;
	int n = 0;

	spin_lock_irqsave(&rules_lock, flags);
	list_for_each_entry(rule, &rules, link)
		n += scnprintf(text + n, PAGE_SIZE - n, "%s %s %s %u %u struck=%u\n",
			       verbs[rule->verb], rule->bdf, rule->driver, rule->value, rule->times,
			       rule->struck);
	spin_unlock_irqrestore(&rules_lock, flags);
	return n;
}

static const struct kernel_param_ops rules_ops = {
	.set = rules_set,
	.get = rules_get,
};
module_param_cb(rules, &rules_ops, NULL, 0644);
MODULE_PARM_DESC(rules, "write VERB BDF DRIVER [VALUE [TIMES]], release BDF, or clear");

static int __init pcifault_init(void)
{
	int r;

	r = register_kprobe(&pci_probe);
	if (r < 0)
		return r;

	r = bus_register_notifier(&pci_bus_type, &pci_events);
	if (r < 0)
		unregister_kprobe(&pci_probe);
	return r;
}

static void __exit pcifault_exit(void)
{
	rules_end(NULL);
	bus_unregister_notifier(&pci_bus_type, &pci_events);
	unregister_kprobe(&pci_probe);
}

module_init(pcifault_init);
module_exit(pcifault_exit);
MODULE_DESCRIPTION("Faults in binding and unbinding, for the vfiopt test machine");
MODULE_LICENSE("GPL");
