"""A unit of the spiking half together with the multipliers that it uses, for a bench."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Flow

from hw.products import Multipliers


class Multiplied(wiring.Component):
    """`unit`, which has `config` and a member `products`, of at most L lanes, with multipliers.

    Members
    -------
    those of `unit` but `products`
    """

    def __init__(self, unit: Any):
        self.unit = unit
        members = dict(unit.signature.members.items())
        self.lanes = members.pop("products").signature.members["a"].shape.length
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.unit = unit = self.unit
        m.submodules.multipliers = multipliers = Multipliers(config=unit.config)
        for lane in range(unit.config.lanes):
            if lane < self.lanes:
                m.d.comb += [
                    multipliers.products.a[lane].eq(unit.products.a[lane]),
                    multipliers.products.b[lane].eq(unit.products.b[lane]),
                    unit.products.product[lane].eq(multipliers.products.product[lane]),
                ]
        for name, member in self.signature.members.items():
            outer, inner = getattr(self, name), getattr(unit, name)
            if member.is_signature:
                wiring.connect(m, wiring.flipped(outer), inner)
            elif member.flow == Flow.In:
                m.d.comb += inner.eq(outer)
            else:
                m.d.comb += outer.eq(inner)
        return m
