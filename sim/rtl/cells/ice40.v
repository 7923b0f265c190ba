// iCE40 cells, leaner than Yosys's models and equal to them: tests/sim/test_cells.py.
//
// Yosys's lookup table is four multiplexers in a row and its memory writes bit by bit. Of a whole
// device Verilator then makes so much code that a compiler takes more than ten minutes.

module SB_LUT4 (output O, input I0, input I1, input I2, input I3);
  parameter [15:0] LUT_INIT = 0;
  wire [15:0] rest = LUT_INIT >> {I3, I2, I1, I0};
  assign O = rest[0];
endmodule

// Lattice FPGA-TN-02002 (memory usage guide for iCE40): 256 words of 16 bits, or in mode k 2**k
// times as many of 2**k times fewer. Word 256 s + n of these is bit s of every 2**k bits of word n
// of the former, and has the pin in the middle of them, or below it.
module SB_RAM40_4K (
  output [15:0] RDATA, input RCLK, input RCLKE, input RE, input [10:0] RADDR,
  input WCLK, input WCLKE, input WE, input [10:0] WADDR, input [15:0] MASK, input [15:0] WDATA
);
  parameter WRITE_MODE = 0;
  parameter READ_MODE = 0;
  parameter [255:0] INIT_0 = 0, INIT_1 = 0, INIT_2 = 0, INIT_3 = 0, INIT_4 = 0, INIT_5 = 0,
    INIT_6 = 0, INIT_7 = 0, INIT_8 = 0, INIT_9 = 0, INIT_A = 0, INIT_B = 0, INIT_C = 0,
    INIT_D = 0, INIT_E = 0, INIT_F = 0;
  localparam [4095:0] INIT = {INIT_F, INIT_E, INIT_D, INIT_C, INIT_B, INIT_A, INIT_9, INIT_8,
    INIT_7, INIT_6, INIT_5, INIT_4, INIT_3, INIT_2, INIT_1, INIT_0};
  // The first of every 2**k bits.
  localparam [63:0] FIRSTS = 64'h0101_1111_5555_ffff;
  localparam [15:0] WRITTEN = FIRSTS >> 16 * WRITE_MODE, SEEN = FIRSTS >> 16 * READ_MODE;
  localparam WRITE_PIN = ((1 << WRITE_MODE) - 1) / 2, READ_PIN = ((1 << READ_MODE) - 1) / 2;

  generate
    if (WRITE_MODE > 3 || READ_MODE > 3)
      SB_RAM40_4K_must_be_in_mode_0_to_3 unknown();
  endgenerate

  reg [15:0] memory [0:255];
  reg [15:0] word = 0;
  integer i;
  initial for (i = 0; i < 256; i = i + 1) memory[i] = INIT[16 * i +: 16];

  wire [2:0] written = WADDR[10:8] & (1 << WRITE_MODE) - 1;
  wire [2:0] seen = RADDR[10:8] & (1 << READ_MODE) - 1;
  wire [15:0] data = (WDATA >> WRITE_PIN & WRITTEN) * ((1 << (1 << WRITE_MODE)) - 1);
  wire [15:0] kept = WRITE_MODE == 0 ? MASK : ~(WRITTEN << written);
  wire [15:0] shown = SEEN << seen;
  // The others are 0.
  wire [15:0] pairs = READ_MODE > 0 ? word | word >> 1 : word;
  wire [15:0] fours = READ_MODE > 1 ? pairs | pairs >> 2 : pairs;
  wire [15:0] eights = READ_MODE > 2 ? fours | fours >> 4 : fours;
  assign RDATA = (eights & SEEN) << READ_PIN;

  always @(posedge WCLK)
    if (WE && WCLKE) memory[WADDR[7:0]] <= memory[WADDR[7:0]] & kept | data & ~kept;
  always @(posedge RCLK) if (RE && RCLKE) word <= memory[RADDR[7:0]] & shown;
endmodule
