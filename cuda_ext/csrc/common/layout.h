// The packed layout of cuda_ext/layout.py, for every backend.
#pragma once
#include <cstdint>

namespace qbench {

constexpr int64_t kWordBits = 32;
constexpr int64_t kWordsPerStep = 16;

// Words that hold k signs, and words that a row of k signs occupies.
constexpr int64_t used_words(int64_t k) { return (k + kWordBits - 1) / kWordBits; }
constexpr int64_t row_words(int64_t k) { return (k + 511) / 512 * kWordsPerStep; }

}  // namespace qbench
