// The C interface of a Verilated device: its clock and its two byte streams, driven without Python.
//
//     data --> rx --> device --> tx --> room
//
// Verilator escapes a double underscore in a port name: rx__valid is rx___05Fvalid here.

#include <cstdint>
#include <memory>

#include "Vtop.h"
#include "Vtop___024root.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

// The steps of Vtop::eval(), which around them locks, looks for messages of threads, and takes them
// again until nothing moves any more.
bool Vtop___024root___eval_phase__act(Vtop___024root* root);
bool Vtop___024root___eval_phase__nba(Vtop___024root* root);

namespace {

// The module that sim/rtl/verilog.py writes moves with every change of a signal, so that a cycle is
// one evaluation. In others, such as a netlist, the registers move with the rising edge of a clock.
template <class Top>
concept MovesWithBothEdges = requires(Top& top) { top.edges; };

// From inputs just set to the outputs that answer them.
template <class Top>
void settle(Top& top) {
    if constexpr (MovesWithBothEdges<Top>) top.edges ^= 1;
    else top.clk = 0;
}

// To the end of the cycle. Whether there is anything to evaluate.
template <class Top>
bool finish(Top& top) {
    if constexpr (MovesWithBothEdges<Top>) return false;
    else top.clk = 1;
    return true;
}

template <class Top>
void evaluate(Top& top) {
#if !VM_TRACE  // eval() also notes that there is something to trace.
    if constexpr (MovesWithBothEdges<Top>) {
        // Once is enough: what moves changes no clock.
        Vtop___024root___eval_phase__act(top.rootp);
        Vtop___024root___eval_phase__nba(top.rootp);
        return;
    }
#endif
    top.eval();
}

// A device without a reset port starts as the FPGA does after configuration: no cycle passes.
template <class Top>
void reset(Top& top) {
    if constexpr (requires { top.rst; }) {
        top.rst = 1;
        for (int edge = 0; edge < 4; ++edge) {
            top.clk = edge & 1;
            top.eval();
        }
        top.rst = 0;
    }
}

// Xorshift64*: the pattern depends on the seed alone, on every machine.
struct Random {
    std::uint64_t state = 1;

    void seed(std::uint64_t value) { state = (value * 0x9e3779b97f4a7c15u) | 1; }

    bool happens(std::uint64_t chance_in_2_32) {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        return (state * 0x2545f4914f6cdd1du >> 32) < chance_in_2_32;
    }
};

struct Device {
    VerilatedContext context;
    Vtop top{&context, ""};
    Random random;
    std::uint64_t rx_stall = 0;
    std::uint64_t tx_stall = 0;
    bool offered = false;
#if VM_TRACE
    std::unique_ptr<VerilatedVcdC> trace;
#endif

    Device() {
        finish(top);
        top.rx___05Fvalid = 0;
        top.rx___05Fpayload = 0;
        top.tx___05Fready = 0;
        reset(top);
        top.eval();  // also initialises
    }

    void cycle_begins() {
        settle(top);
        evaluate(top);
        record();
    }

    void cycle_ends() {
        if (!finish(top)) return;
        evaluate(top);
        record();
    }

    void record() {
#if VM_TRACE
        context.timeInc(1);
        if (trace) trace->dump(context.time());
#endif
    }
};

}  // namespace

// All else is hidden, which lets the compiler call it directly.
#pragma GCC visibility push(default)
extern "C" {

// Mirrored by sim/rtl/simulation.py.
struct Exchange {
    const std::uint8_t* data;
    std::uint64_t data_size;
    std::uint8_t* room;
    std::uint64_t room_size;
    std::uint64_t want;
    std::uint64_t max_cycles;
    std::uint64_t max_quiet;
    std::uint64_t accepted;
    std::uint64_t collected;
    std::uint64_t cycles;
    std::uint64_t quiet;
};

Device* device_new() { return new Device; }

void device_free(Device* device) {
    device->top.final();
    delete device;
}

void device_stall(Device* device, std::uint64_t rx, std::uint64_t tx, std::uint64_t seed) {
    device->rx_stall = rx;
    device->tx_stall = tx;
    device->random.seed(seed);
}

// Clocks the device until all data is accepted and `want` bytes are collected, or `room` is full, or
// `max_cycles` have passed, or no byte has moved for `max_quiet` cycles (0: wait for ever).
void device_exchange(Device* device, Exchange* x) {
    Vtop& top = device->top;
    while ((x->accepted < x->data_size || x->collected < x->want) && x->collected < x->room_size &&
           x->cycles < x->max_cycles && (x->max_quiet == 0 || x->quiet < x->max_quiet)) {
        // A byte once offered stays offered until accepted: that is the rule of the stream.
        const bool left = x->accepted < x->data_size;
        if (!left) device->offered = false;
        else if (!device->offered)
            device->offered = !device->rx_stall || !device->random.happens(device->rx_stall);
        top.rx___05Fvalid = device->offered;
        if (device->offered) top.rx___05Fpayload = x->data[x->accepted];
        top.tx___05Fready = !device->tx_stall || !device->random.happens(device->tx_stall);
        device->cycle_begins();

        ++x->quiet;
        if (top.rx___05Fvalid && top.rx___05Fready) {
            ++x->accepted;
            device->offered = false;
            x->quiet = 0;
        }
        if (top.tx___05Fvalid && top.tx___05Fready) {
            x->room[x->collected++] = top.tx___05Fpayload;
            x->quiet = 0;
        }
        device->cycle_ends();
        ++x->cycles;
    }
}

int device_trace(Device* device, const char* path) {
#if VM_TRACE
    device->context.traceEverOn(true);
    device->trace = std::make_unique<VerilatedVcdC>();
    device->top.trace(device->trace.get(), 99);
    device->trace->open(path);
    return device->trace->isOpen();
#else
    (void)device, (void)path;
    return -1;
#endif
}

}  // extern "C"
#pragma GCC visibility pop
