// Gowin cells: lookup tables leaner than Yosys's models and equal to them, and models of those that
// Yosys has none of, in the modes that this project's netlists use. tests/sim/test_cells.py
// compares each with what it stands for.

module LUT4 (output F, input I0, input I1, input I2, input I3);
  parameter [15:0] INIT = 0;
  wire [15:0] rest = INIT >> {I3, I2, I1, I0};
  assign F = rest[0];
endmodule

module LUT3 (output F, input I0, input I1, input I2);
  parameter [7:0] INIT = 0;
  wire [7:0] rest = INIT >> {I2, I1, I0};
  assign F = rest[0];
endmodule

// Gowin UG287 (DSP user guide): operands from A and B, with all registers.
module MULT18X18 (
  input [17:0] A, input [17:0] B, input ASIGN, input BSIGN, input ASEL, input BSEL,
  input CLK, input CE, input RESET, output [35:0] DOUT
);
  parameter AREG = 0, BREG = 0, PIPE_REG = 0, OUT_REG = 0, MULT_RESET_MODE = "SYNC";

  generate
    if (!AREG || !BREG || !PIPE_REG || !OUT_REG || MULT_RESET_MODE != "SYNC")
      MULT18X18_must_have_all_registers unknown();
  endgenerate

  // With the sign, or without: a bit more than the operands have.
  reg signed [18:0] a = 0, b = 0;
  reg signed [37:0] pipeline = 0;
  reg [35:0] result = 0;
  always @(posedge CLK)
    if (RESET) begin
      a <= 0; b <= 0; pipeline <= 0; result <= 0;
    end else if (CE) begin
      a <= {ASIGN & A[17], A};
      b <= {BSIGN & B[17], B};
      pipeline <= a * b;
      result <= pipeline[35:0];
    end
  assign DOUT = result;
endmodule

// Gowin UG285 (BSRAM user guide): 1024 words of two bytes of 9 bits, of which the lowest bits of an
// address enable the writing, or 2048 words of 9 bits. Without output registers; the write port is A.
module DPX9B (
  input CLKA, input CEA, input OCEA, input RESETA, input WREA, input [13:0] ADA, input [17:0] DIA,
  input [2:0] BLKSELA, output [17:0] DOA,
  input CLKB, input CEB, input OCEB, input RESETB, input WREB, input [13:0] ADB, input [17:0] DIB,
  input [2:0] BLKSELB, output [17:0] DOB
);
  parameter READ_MODE0 = 0, READ_MODE1 = 0, WRITE_MODE0 = 0, WRITE_MODE1 = 0;
  parameter BIT_WIDTH_0 = 18, BIT_WIDTH_1 = 18, BLK_SEL_0 = 0, BLK_SEL_1 = 0, RESET_MODE = "SYNC";
  parameter [287:0] INIT_RAM_00 = 0, INIT_RAM_01 = 0, INIT_RAM_02 = 0, INIT_RAM_03 = 0,
    INIT_RAM_04 = 0, INIT_RAM_05 = 0, INIT_RAM_06 = 0, INIT_RAM_07 = 0, INIT_RAM_08 = 0,
    INIT_RAM_09 = 0, INIT_RAM_0A = 0, INIT_RAM_0B = 0, INIT_RAM_0C = 0, INIT_RAM_0D = 0,
    INIT_RAM_0E = 0, INIT_RAM_0F = 0, INIT_RAM_10 = 0, INIT_RAM_11 = 0, INIT_RAM_12 = 0,
    INIT_RAM_13 = 0, INIT_RAM_14 = 0, INIT_RAM_15 = 0, INIT_RAM_16 = 0, INIT_RAM_17 = 0,
    INIT_RAM_18 = 0, INIT_RAM_19 = 0, INIT_RAM_1A = 0, INIT_RAM_1B = 0, INIT_RAM_1C = 0,
    INIT_RAM_1D = 0, INIT_RAM_1E = 0, INIT_RAM_1F = 0, INIT_RAM_20 = 0, INIT_RAM_21 = 0,
    INIT_RAM_22 = 0, INIT_RAM_23 = 0, INIT_RAM_24 = 0, INIT_RAM_25 = 0, INIT_RAM_26 = 0,
    INIT_RAM_27 = 0, INIT_RAM_28 = 0, INIT_RAM_29 = 0, INIT_RAM_2A = 0, INIT_RAM_2B = 0,
    INIT_RAM_2C = 0, INIT_RAM_2D = 0, INIT_RAM_2E = 0, INIT_RAM_2F = 0, INIT_RAM_30 = 0,
    INIT_RAM_31 = 0, INIT_RAM_32 = 0, INIT_RAM_33 = 0, INIT_RAM_34 = 0, INIT_RAM_35 = 0,
    INIT_RAM_36 = 0, INIT_RAM_37 = 0, INIT_RAM_38 = 0, INIT_RAM_39 = 0, INIT_RAM_3A = 0,
    INIT_RAM_3B = 0, INIT_RAM_3C = 0, INIT_RAM_3D = 0, INIT_RAM_3E = 0, INIT_RAM_3F = 0;
  localparam [18431:0] INIT = {INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B,
    INIT_RAM_3A, INIT_RAM_39, INIT_RAM_38, INIT_RAM_37, INIT_RAM_36, INIT_RAM_35, INIT_RAM_34,
    INIT_RAM_33, INIT_RAM_32, INIT_RAM_31, INIT_RAM_30, INIT_RAM_2F, INIT_RAM_2E, INIT_RAM_2D,
    INIT_RAM_2C, INIT_RAM_2B, INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28, INIT_RAM_27, INIT_RAM_26,
    INIT_RAM_25, INIT_RAM_24, INIT_RAM_23, INIT_RAM_22, INIT_RAM_21, INIT_RAM_20, INIT_RAM_1F,
    INIT_RAM_1E, INIT_RAM_1D, INIT_RAM_1C, INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18,
    INIT_RAM_17, INIT_RAM_16, INIT_RAM_15, INIT_RAM_14, INIT_RAM_13, INIT_RAM_12, INIT_RAM_11,
    INIT_RAM_10, INIT_RAM_0F, INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A,
    INIT_RAM_09, INIT_RAM_08, INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04, INIT_RAM_03,
    INIT_RAM_02, INIT_RAM_01, INIT_RAM_00};

  generate
    if (READ_MODE0 || READ_MODE1 || WRITE_MODE0 != 1 || BIT_WIDTH_0 != BIT_WIDTH_1 ||
        BIT_WIDTH_0 != 18 && BIT_WIDTH_0 != 9)
      DPX9B_must_have_9_or_18_bits_and_no_output_registers_and_show_what_it_writes unknown();
  endgenerate

  reg [17:0] memory [0:1023];
  reg [17:0] a = 0, b = 0;
  integer i;
  initial for (i = 0; i < 1024; i = i + 1) memory[i] = INIT[18 * i +: 18];

  localparam NARROW = BIT_WIDTH_0 == 9;
  wire [17:0] mask = NARROW ? {{9{ADA[3]}}, {9{~ADA[3]}}} : {{9{ADA[1]}}, {9{ADA[0]}}};
  wire [17:0] data = NARROW ? {2{DIA[8:0]}} : DIA;
  wire [17:0] written = memory[ADA[13:4]] & ~mask | data & mask;
  wire [17:0] at_a = WREA ? written : memory[ADA[13:4]], at_b = memory[ADB[13:4]];
  always @(posedge CLKA)
    if (CEA) begin
      if (WREA) memory[ADA[13:4]] <= written;
      a <= NARROW ? {9'b0, ADA[3] ? at_a[17:9] : at_a[8:0]} : at_a;
    end
  always @(posedge CLKB)
    if (CEB) b <= NARROW ? {9'b0, ADB[3] ? at_b[17:9] : at_b[8:0]} : at_b;
  assign DOA = a;
  assign DOB = b;
endmodule
