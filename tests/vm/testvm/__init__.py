# SPDX-License-Identifier: LGPL-2.1-or-later
"""The test machine. A scenario needs nothing but what is named here."""

from .channel import MachineGone
from .gpu import Device, Gpu
from .machine import Shape
from .cases import Skip, scenario
from .vm import Failure

__all__ = ["Device", "Failure", "Gpu", "MachineGone", "Shape", "Skip", "scenario"]
