# SPDX-License-Identifier: LGPL-2.1-or-later
"""The machine itself: what every other scenario takes for granted."""

from testvm import Device, Gpu, Shape, scenario

GPU = Gpu("rp1")


@scenario(gpus=[GPU], driver=None, product=False)
def card_of_four_functions(vm):
    """A card shows four functions of NVIDIA in one IOMMU group, with their host drivers."""
    ids = [vm.read(f"/sys/bus/pci/devices/{a}/{f}") for a in GPU.addresses for f in ("vendor", "device")]
    vm.equal(
        ids,
        ["0x10de", "0x2204", "0x10de", "0x1aef", "0x10de", "0x1ad8", "0x10de", "0x1ad9"],
        "ids of the functions",
    )
    vm.equal(vm.group(GPU.address), GPU.addresses, "IOMMU group")
    vm.equal(vm.drivers(GPU), [None, "snd_hda_intel", "xhci_hcd", None], "drivers")
