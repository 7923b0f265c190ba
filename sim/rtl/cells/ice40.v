// iCE40 cells, leaner than Yosys's models and equal to them: tests/sim/test_cells.py.
//
// Yosys's lookup table is four multiplexers in a row and its memory writes bit by bit. Of a whole
// device Verilator then makes so much code that a compiler takes more than ten minutes.

module SB_LUT4 (output O, input I0, input I1, input I2, input I3);
  parameter [15:0] LUT_INIT = 0;
  wire [15:0] rest = LUT_INIT >> {I3, I2, I1, I0};
  assign O = rest[0];
endmodule

// Lattice FPGA-TN-02002 (memory usage guide for iCE40): 256 words of 16 bits, or 512 of 8, whose
// word n is in the even bits of word n of the former and whose word 256 + n is in its odd bits.
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
  localparam [15:0] EVEN = 16'h5555;

  generate
    if (WRITE_MODE > 1 || READ_MODE > 1)
      SB_RAM40_4K_must_be_in_mode_0_or_1 unknown();
  endgenerate

  reg [15:0] memory [0:255];
  reg [15:0] word = 0;
  integer i;
  initial for (i = 0; i < 256; i = i + 1) memory[i] = INIT[16 * i +: 16];

  wire [15:0] twice = (WDATA & EVEN) | (WDATA & EVEN) << 1;
  wire [15:0] data = WRITE_MODE == 0 ? WDATA : twice;
  wire [15:0] kept = WRITE_MODE == 0 ? MASK : WADDR[8] ? EVEN : ~EVEN;
  wire [15:0] shown = READ_MODE == 0 ? 16'hffff : RADDR[8] ? ~EVEN : EVEN;
  assign RDATA = READ_MODE == 0 ? word : (word | word >> 1) & EVEN;

  always @(posedge WCLK)
    if (WE && WCLKE) memory[WADDR[7:0]] <= memory[WADDR[7:0]] & kept | data & ~kept;
  always @(posedge RCLK) if (RE && RCLKE) word <= memory[RADDR[7:0]] & shown;
endmodule
