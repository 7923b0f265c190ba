"""A multiplier for every lane, which the units of the spiking half use one after the other."""

from amaranth.hdl import Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.config import DeviceConfig
from hw.multiplier import Multiplier
from hw.numbers import WORD_BITS
from hw.tile_memory import words

PRODUCT_LATENCY = Multiplier.LATENCY
"""Cycles from factors to their product."""


class Products(wiring.Signature):
    """Multiplies words lane by lane, as its user sees it: `product` is a b, exact, PRODUCT_LATENCY
    cycles later."""

    def __init__(self, lanes: int):
        super().__init__(
            {
                "a": Out(words(lanes)),
                "b": Out(words(lanes)),
                "product": In(data.ArrayLayout(signed(2 * WORD_BITS), lanes)),
            }
        )


class Multipliers(wiring.Component):
    """L multipliers of words.

    Parameters
    ----------
    config: the device's configuration

    Members
    -------
    products: In(Products), of L lanes
    """

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        super().__init__({"products": In(Products(config.lanes))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for lane in range(self.config.lanes):
            block = Multiplier(a_width=WORD_BITS, b_width=WORD_BITS, family=self.config.family)
            m.submodules[f"multiplier_{lane}"] = block
            m.d.comb += [
                block.a.eq(self.products.a[lane]),
                block.b.eq(self.products.b[lane]),
                self.products.product[lane].eq(block.product),
            ]
        return m
