// Which instruction-set architecture (ISA) runs: the best that this processor has, or the one asked for.
#pragma once
#include "kernels.h"

namespace qbench {

const Kernels& selected_kernels();

}  // namespace qbench

// Plain C, called from Python through ctypes: they are needed before and beside any tensor.
extern "C" {
// Names of ISAs, comma-separated, best first: those that this processor can run, and all those in this library.
const char* qbench_supported_isas();
const char* qbench_built_isas();
const char* qbench_selected_isa();
// 0, or -1 for an ISA that this processor cannot run (the selection is then unchanged).
int qbench_select_isa(const char* name);
// Runs the selected ISA's peak loop; returns the binary operations done, 0 where the ISA has no such loop.
long long qbench_run_peak(long long steps);
// The same for its carry-save popcount.
long long qbench_run_carry_save_peak(long long steps);
}
