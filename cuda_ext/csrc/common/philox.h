// Constants of Philox4x32-10 (Salmon et al., SC 2011); the stream's definition is in cuda_ext/philox.py.
#pragma once
#include <cstdint>

namespace qbench {

constexpr uint32_t kPhiloxM0 = 0xD2511F53u;
constexpr uint32_t kPhiloxM1 = 0xCD9E8D57u;
constexpr uint32_t kPhiloxW0 = 0x9E3779B9u;
constexpr uint32_t kPhiloxW1 = 0xBB67AE85u;
constexpr int kPhiloxRounds = 10;

}  // namespace qbench
