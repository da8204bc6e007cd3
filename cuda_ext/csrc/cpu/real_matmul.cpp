// Real activations times packed signs.
#include "blocking.h"
#include "floats.h"

namespace qbench {
namespace {

int32_t to_number(uint8_t x) { return x; }
template <class S>
float to_number(S x) {
  return to_float(x);
}

// x: [m][k] of S; the ISA's tables are of T
template <class S, class T>
void real_products(const Machine& on, const S* x, int64_t m, int64_t k, const Weights& w, T* out,
                   void (*table)(const T*, int64_t, T*),
                   void (*real)(const T*, int64_t, int64_t, const uint32_t*, int64_t, T*, int64_t, int64_t, bool)) {
  const int64_t words = w.row();
  // Words of k at a time, so that the tables of kRealRows rows stay in the first-level cache.
  const int64_t depth = std::max<int64_t>(1, 32 * 1024 / (kRealRows * on.kernels.table_size * int64_t(sizeof(T))));
  // At most 64 blocks of columns share one building of the tables: it bounds the scratch for arranged weights.
  const Grid grid(on, w.n, 64, m, kRealRows);
  on.parallel(grid.shares(), 1, [&](int64_t begin, int64_t end) {
    Scratch<T> numbers(depth * 32), tables(kRealRows * depth * on.kernels.table_size);
    Scratch<uint32_t> arranged(w.blocks ? 0 : grid.largest_group() * words * kColumns);
    const int64_t ldt = depth * on.kernels.table_size;
    grid.run(begin, end, [&](Range group, Range part) {
      const uint32_t* first = w.blocks ? w.blocks + group.begin * words * kColumns : arranged.get();
      if (!w.blocks) {
        for (int64_t b = group.begin; b < group.end; b++) {
          Blocks::arrange(on.kernels, w, b, arranged.get() + (b - group.begin) * words * kColumns);
        }
      }
      for (int64_t r = part.begin; r < part.end; r += kRealRows) {
        const int64_t rows = std::min(kRealRows, part.end - r);
        for (int64_t start = 0; start < words; start += depth) {
          const int64_t count = std::min(depth, words - start);
          for (int64_t i = 0; i < rows; i++) {
            const S* source = x + (r + i) * k + start * 32;
            const int64_t have = std::min(count * 32, k - start * 32);
            for (int64_t j = 0; j < have; j++) numbers.get()[j] = to_number(source[j]);
            // past k the value is 0: whatever the weight's bit, it adds nothing
            for (int64_t j = have; j < count * 32; j++) numbers.get()[j] = 0;
            table(numbers.get(), count, tables.get() + i * ldt);
          }
          for (int64_t b = group.begin; b < group.end; b++) {
            const uint32_t* block = first + (b - group.begin) * words * kColumns;
            real(tables.get(), ldt, rows, block + start * kColumns, count, out + r * w.n + b * kColumns, w.n,
                 columns_in(w.n, b), start == 0);
          }
        }
      }
    });
  });
}

}  // namespace

void real_matmul(const Machine& on, const void* x, Real type, int64_t m, int64_t k, const Weights& w, void* out) {
  if (m == 0 || w.n == 0) return;
  const Kernels& p = on.kernels;
  switch (type) {
    case Real::kFloat32:
      return real_products(on, static_cast<const float*>(x), m, k, w, static_cast<float*>(out), p.table_f32,
                           p.real_f32);
    case Real::kFloat16:
      return real_products(on, static_cast<const Half*>(x), m, k, w, static_cast<float*>(out), p.table_f32, p.real_f32);
    case Real::kBFloat16:
      return real_products(on, static_cast<const BFloat*>(x), m, k, w, static_cast<float*>(out), p.table_f32,
                           p.real_f32);
    case Real::kUint8:
      return real_products(on, static_cast<const uint8_t*>(x), m, k, w, static_cast<int32_t*>(out), p.table_i32,
                           p.real_i32);
  }
}

}  // namespace qbench
