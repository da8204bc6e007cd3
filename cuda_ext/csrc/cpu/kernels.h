// One table of inner kernels per instruction-set architecture (ISA). A table's functions work on raw rows and blocks;
// the drivers cut the tensors into them and own the threads. Nothing here knows torch, so that the sanitizers can run
// it alone.
//
// A *block* is 64 columns (rows of the transposed right operand) in the ISA's own arrangement of their bits. Its size,
// `words`·64 dwords, is the same for every ISA.
#pragma once
#include <cstdint>

namespace qbench {

constexpr int64_t kColumns = 64;
// Rows per call that the real-valued kernels keep tables for.
constexpr int64_t kRealRows = 4;

// A threshold per channel as one comparison: bit = ((x ^ flip) >= (threshold ^ flip) & keep) | set. For int32, flip is
// 0 or ~0 (~x >= ~t is x <= t); for float32 it is 0 or the sign bit (-x >= -t). keep and set are bit masks of 32
// channels: they hold the constant channels, and zeros past the last one. All arrays are padded to 64 channels.
struct Comparison {
  const uint32_t* threshold;  // already flipped
  const uint32_t* flip;
  const uint32_t* keep;
  const uint32_t* set;
};

// Carry-save popcount (isa_gfni.cpp has the arithmetic): rows and columns are rewritten first, to 4 and 2 bits a sign,
// so it pays only from some number of rows on. At most kCarrySaveMaxWords words of k.
constexpr int64_t kCarrySaveRows = 16, kCarrySaveMaxWords = 1023;
// Dwords of a word of k in a tile of kCarrySaveRows rows and in a block of columns; 16 more behind the last word.
constexpr int64_t kCarrySaveTileWord = 64, kCarrySaveBlockWord = 128, kCarrySaveTail = 16;

struct CarrySave {
  // A tile of kCarrySaveRows rows, `lda` words apart, rewritten.
  void (*rewrite_rows)(const uint32_t* a, int64_t lda, int64_t words, uint32_t* tile);
  // What `arrange` wrote of 64 columns, rewritten.
  void (*rewrite_columns)(const uint32_t* block, int64_t words, uint32_t* rewritten);
  // As `xnor` and `xnor_sign` of Kernels, for the rows of a tile.
  void (*xnor)(const uint32_t* tile, const uint32_t* rewritten, int64_t words, const int32_t* const* base, int32_t* out,
               int64_t ldo, int64_t valid, bool stream);
  void (*xnor_sign)(const uint32_t* tile, const uint32_t* rewritten, int64_t words, const int32_t* const* base,
                    const Comparison& c, uint32_t* out, int64_t ldo, int64_t valid);
  // As `peak` of Kernels.
  int64_t (*peak)(int64_t steps);
};

struct Kernels {
  const char* name;

  // One row; ⌈k/32⌉ words are written.
  void (*pack_f32)(const float* x, int64_t k, uint32_t* out);
  void (*pack_f64)(const double* x, int64_t k, uint32_t* out);
  void (*pack_16)(const uint16_t* x, int64_t k, uint16_t infinity, uint32_t* out);  // float16, bfloat16 bit patterns
  void (*pack_random)(const float* x, int64_t k, uint64_t first, uint64_t seed, uint64_t offset, uint32_t* out);
  void (*unpack)(const uint32_t* bits, int64_t k, float* out);
  void (*compare_i32)(const int32_t* x, int64_t channels, const Comparison& c, uint32_t* out);
  void (*compare_f32)(const float* x, int64_t channels, const Comparison& c, uint32_t* out);

  // Arrange `valid` rows, `stride` words apart, of `words` words as a block; missing rows are zero.
  void (*arrange)(const uint32_t* rows, int64_t stride, int64_t valid, int64_t words, uint32_t* block);
  // out[m][n] = base[m][n] - 2·popcount(a[m] ^ column n), n < valid. `base` is k, but for a convolution's border, where
  // it makes up for the taps outside the image. `stream`: write past the cache.
  void (*xnor)(const uint32_t* a, int64_t lda, int64_t m, const uint32_t* block, int64_t words,
               const int32_t* const* base, int32_t* out, int64_t ldo, int64_t valid, bool stream);
  // The same, compared and packed: 64 columns are two words, of which ⌈valid/32⌉ are written.
  void (*xnor_sign)(const uint32_t* a, int64_t lda, int64_t m, const uint32_t* block, int64_t words,
                    const int32_t* const* base, const Comparison& c, uint32_t* out, int64_t ldo, int64_t valid);
  // out[n] = k - 2·popcount(a ^ b[n]) on the plain layout, for one row: no arrangement to pay for.
  void (*xnor_row)(const uint32_t* a, const uint32_t* b, int64_t n, int64_t row_words, int32_t k, int32_t* out);

  // Real activations × ±1: tables of partial sums of a row (`table_size` numbers for 32 of its elements), then look-ups.
  int64_t table_size;
  void (*table_f32)(const float* x, int64_t words, float* table);
  void (*table_i32)(const int32_t* x, int64_t words, int32_t* table);
  void (*real_f32)(const float* table, int64_t ldt, int64_t m, const uint32_t* block, int64_t words, float* out,
                   int64_t ldo, int64_t valid, bool first);
  void (*real_i32)(const int32_t* table, int64_t ldt, int64_t m, const uint32_t* block, int64_t words, int32_t* out,
                   int64_t ldo, int64_t valid, bool first);

  // int8: `group` consecutive k share a dword. `sums` corrects for a's offset: out = Σ a'·b - sums[n], added to what
  // out holds unless `first`. `stream`: write past the cache.
  int64_t group;
  void (*int8_row)(const int8_t* x, int64_t k, uint32_t* out);
  void (*int8_arrange)(const int8_t* rows, int64_t stride, int64_t valid, int64_t k, uint32_t* block, int32_t* sums);
  void (*int8)(const uint32_t* a, int64_t lda, int64_t m, const uint32_t* block, int64_t dwords, const int32_t* sums,
               int32_t* out, int64_t ldo, int64_t valid, bool first, bool stream);

  // The ISA's own limit, for benchmarks: the instructions of the direct kernel on registers alone, without a load.
  // Returns the binary operations done (one multiply-add counts two). Null where the ISA has no such loop.
  int64_t (*peak)(int64_t steps);

  // Null where the ISA has no carry-save popcount.
  const CarrySave* carry_save = nullptr;
};

const Kernels& scalar_kernels();
#if defined(__x86_64__)
const Kernels& avx2_kernels();
const Kernels& avx512_kernels();
const Kernels& gfni_kernels();
#elif defined(__aarch64__)
const Kernels& neon_kernels();
const Kernels& dotprod_kernels();
#endif

}  // namespace qbench
