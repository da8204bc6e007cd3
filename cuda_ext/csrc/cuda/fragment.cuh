// Who holds what around the binary tensor-core instructions: the PTX ISA's fragments in numbers of ours.
// Not run on a GPU yet; the emulator's tests multiply through these maps with the ISA's own formulas on the other side.
//
// mma.m16n8k256 with .b1 (PTX ISA, "Matrix fragments for mma.m16n8k256"): with group = lane / 4, member = lane % 4,
//   A, 16 rows × 256 bits, registers a0..a3:  row group + 8·(r % 2), word member + 4·(r / 2)
//   B, 256 bits × 8 columns, registers b0, b1: column group, word member + 4·r
//   C, 16 × 8, registers c0..c3:               row group + 8·(r / 2), column 2·member + r % 2
// where bit i of a register is bit i of its word. A matrix of 8 rows × 16 bytes of ldmatrix gives lane l the word l % 4
// of row l / 4, which is one such register: so one ldmatrix.x4 brings all of A, or B for two neighbouring tiles.
// wgmma.m64nNk256 leaves its sums as C does, warp w of the four with rows 16w to 16w + 15, and 4 registers for every 8
// columns (PTX ISA, "Matrix fragments for wgmma.mma_async.m64nNk256").
#pragma once

#include "layout.cuh"

namespace cuda_ext {

constexpr int kFragmentM = 16, kFragmentN = 8;
constexpr int kHalfChunks = 2;  // 256 bits, what one instruction takes of a row: half a step

// Which row and chunk of A's 16 rows × 2 chunks lane l points ldmatrix at: matrices (rows 0-7, chunk 0),
// (rows 8-15, chunk 0), (rows 0-7, chunk 1), (rows 8-15, chunk 1) become a0, a1, a2, a3.
CUDA_EXT_BOTH int a_row_of(int lane) { return lane % 16; }
CUDA_EXT_BOTH int a_chunk_of(int lane) { return lane / 16; }

// The same for two tiles of B, 16 columns × 2 chunks: matrices (columns 0-7, chunk 0), (columns 0-7, chunk 1),
// (columns 8-15, chunk 0), (columns 8-15, chunk 1) become b0, b1 of the first tile and b0, b1 of the second.
CUDA_EXT_BOTH int b_row_of(int lane) { return lane % 8 + 8 * (lane / 16); }
CUDA_EXT_BOTH int b_chunk_of(int lane) { return lane / 8 % 2; }

// Row and column of c0; c1 is the column after, c2 and c3 are 8 rows below.
CUDA_EXT_BOTH int c_row_of(int lane) { return lane / 4; }
CUDA_EXT_BOTH int c_column_of(int lane) { return 2 * (lane % 4); }

// Byte offset of a chunk in a shared tile of 64-byte rows. 8 rows at the same chunk, which ldmatrix reads at once, would
// fall on two groups of banks (64 bytes are half of the 128 that the banks span); exchanging chunks by bits 1 and 2 of
// the row spreads them over all eight: group 4·(row % 2) + (chunk ^ (row / 2 % 4)).
CUDA_EXT_BOTH int swizzled_offset(int row, int chunk) { return row * 64 + ((chunk ^ ((row >> 1) & 3)) * 16); }

}  // namespace cuda_ext
