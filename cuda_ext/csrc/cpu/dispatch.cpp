#include "dispatch.h"

#include <atomic>
#include <string>
#include <vector>

#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace qbench {
namespace {

// An instruction-set architecture (ISA) and its kernels. The name stands beside the table, because no code of an ISA
// that this processor lacks may be called, not even the function that returns its table.
struct Isa {
  const char* name;
  const Kernels& (*kernels)();
  bool supported;
};

std::vector<Isa> all_isas() {
  std::vector<Isa> list;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512vnni") &&
                      __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
  const bool gfni = avx512 && __builtin_cpu_supports("gfni") && __builtin_cpu_supports("avx512vbmi");
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  list.push_back({"gfni", gfni_kernels, gfni});
  list.push_back({"avx512", avx512_kernels, avx512});
  list.push_back({"avx2", avx2_kernels, avx2});
#elif defined(__aarch64__)
#if defined(__linux__)
  const bool dotprod = getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#else
  const bool dotprod = false;  // nobody to ask
#endif
  list.push_back({"dotprod", dotprod_kernels, dotprod});
  list.push_back({"neon", neon_kernels, true});
#endif
  list.push_back({"scalar", scalar_kernels, true});
  return list;
}

const std::vector<Isa>& isas() {
  static const std::vector<Isa> list = all_isas();
  return list;
}

std::string names(bool supported_only) {
  std::string list;
  for (const Isa& isa : isas()) {
    if (supported_only && !isa.supported) continue;
    if (!list.empty()) list += ',';
    list += isa.name;
  }
  return list;
}

std::atomic<const Kernels*> selected{nullptr};

}  // namespace

const Kernels& selected_kernels() {
  if (const Kernels* chosen = selected.load()) return *chosen;
  for (const Isa& isa : isas()) {
    if (isa.supported) {
      selected.store(&isa.kernels());
      return isa.kernels();
    }
  }
  return scalar_kernels();
}

}  // namespace qbench

extern "C" {

const char* qbench_supported_isas() {
  static const std::string list = qbench::names(true);
  return list.c_str();
}

const char* qbench_built_isas() {
  static const std::string list = qbench::names(false);
  return list.c_str();
}

const char* qbench_selected_isa() { return qbench::selected_kernels().name; }

int qbench_select_isa(const char* name) {
  for (const qbench::Isa& isa : qbench::isas()) {
    if (isa.supported && std::string(name) == isa.name) {
      qbench::selected.store(&isa.kernels());
      return 0;
    }
  }
  return -1;
}

long long qbench_run_peak(long long steps) {
  const qbench::Kernels& kernels = qbench::selected_kernels();
  return kernels.peak ? kernels.peak(steps) : 0;
}

long long qbench_run_carry_save_peak(long long steps) {
  const qbench::CarrySave* kernels = qbench::selected_kernels().carry_save;
  return kernels ? kernels->peak(steps) : 0;
}
}
