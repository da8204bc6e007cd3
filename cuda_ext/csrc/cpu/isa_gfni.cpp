// AVX-512 with GFNI and VBMI (Intel Ice Lake, AMD Zen 4 and later): all of `avx512`, and products by a carry-save
// popcount.
//
// Let x_1 … x_K be the bits of a xor b, and S_j the parity of the first 2j of them. A full adder of S_j and the next
// pair gives S_(j+1) and a carry, so that popcount = 2·Σ_j carry_j + S_last: half as many bits are left to count. The
// carry is the majority of S_j, x_1 = a_1^b_1, x_2 = a_2^b_2 with S_j = A^B, A and B the parities of the two rows alone.
// Multiplied out over GF(2) it is a dot product of four terms, one factor of each from one side:
//
//   maj = (A^a_2)·(B^b_1) ^ (A^a_1)·(B^b_2) ^ maj(A, a_1, a_2)·1 ^ 1·maj(B, b_1, b_2)
//
// Two pairs of a column are a byte. A row's four factors of one pair are half a byte, and those of eight rows an 8×8
// matrix over GF(2), so that one vgf2p8affineqb gives the carries of 8 rows × 64 columns: bit i of byte n is that of
// row i and column n. Full adders of two ternary-logic instructions count them in binary, one register a digit. Zeros
// behind K carry nothing, whatever A and B are.
#if defined(__x86_64__)
#include <immintrin.h>

#include <cstdint>
#include <cstring>

// After the system headers: their inline functions must not be compiled for this target (see rows.h).
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,gfni,bmi,bmi2")
#include "avx512.h"

namespace qbench {
namespace {

// Registers of eight rows in a tile. Two: their sums and what is under way stay in registers.
constexpr int kEights = kCarrySaveRows / 8;
// Digits of the sums that registers hold: they take up the 16 carries of a word. The next ones are in memory.
constexpr int kDigits = 4;
constexpr int kMoreDigits = 10;
// a popcount doubled (as it is subtracted) has 16 bits
static_assert(kCarrySaveMaxWords * 32 * 2 < 1 << 16 && kCarrySaveMaxWords < 1 << kMoreDigits);

inline __m512i select(__m512i mask, __m512i where_set, __m512i where_clear) {
  return _mm512_ternarylogic_epi32(mask, where_set, where_clear, 0xca);
}

// sum ^= a ^ b; the carry. As assembly, so that the carry takes the place of a, which is dead: from the new sum s it is
// a where a = b, and ~s elsewhere (table 0xd4).
inline __m512i full_add(__m512i& sum, __m512i a, __m512i b) {
  asm("vpternlogd $0x96, %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
  asm("vpternlogd $0xd4, %2, %1, %0" : "+v"(a) : "v"(b), "v"(sum));
  return a;
}

// The carries of eight rows, whose matrix is at `rows`, and 64 columns.
inline __m512i carries_of(__m512i columns, const uint64_t* rows) {
  __m512i carries;
  asm("vgf2p8affineqb $0, %2%{1to8%}, %1, %0" : "=v"(carries) : "v"(columns), "m"(*rows));
  return carries;
}

// The carries of 2^L pairs added to the digits from 0 on; what leaves digit L - 1.
template <int L>
[[gnu::always_inline]] inline void add_pairs(__m512i (*sum)[kEights], const uint64_t*& rows, const uint32_t*& columns,
                                             __m512i* carry) {
  if constexpr (L == 1) {
    const __m512i four = _mm512_loadu_si512(columns);
    QBENCH_UNROLL for (int g = 0; g < kEights; g++) {
      const __m512i first = carries_of(four, rows + g), second = carries_of(four, rows + kEights + g);
      carry[g] = full_add(sum[0][g], first, second);
    }
    rows += 2 * kEights;
    columns += 16;
  } else {
    __m512i first[kEights], second[kEights];
    add_pairs<L - 1>(sum, rows, columns, first);
    add_pairs<L - 1>(sum, rows, columns, second);
    QBENCH_UNROLL for (int g = 0; g < kEights; g++) carry[g] = full_add(sum[L - 1][g], first[g], second[g]);
  }
}

// digits[0] is 0, digits[1] the last parity and digits[2 + i] digit i of the number of carries: twice the popcount.
[[gnu::noinline]] void count(const uint32_t* tile, const uint32_t* rewritten, int64_t words, __m512i (*digits)[16]) {
  __m512i sum[kDigits][kEights];
  QBENCH_UNROLL for (int i = 0; i < kDigits; i++) {
    QBENCH_UNROLL for (int g = 0; g < kEights; g++) sum[i][g] = _mm512_setzero_si512();
  }
  // Digits beyond: a carry waits for the next one of its weight, as in a binary counter.
  __m512i waiting[kMoreDigits][kEights];
  constexpr int kMore = 2 + kDigits;
  QBENCH_UNROLL for (int g = 0; g < kEights; g++) {
    for (int i = 0; i < kMoreDigits; i++) digits[g][kMore + i] = _mm512_setzero_si512();
  }
  const uint64_t* rows = reinterpret_cast<const uint64_t*>(tile);
  const uint32_t* columns = rewritten;
  for (int64_t w = 0; w < words; w++) {
    __m512i carry[kEights];
    add_pairs<kDigits>(sum, rows, columns, carry);
    int digit = 0;
    for (int64_t before = w; before & 1; before >>= 1, digit++) {
      QBENCH_UNROLL for (int g = 0; g < kEights; g++) {
        __m512i more = digits[g][kMore + digit];
        carry[g] = full_add(more, waiting[digit][g], carry[g]);
        digits[g][kMore + digit] = more;
      }
    }
    QBENCH_UNROLL for (int g = 0; g < kEights; g++) waiting[digit][g] = carry[g];
  }
  const uint32_t row_parity = tile[words * kCarrySaveTileWord];
  const __m512i column_parity = _mm512_loadu_si512(rewritten + words * kCarrySaveBlockWord);
  // unrolled, as an index that is not a constant would keep the sums in memory
  QBENCH_UNROLL for (int g = 0; g < kEights; g++) {
    digits[g][0] = _mm512_setzero_si512();
    digits[g][1] = _mm512_xor_si512(column_parity, _mm512_set1_epi8(char(row_parity >> (8 * g))));
    QBENCH_UNROLL for (int i = 0; i < kDigits; i++) digits[g][2 + i] = sum[i][g];
    for (int i = 0; i < kMoreDigits; i++) {
      if (!(words >> i & 1)) continue;
      __m512i carry = waiting[i][g];
      for (int j = i; j < kMoreDigits; j++) {
        const __m512i old = digits[g][kMore + j];
        digits[g][kMore + j] = _mm512_xor_si512(old, carry);
        carry = _mm512_and_si512(old, carry);
      }
    }
  }
}

// Bit r of digit i <-> bit i of row r, within each byte: blocks of S×S bits change places.
template <int S>
inline void exchange(__m512i* v, int8_t keep) {
  const __m512i mask = _mm512_set1_epi8(keep);
  QBENCH_UNROLL for (int i = 0; i < 8; i++) {
    if (i & S) continue;
    const __m512i up = _mm512_slli_epi16(v[i + S], S), down = _mm512_srli_epi16(v[i], S);
    v[i] = select(mask, v[i], up);
    v[i + S] = select(mask, down, v[i + S]);
  }
}

inline void transpose_bits(__m512i* v) {
  exchange<4>(v, 0x0f);
  exchange<2>(v, 0x33);
  exchange<1>(v, 0x55);
}

template <int NR, class Sink>
void store_rows(__m512i (*digits)[16], const int32_t* const* base, const Sink& sink) {
  const __m512i zero = _mm512_setzero_si512();
  for (int g = 0; g < kEights; g++) {
    __m512i* low = digits[g];
    __m512i* high = low + 8;
    transpose_bits(low);
    transpose_bits(high);
    for (int i = 0; i < 8; i++) {
      const __m512i left = _mm512_unpacklo_epi8(low[i], high[i]), right = _mm512_unpackhi_epi8(low[i], high[i]);
      // the order of the columns in a block's bytes makes these consecutive ones (see `rewrite_columns`)
      const __m512i twice[4] = {_mm512_unpacklo_epi16(left, zero), _mm512_unpackhi_epi16(left, zero),
                                _mm512_unpacklo_epi16(right, zero), _mm512_unpackhi_epi16(right, zero)};
      __m512i values[NR];
      QBENCH_UNROLL for (int c = 0; c < NR; c++) {
        values[c] = _mm512_sub_epi32(_mm512_loadu_si512(base[8 * g + i] + 16 * c), twice[c]);
      }
      sink.template store<NR>(8 * g + i, values);
    }
  }
}

template <class Sink>
void product(const uint32_t* tile, const uint32_t* rewritten, int64_t words, const int32_t* const* base,
             int64_t valid, const Sink& sink) {
  __m512i digits[kEights][16];
  count(tile, rewritten, words, digits);
  switch ((valid + 15) / 16) {
    case 1: return store_rows<1>(digits, base, sink);
    case 2: return store_rows<2>(digits, base, sink);
    case 3: return store_rows<3>(digits, base, sink);
    case 4: return store_rows<4>(digits, base, sink);
  }
}

void xnor(const uint32_t* tile, const uint32_t* rewritten, int64_t words, const int32_t* const* base,
          int32_t* out, int64_t ldo, int64_t valid, bool stream) {
  product(tile, rewritten, words, base, valid, Integers{out, ldo, lanes((valid - 1) % 16 + 1), stream});
}

void xnor_sign(const uint32_t* tile, const uint32_t* rewritten, int64_t words, const int32_t* const* base,
               const Comparison& c, uint32_t* out, int64_t ldo, int64_t valid) {
  product(tile, rewritten, words, base, valid, Bits{c, out, ldo});
}

// The affine map whose bit i is the parity of the bits bits[i] of a byte.
constexpr uint64_t parities(const int (&bits)[8]) {
  uint64_t matrix = 0;
  for (int i = 0; i < 8; i++) matrix |= uint64_t(bits[i]) << (8 * (7 - i));
  return matrix;
}

inline __m512i affine(__m512i x, uint64_t matrix) {
  return _mm512_gf2p8affine_epi64_epi8(x, _mm512_set1_epi64(int64_t(matrix)), 0);
}

// The factors of a word's 16 pairs in each lane, two pairs a byte: byte i of `even` holds pairs 4i and 4i + 1, byte i of
// `odd` pairs 4i + 2 and 4i + 3. `parity`: all ones where the lane's bits before the word have odd parity; updated.
template <bool kLeft>
[[gnu::always_inline]] inline void factors(__m512i x, __m512i& parity, __m512i& even, __m512i& odd) {
  // each byte's parity in all its bits, then that of all before it
  __m512i before = affine(x, ~uint64_t(0));
  before = _mm512_xor_si512(before, _mm512_slli_epi32(before, 8));
  before = _mm512_xor_si512(before, _mm512_slli_epi32(before, 16));
  const __m512i last = _mm512_srai_epi32(before, 31);
  before = _mm512_xor_si512(_mm512_slli_epi32(before, 8), parity);
  parity = _mm512_xor_si512(parity, last);
  // at the even bits of a byte: the parity before the pair, its first and its second bit, their majority
  constexpr uint64_t kBefore = parities({0x00, 0, 0x03, 0, 0x0f, 0, 0x3f, 0});
  const __m512i pair = _mm512_xor_si512(affine(x, kBefore), before);
  const __m512i majority = _mm512_ternarylogic_epi32(pair, x, _mm512_srli_epi32(x, 1), 0xe8);
  // half a byte: parity ^ one bit, parity ^ the other, and majority, 1 on the left but 1, majority on the right
  constexpr int kOne = kLeft ? 2 : 1, kOther = 3 - kOne;
  constexpr uint64_t kEven = parities({kOne, kOther, 0, 0, 3 ^ kOne << 2, 3 ^ kOther << 2, 0, 0});
  constexpr uint64_t kOdd =
      parities({15 ^ kOne << 4, 15 ^ kOther << 4, 0, 0, 63 ^ kOne << 6, 63 ^ kOther << 6, 0, 0});
  constexpr int kLeftBit = kLeft ? 1 : 0, kRightBit = 1 - kLeftBit;
  constexpr uint64_t kEvenMajority = parities({0, 0, kLeftBit, kRightBit, 0, 0, kLeftBit << 2, kRightBit << 2});
  constexpr uint64_t kOddMajority = parities({0, 0, kLeftBit << 4, kRightBit << 4, 0, 0, kLeftBit << 6, kRightBit << 6});
  const __m512i ones = _mm512_set1_epi8(char(kLeft ? 0x88 : 0x44)), low = _mm512_set1_epi8(0x33);
  const __m512i common = _mm512_ternarylogic_epi32(ones, before, low, 0xf8);  // ones | (before & low)
  even = _mm512_ternarylogic_epi32(affine(x, kEven), affine(majority, kEvenMajority), common, 0x96);
  odd = _mm512_ternarylogic_epi32(affine(x, kOdd), affine(majority, kOddMajority), common, 0x96);
}

// What four bytes hold of 16 rows -> four matrices of each eight rows: of both bytes' first pairs, then of their second.
void rewrite_rows(const uint32_t* a, int64_t lda, int64_t words, uint32_t* tile) {
  static_assert(kCarrySaveRows == 16);
  alignas(64) uint8_t index[4][64], masks[64];
  for (int p = 0; p < 64; p++) {
    // output bit i of vgf2p8affineqb belongs to byte 7 - i of the matrix
    const int row = (p & 8) | (7 - (p & 7));
    for (int i = 0; i < 4; i++) index[i][p] = uint8_t((p & 32 ? 64 : 0) + 4 * row + i);
    masks[p] = p & 16 ? 0xf0 : 0x0f;
  }
  const __m512i mask = _mm512_load_si512(masks);
  __m512i parity = _mm512_setzero_si512();
  for (int64_t start = 0; start < words; start += 16) {
    uint32_t transposed[16 * kColumns];
    const int64_t here = words - start < 16 ? words - start : 16;
    transpose16(a + start, lda, kCarrySaveRows, lanes(here), transposed);
    for (int64_t w = 0; w < here; w++) {
      __m512i even, odd;
      factors<true>(_mm512_loadu_si512(transposed + w * kColumns), parity, even, odd);
      QBENCH_UNROLL for (int i = 0; i < 4; i++) {
        const __m512i both = _mm512_permutex2var_epi8(even, _mm512_load_si512(index[i]), odd);
        _mm512_storeu_si512(tile + (start + w) * kCarrySaveTileWord + 16 * i, _mm512_and_si512(both, mask));
      }
    }
  }
  tile[words * kCarrySaveTileWord] = _mm512_movepi32_mask(parity);
}

// A block's columns lie in the bytes of a register so that the bytes of four dwords, unpacked twice, come out in order:
// byte 16i + 4j + t is column 16j + 4i + t.
void rewrite_columns(const uint32_t* block, int64_t words, uint32_t* rewritten) {
  const __m512i by_byte = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  __m512i parity[4];
  for (int j = 0; j < 4; j++) parity[j] = _mm512_setzero_si512();
  for (int64_t w = 0; w < words; w++) {
    __m512i half[2][4];
    QBENCH_UNROLL for (int j = 0; j < 4; j++) {
      factors<false>(_mm512_loadu_si512(block + w * kColumns + 16 * j), parity[j], half[0][j], half[1][j]);
    }
    QBENCH_UNROLL for (int h = 0; h < 2; h++) {
      __m512i r[4];
      QBENCH_UNROLL for (int j = 0; j < 4; j++) r[j] = _mm512_shuffle_epi8(half[h][j], by_byte);
      const __m512i t[4] = {_mm512_unpacklo_epi32(r[0], r[1]), _mm512_unpacklo_epi32(r[2], r[3]),
                            _mm512_unpackhi_epi32(r[0], r[1]), _mm512_unpackhi_epi32(r[2], r[3])};
      uint32_t* to = rewritten + w * kCarrySaveBlockWord + 16 * h;
      _mm512_storeu_si512(to, _mm512_unpacklo_epi64(t[0], t[1]));
      _mm512_storeu_si512(to + 32, _mm512_unpackhi_epi64(t[0], t[1]));
      _mm512_storeu_si512(to + 64, _mm512_unpacklo_epi64(t[2], t[3]));
      _mm512_storeu_si512(to + 96, _mm512_unpackhi_epi64(t[2], t[3]));
    }
  }
  uint64_t odd = 0;
  alignas(64) uint8_t order[64];
  for (int j = 0; j < 4; j++) {
    odd |= uint64_t(_mm512_movepi32_mask(parity[j])) << (16 * j);
    for (int p = 0; p < 16; p++) order[16 * (p / 4) + 4 * j + p % 4] = uint8_t(16 * j + p);
  }
  _mm512_storeu_si512(rewritten + words * kCarrySaveBlockWord,
                      _mm512_permutexvar_epi8(_mm512_load_si512(order), _mm512_movm_epi8(odd)));
}

#define QBENCH_STEP(sum, x)                                  \
  "vgf2p8affineqb $0, %%zmm30, %%zmm31, %%zmm" #x "\n"       \
  "vpternlogd $0x96, %%zmm" #x ", %%zmm30, %%zmm" #sum "\n" \
  "vpternlogd $0xd4, %%zmm" #sum ", %%zmm30, %%zmm" #x "\n"

// Eight independent adders in registers, and nothing else: an affine map's carries stand for 8·64·2 multiply-adds, and
// each is added once.
int64_t peak(int64_t steps) {
  for (int64_t i = 0; i < steps; i++) {
    asm volatile(QBENCH_STEP(0, 16) QBENCH_STEP(1, 17) QBENCH_STEP(2, 18) QBENCH_STEP(3, 19) QBENCH_STEP(4, 20)
                     QBENCH_STEP(5, 21) QBENCH_STEP(6, 22) QBENCH_STEP(7, 23)::
                             : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm16", "xmm17", "xmm18",
                               "xmm19", "xmm20", "xmm21", "xmm22", "xmm23");
  }
  return steps * 8 * 2 * 1024;
}
#undef QBENCH_STEP

constexpr CarrySave carry_save_kernels = {
    .rewrite_rows = rewrite_rows,
    .rewrite_columns = rewrite_columns,
    .xnor = xnor,
    .xnor_sign = xnor_sign,
    .peak = peak,
};

}  // namespace

#pragma GCC pop_options

const Kernels& gfni_kernels() {
  static const Kernels table_of_kernels = [] {
    Kernels kernels = avx512_kernels();
    kernels.name = "gfni";
    kernels.carry_save = &carry_save_kernels;
    return kernels;
  }();
  return table_of_kernels;
}

}  // namespace qbench
#endif
