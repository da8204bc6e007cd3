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

// The name stands beside the table: of a path that this processor lacks, no code is called, not even for its table.
struct Path {
  const char* name;
  const Kernels& (*kernels)();
  bool supported;
};

std::vector<Path> all_paths() {
  std::vector<Path> paths;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512vnni") &&
                      __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
  const bool gfni = avx512 && __builtin_cpu_supports("gfni") && __builtin_cpu_supports("avx512vbmi");
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  paths.push_back({"gfni", gfni_kernels, gfni});
  paths.push_back({"avx512", avx512_kernels, avx512});
  paths.push_back({"avx2", avx2_kernels, avx2});
#elif defined(__aarch64__)
#if defined(__linux__)
  const bool dotprod = getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#else
  const bool dotprod = false;  // nobody to ask
#endif
  paths.push_back({"dotprod", dotprod_kernels, dotprod});
  paths.push_back({"neon", neon_kernels, true});
#endif
  paths.push_back({"scalar", scalar_kernels, true});
  return paths;
}

const std::vector<Path>& paths() {
  static const std::vector<Path> list = all_paths();
  return list;
}

std::string names(bool supported_only) {
  std::string list;
  for (const Path& path : paths()) {
    if (supported_only && !path.supported) continue;
    if (!list.empty()) list += ',';
    list += path.name;
  }
  return list;
}

std::atomic<const Kernels*> selected{nullptr};

}  // namespace

const Kernels& selected_kernels() {
  if (const Kernels* chosen = selected.load()) return *chosen;
  for (const Path& path : paths()) {
    if (path.supported) {
      selected.store(&path.kernels());
      return path.kernels();
    }
  }
  return scalar_kernels();
}

}  // namespace qbench

extern "C" {

const char* qbench_supported_paths() {
  static const std::string list = qbench::names(true);
  return list.c_str();
}

const char* qbench_built_paths() {
  static const std::string list = qbench::names(false);
  return list.c_str();
}

const char* qbench_selected_path() { return qbench::selected_kernels().name; }

int qbench_select_path(const char* name) {
  for (const qbench::Path& path : qbench::paths()) {
    if (path.supported && std::string(name) == path.name) {
      qbench::selected.store(&path.kernels());
      return 0;
    }
  }
  return -1;
}

long long qbench_run_peak(long long steps) {
  const qbench::Kernels& kernels = qbench::selected_kernels();
  return kernels.peak ? kernels.peak(steps) : 0;
}

long long qbench_run_carry_peak(long long steps) {
  const qbench::Carries* carries = qbench::selected_kernels().carries;
  return carries ? carries->peak(steps) : 0;
}
}
