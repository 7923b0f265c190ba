// ECP5 cells: a lookup table leaner than Yosys's model and equal to it, and models of those that
// Yosys has none of, in the modes that this project's netlists use. tests/sim/test_cells.py
// compares each with what it stands for.

module LUT4 (input A, input B, input C, input D, output Z);
  parameter [15:0] INIT = 0;
  wire [15:0] rest = INIT >> {D, C, B, A};
  assign Z = rest[0];
endmodule

// Lattice FPGA-TN-02205 (sysDSP usage guide): both operands signed, all registers on CLK0, CE0.
module MULT18X18D (
  input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
  input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
  input SIGNEDA, SIGNEDB, CLK0, CE0, RST0,
  output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
    P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
  parameter REG_INPUTA_CLK = "NONE", REG_INPUTA_CE = "CE0", REG_INPUTA_RST = "RST0";
  parameter REG_INPUTB_CLK = "NONE", REG_INPUTB_CE = "CE0", REG_INPUTB_RST = "RST0";
  parameter REG_PIPELINE_CLK = "NONE", REG_PIPELINE_CE = "CE0", REG_PIPELINE_RST = "RST0";
  parameter REG_OUTPUT_CLK = "NONE", REG_OUTPUT_CE = "CE0", REG_OUTPUT_RST = "RST0";
  parameter GSR = "ENABLED", RESETMODE = "SYNC";

  generate
    if (REG_INPUTA_CLK != "CLK0" || REG_INPUTB_CLK != "CLK0" || REG_PIPELINE_CLK != "CLK0" ||
        REG_OUTPUT_CLK != "CLK0" || RESETMODE != "SYNC")
      MULT18X18D_must_have_all_registers_on_CLK0 unknown();
  endgenerate

  reg signed [17:0] a = 0, b = 0;
  reg signed [35:0] pipeline = 0, result = 0;
  always @(posedge CLK0)
    if (RST0) begin
      a <= 0; b <= 0; pipeline <= 0; result <= 0;
    end else if (CE0) begin
      a <= {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
      b <= {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
      pipeline <= a * b;
      result <= pipeline;
    end
  assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19,
    P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} = result;
endmodule

// Lattice FPGA-TN-02204 (memory usage guide): 1024 words of 18 bits, each two bytes of 9 of which
// widths below 9 use 8 bits. The write port is A. Ports may have output registers, but not where
// words have 36 bits, of which B has the upper half. With 18 bits and more
// the lowest bits of an address enable bytes. A port that writes reads what was there before, or,
// where WRITEMODE is NORMAL, nothing new. INITVAL_n are words 16n to 16n + 15, 20 bits apart.
module DP16KD (
  input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5,
    DIA4, DIA3, DIA2, DIA1, DIA0,
  input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
  input CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
  output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
    DOA4, DOA3, DOA2, DOA1, DOA0,
  input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5,
    DIB4, DIB3, DIB2, DIB1, DIB0,
  input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
  input CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
  output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
    DOB4, DOB3, DOB2, DOB1, DOB0
);
  parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18;
  parameter REGMODE_A = "NOREG", REGMODE_B = "NOREG";
  parameter RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC", GSR = "ENABLED";
  parameter CSDECODE_A = "0b000", CSDECODE_B = "0b000";
  parameter WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL";
  parameter CLKAMUX = "CLKA", CLKBMUX = "CLKB";
  parameter [319:0] INITVAL_00 = 0, INITVAL_01 = 0, INITVAL_02 = 0, INITVAL_03 = 0,
    INITVAL_04 = 0, INITVAL_05 = 0, INITVAL_06 = 0, INITVAL_07 = 0, INITVAL_08 = 0,
    INITVAL_09 = 0, INITVAL_0A = 0, INITVAL_0B = 0, INITVAL_0C = 0, INITVAL_0D = 0,
    INITVAL_0E = 0, INITVAL_0F = 0, INITVAL_10 = 0, INITVAL_11 = 0, INITVAL_12 = 0,
    INITVAL_13 = 0, INITVAL_14 = 0, INITVAL_15 = 0, INITVAL_16 = 0, INITVAL_17 = 0,
    INITVAL_18 = 0, INITVAL_19 = 0, INITVAL_1A = 0, INITVAL_1B = 0, INITVAL_1C = 0,
    INITVAL_1D = 0, INITVAL_1E = 0, INITVAL_1F = 0, INITVAL_20 = 0, INITVAL_21 = 0,
    INITVAL_22 = 0, INITVAL_23 = 0, INITVAL_24 = 0, INITVAL_25 = 0, INITVAL_26 = 0,
    INITVAL_27 = 0, INITVAL_28 = 0, INITVAL_29 = 0, INITVAL_2A = 0, INITVAL_2B = 0,
    INITVAL_2C = 0, INITVAL_2D = 0, INITVAL_2E = 0, INITVAL_2F = 0, INITVAL_30 = 0,
    INITVAL_31 = 0, INITVAL_32 = 0, INITVAL_33 = 0, INITVAL_34 = 0, INITVAL_35 = 0,
    INITVAL_36 = 0, INITVAL_37 = 0, INITVAL_38 = 0, INITVAL_39 = 0, INITVAL_3A = 0,
    INITVAL_3B = 0, INITVAL_3C = 0, INITVAL_3D = 0, INITVAL_3E = 0, INITVAL_3F = 0;
  localparam [20479:0] INIT = {INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B,
    INITVAL_3A, INITVAL_39, INITVAL_38, INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34,
    INITVAL_33, INITVAL_32, INITVAL_31, INITVAL_30, INITVAL_2F, INITVAL_2E, INITVAL_2D,
    INITVAL_2C, INITVAL_2B, INITVAL_2A, INITVAL_29, INITVAL_28, INITVAL_27, INITVAL_26,
    INITVAL_25, INITVAL_24, INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20, INITVAL_1F,
    INITVAL_1E, INITVAL_1D, INITVAL_1C, INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18,
    INITVAL_17, INITVAL_16, INITVAL_15, INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11,
    INITVAL_10, INITVAL_0F, INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A,
    INITVAL_09, INITVAL_08, INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03,
    INITVAL_02, INITVAL_01, INITVAL_00};

  generate
    if (((REGMODE_A != "NOREG" || REGMODE_B != "NOREG") && DATA_WIDTH_B == 36) ||
        WRITEMODE_A == "WRITETHROUGH" || CLKAMUX != "CLKA" || CLKBMUX != "CLKB" ||
        DATA_WIDTH_A != DATA_WIDTH_B)
      DP16KD_must_have_one_width_registers_below_36_bits_and_clocks_that_rise unknown();
  endgenerate

  reg [17:0] memory [0:1023];
  reg [17:0] low = 0, high = 0, registered_low = 0, registered_high = 0;
  integer i;
  initial for (i = 0; i < 1024; i = i + 1) memory[i] = INIT[20 * i +: 18];

  wire [17:0] in = {DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7,
    DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
  wire [17:0] in_high = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7,
    DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0};
  wire [13:0] write = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2,
    ADA1, ADA0};
  wire [13:0] read = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2,
    ADB1, ADB0};

  // Where in a word of 18 bits a narrower one begins.
  function [4:0] place(input [3:0] address);
    place = (address[3] ? 9 : 0) + (address[2:0] & (DATA_WIDTH_A == 9 ? 0 : 7));
  endfunction

  generate
    if (DATA_WIDTH_A == 36) begin
      wire [17:0] low_mask = {{9{write[1]}}, {9{write[0]}}};
      wire [17:0] high_mask = {{9{write[3]}}, {9{write[2]}}};
      wire [9:0] pair = {write[13:5], 1'b0}, shown = {read[13:5], 1'b0};
      always @(posedge CLKA)
        if (CEA && WEA) begin
          memory[pair] <= memory[pair] & ~low_mask | in & low_mask;
          memory[pair | 1] <= memory[pair | 1] & ~high_mask | in_high & high_mask;
        end
      always @(posedge CLKB)
        if (CEB) begin
          low <= memory[shown];
          high <= memory[shown | 1];
        end
      assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6,
        DOA5, DOA4, DOA3, DOA2, DOA1, DOA0} = low;
      assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6,
        DOB5, DOB4, DOB3, DOB2, DOB1, DOB0} = high;
    end else begin
      wire [4:0] from = DATA_WIDTH_A == 18 ? 0 : place(write[3:0]);
      wire [17:0] ones = DATA_WIDTH_A == 18 ? {{9{write[1]}}, {9{write[0]}}} :
        (1 << DATA_WIDTH_A) - 1;
      wire [17:0] mask = ones << from;
      wire [17:0] at_a = memory[write[13:4]] >> from;
      wire [17:0] at_b = memory[read[13:4]] >> (DATA_WIDTH_A == 18 ? 0 : place(read[3:0]));
      wire [17:0] width = DATA_WIDTH_A == 18 ? 18'h3ffff : (1 << DATA_WIDTH_A) - 1;
      always @(posedge CLKA) begin
        if (CEA && WEA)
          memory[write[13:4]] <= memory[write[13:4]] & ~mask | (in << from) & mask;
        if (CEA && (!WEA || WRITEMODE_A == "READBEFOREWRITE")) low <= at_a & width;
        if (OCEA) registered_low <= low;
      end
      always @(posedge CLKB) begin
        if (CEB) high <= at_b & width;
        if (OCEB) registered_high <= high;
      end
      assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6,
        DOA5, DOA4, DOA3, DOA2, DOA1, DOA0} = REGMODE_A == "NOREG" ? low : registered_low;
      assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6,
        DOB5, DOB4, DOB3, DOB2, DOB1, DOB0} = REGMODE_B == "NOREG" ? high : registered_high;
    end
  endgenerate
endmodule
