// SPDX-License-Identifier: GPL-2.0-only
/*
 * The nvidia-drm stand-in
 *
 * A driver without per-GPU removal makes its cards when it is loaded and takes
 * them away when it is unloaded; what happens to a GPU in between it does not
 * notice. From 580.94.06, 580.105.08 and 590.44.01 on the driver is told.
 */

#include <linux/init.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/pci.h>

#include "drm/card.h"

static DEFINE_MUTEX(cards_lock);
static LIST_HEAD(cards);

/* A bool that knows whether it was given, so that a default can depend on the version. */
struct bool_param {
	bool value;
	bool given;
};

static int bool_param_set(const char *text, const struct kernel_param *kp)
{
	struct bool_param *param = kp->arg;

	param->given = true;
	return text ? kstrtobool(text, &param->value) : (param->value = true, 0);
}

static int bool_param_get(char *text, const struct kernel_param *kp)
{
	const struct bool_param *param = kp->arg;

	return sprintf(text, "%c\n", param->value ? 'Y' : 'N');
}

static const struct kernel_param_ops bool_param_ops = {
	.flags = KERNEL_PARAM_OPS_FL_NOARG,
	.set = bool_param_set,
	.get = bool_param_get,
};

static struct bool_param modeset;
module_param_cb(modeset, &bool_param_ops, &modeset, 0400);
MODULE_PARM_DESC(modeset, "cards with a display, which hold their GPU (default: from 595 on)");

static struct bool_param pergpu;
module_param_cb(pergpu, &bool_param_ops, &pergpu, 0444);
MODULE_PARM_DESC(pergpu, "cards come and go with their GPU (default: by the version)");

static char connected_list[128], lit_list[128];
static struct kparam_string connected_string = { sizeof(connected_list), connected_list };
static struct kparam_string lit_string = { sizeof(lit_list), lit_list };

/* Writable at any time; what it says takes effect before the write returns. */
static int list_param_set(const char *text, const struct kernel_param *kp)
{
	struct card *card;
	int r;

	mutex_lock(&cards_lock);
	r = param_set_copystring(text, kp);
	if (r == 0)
		list_for_each_entry(card, &cards, link)
			if (card->modeset)
				display_update(card);
	mutex_unlock(&cards_lock);
	return r;
}

static const struct kernel_param_ops list_param_ops = {
	.set = list_param_set,
	.get = param_get_string,
};

module_param_cb(connected, &list_param_ops, &connected_string, 0644);
MODULE_PARM_DESC(connected, "GPUs with a monitor: all, or PCI addresses");
module_param_cb(lit, &list_param_ops, &lit_string, 0644);
MODULE_PARM_DESC(lit, "GPUs that show a picture: all, or PCI addresses; implies connected");

bool card_wants_lit(struct card *card)
{
	return standin_kms_list_names(lit_list, card->pdev);
}

bool card_wants_connected(struct card *card)
{
	return standin_kms_list_names(connected_list, card->pdev) || card_wants_lit(card);
}

static struct card *find_locked(u32 id)
{
	struct card *card;

	list_for_each_entry(card, &cards, link)
		if (card->id == id)
			return card;
	return NULL;
}

static void nv_drm_probe(const struct standin_gpu_info *info)
{
	struct card *card;

	mutex_lock(&cards_lock);
	if (!find_locked(info->id)) {
		card = card_new(info, modeset.value);
		if (card)
			list_add_tail(&card->link, &cards);
	}
	mutex_unlock(&cards_lock);
}

static void nv_drm_remove(u32 id)
{
	struct card *card;

	mutex_lock(&cards_lock);
	card = find_locked(id);
	if (card) {
		list_del(&card->link);
		card_remove(card, true);
	}
	mutex_unlock(&cards_lock);
}

static const struct standin_client nv_drm_callbacks = {
	.probe = nv_drm_probe,
	.remove = nv_drm_remove,
};

static void probe_all(void)
{
	struct standin_gpu_info infos[STANDIN_GPUS_MAX];
	const unsigned int n_infos = standin_kms_enumerate(infos);
	unsigned int i;

	for (i = 0; i < n_infos; i++) {
		nv_drm_probe(&infos[i]);
		pci_dev_put(infos[i].pdev);
	}
}

/* Not simply "from some version on": 580.95.05 is newer than 580.94.06 and lacks it. */
static bool version_has_pergpu(void)
{
	if (standin_kms_version_at_least(590, 44, 1))
		return true;
	if (standin_kms_version_at_least(590, 0, 0))
		return false;
	if (standin_kms_version_at_least(580, 105, 8))
		return true;
	return standin_kms_version_at_least(580, 94, 6) &&
	       !standin_kms_version_at_least(580, 95, 0);
}

static int __init nv_drm_init(void)
{
	standin_kms_version_apply(THIS_MODULE);

	if (!modeset.given)
		modeset.value = standin_kms_version_at_least(595, 0, 0);
	if (!pergpu.given)
		pergpu.value = version_has_pergpu();

	if (pergpu.value)
		standin_kms_set_client(&nv_drm_callbacks);
	probe_all();
	return 0;
}

static void __exit nv_drm_exit(void)
{
	struct card *card, *next;

	standin_kms_set_client(NULL);

	mutex_lock(&cards_lock);
	list_for_each_entry_safe(card, next, &cards, link) {
		list_del(&card->link);
		card_remove(card, false);
	}
	mutex_unlock(&cards_lock);
}

/*
 * The real one has the table too: udev loads nvidia-drm along with nvidia, by
 * the same alias.
 */
static const struct pci_device_id nv_drm_pci_table[] = {
	STANDIN_PCI_CLASS(PCI_CLASS_DISPLAY_VGA),
	STANDIN_PCI_CLASS(PCI_CLASS_DISPLAY_3D),
	{},
};
MODULE_DEVICE_TABLE(pci, nv_drm_pci_table);

module_init(nv_drm_init);
module_exit(nv_drm_exit);
MODULE_DESCRIPTION("Stand-in for nvidia-drm, for the vfiopt test machine");
MODULE_LICENSE("GPL");
MODULE_VERSION(STANDIN_VERSION);
