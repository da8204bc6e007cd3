// Which instruction path runs: the best that this processor has, or the one asked for.
#pragma once
#include "kernels.h"

namespace qbench {

const Kernels& selected_kernels();

}  // namespace qbench

// Plain C, called from Python through ctypes: they are needed before and beside any tensor.
extern "C" {
// Comma-separated, best first; those this processor can run, and all those in this library.
const char* qbench_supported_paths();
const char* qbench_built_paths();
const char* qbench_selected_path();
// 0, or -1 for a path that this processor cannot run (the selection is then unchanged).
int qbench_select_path(const char* name);
// Runs the selected path's peak loop; the binary operations done, 0 where the path has none.
long long qbench_run_peak(long long steps);
// The same of its products by carries.
long long qbench_run_carry_peak(long long steps);
}
