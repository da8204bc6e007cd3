// Convolutions of packed signs by im2col on bits, a few output pixels at a time: the bits under a pixel's window are
// gathered into a row, and the rows are multiplied with the filters.
#include "blocking.h"

namespace qbench {
namespace {

// Output pixels whose input bits are gathered at a time.
constexpr int64_t kPixels = 32;
// Pixels that a share of them is a multiple of: the direct kernel's rows in a tile.
constexpr int64_t kPixelStep = 4;

// The positions of one direction by which taps fall inside the image: `of[position]` numbers the class, whose taps
// from `first[class]` to before `last[class]` are inside.
struct Classes {
  std::vector<int64_t> of, first, last;

  Classes(int64_t out, int64_t size, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation) {
    of.reserve(size_t(out));
    // both borders fall from position to position: the positions of a class follow one another
    int64_t from = kernel, until = kernel;
    for (int64_t o = 0; o < out; o++) {
      const int64_t at = o * stride - pad;
      while (from > 0 && at + (from - 1) * dilation >= 0) from--;
      while (until > 0 && at + (until - 1) * dilation >= size) until--;
      if (o == 0 || from != first.back() || until != last.back()) {
        first.push_back(from);
        last.push_back(until);
      }
      of.push_back(int64_t(first.size()) - 1);
    }
  }
  int64_t size() const { return int64_t(first.size()); }
  bool inside(int64_t which, int64_t tap) const { return tap >= first[size_t(which)] && tap < last[size_t(which)]; }
};

// An output pixel, counted image by image and row by row.
struct Pixel {
  int64_t image, y, x;
  Pixel(const Window& v, int64_t index)
      : image(index / (v.out_w * v.out_h)), y(index / v.out_w % v.out_h), x(index % v.out_w) {}
  void step(const Window& v) {
    if (++x < v.out_w) return;
    x = 0;
    if (++y == v.out_h) y = 0, image++;
  }
};

// im2col of `count` output pixels from `at` on: for each, kernel_h·kernel_w runs of `words` words (W at compile time, 0:
// not known).
template <int64_t W>
void gather(const uint32_t* images, const Window& v, int64_t in_words, int64_t words, Pixel at, int64_t count,
            const uint32_t* outside, uint32_t* to) {
  const int64_t run = W ? W : words, step = v.dilation_w * in_words;
  const int64_t wide = v.width * in_words, reach = (v.kernel_w - 1) * v.dilation_w;
  for (; count > 0; count--, at.step(v)) {
    const uint32_t* image = images + at.image * v.height * wide;
    const int64_t top = at.y * v.stride_h - v.pad_h, left = at.x * v.stride_w - v.pad_w;
    const bool all_columns = left >= 0 && left + reach < v.width;
    for (int64_t ky = 0; ky < v.kernel_h; ky++) {
      const int64_t y = top + ky * v.dilation_h;
      const bool row = y >= 0 && y < v.height;
      if (row && all_columns) {
        const uint32_t* from = image + y * wide + left * in_words;
        for (int64_t kx = 0; kx < v.kernel_w; kx++, to += run, from += step) std::memcpy(to, from, size_t(4 * run));
        continue;
      }
      for (int64_t kx = 0; kx < v.kernel_w; kx++, to += run) {
        const int64_t x = left + kx * v.dilation_w;
        const bool inside = row && x >= 0 && x < v.width;
        std::memcpy(to, inside ? image + y * wide + x * in_words : outside, size_t(4 * run));
      }
    }
  }
}

using Gather = void (*)(const uint32_t*, const Window&, int64_t, int64_t, Pixel, int64_t, const uint32_t*, uint32_t*);

// Run lengths that the compiler turns into one move each.
Gather gather_of(int64_t words) {
  switch (words) {
    case 1: return gather<1>;
    case 2: return gather<2>;
    case 4: return gather<4>;
    case 8: return gather<8>;
    case 16: return gather<16>;
    default: return gather<0>;
  }
}

// Of one block: takes from base[class][column], `stride` numbers a class, what a tap outside the image adds to a column
// by reading -1: channels - 2·popcount(0 ^ w) = -Σ w.
void take_off_outside(const Kernels& kernels, const Window& v, const uint32_t* block, int64_t words, int64_t channels,
                      int64_t valid, const Classes& rows, const Classes& places, int32_t* base, int64_t stride) {
  const std::vector<uint32_t> minus(static_cast<size_t>(words), 0);
  alignas(64) int32_t none[kColumns], sums[kColumns] = {};
  std::fill_n(none, kColumns, int32_t(channels));
  const int32_t* bases[1] = {none};
  for (int64_t ky = 0; ky < v.kernel_h; ky++) {
    for (int64_t kx = 0; kx < v.kernel_w; kx++, block += words * kColumns) {
      bool summed = false;
      int32_t* of_class = base;
      for (int64_t r = 0; r < rows.size(); r++) {
        for (int64_t p = 0; p < places.size(); p++, of_class += stride) {
          if (rows.inside(r, ky) && places.inside(p, kx)) continue;
          if (!summed) kernels.xnor(minus.data(), words, 1, block, words, bases, sums, kColumns, valid, false);
          summed = true;
          for (int64_t n = 0; n < kColumns; n++) of_class[n] -= sums[n];
        }
      }
    }
  }
}

// How a convolution is cut into even shares, at most one for each thread: its pixels, and its blocks of columns. Each
// share gathers the bits of its own pixels, and sums up, or arranges, its own blocks; the cut that repeats least is the
// best. Costs are in words of a pixel's product with a block, and only their order matters.
struct Shares {
  int64_t of_pixels = 1, of_columns = 1;

  Shares(int64_t threads, int64_t pixels, int64_t column_blocks, const Weights& w, bool zeros) {
    constexpr int64_t kGatherTap = 2, kSumTap = 40, kArrangeWord = 32;
    int64_t least = 0;
    for (int64_t columns = 1; columns <= std::min(threads, column_blocks); columns++) {
      const int64_t cut = std::min(threads / columns, ceil_div(pixels, kPixelStep));
      const int64_t blocks = ceil_div(column_blocks, columns);
      const int64_t cost = ceil_div(pixels, cut) * (w.taps * kGatherTap + blocks * w.row()) +
                           blocks * ((zeros ? w.taps * kSumTap : 0) + (w.blocks ? 0 : w.row() * kArrangeWord));
      if (columns == 1 || cost < least) {
        least = cost;
        of_pixels = cut;
        of_columns = columns;
      }
    }
  }
};

}  // namespace

void xnor_conv2d(const Machine& on, const uint32_t* x, int64_t batch, int64_t channels, const Window& v,
                 const Weights& w, const Thresholds* thresholds, void* out) {
  const int64_t pixels = batch * v.out_h * v.out_w;
  if (pixels == 0) return;
  const Kernels& kernels = on.kernels;
  const int64_t words = w.words, row = w.row(), in_words = row_words(channels), out_words = row_words(w.n);
  const int32_t k = int32_t(channels * w.taps);
  int32_t* sums = static_cast<int32_t*>(out);
  uint32_t* bits = static_cast<uint32_t*>(out);

  const bool zeros = v.pad_value == 0 && (v.pad_h > 0 || v.pad_w > 0);
  bool stream = false;
  if (!thresholds && is_large(pixels, w.n)) {
    ask_for_large_pages(out, pixels * w.n * int64_t(sizeof(int32_t)));
    stream = can_stream(out, w.n);
  }
  const Gather gather_pixels = gather_of(words);
  const int64_t column_blocks = ceil_div(w.n, kColumns), pixel_steps = ceil_div(pixels, kPixelStep);
  const Shares shares(on.threads, pixels, column_blocks, w, zeros);
  // All of a call in one parallel region, whose threads make what they need by themselves from what the closure holds:
  // at batch 1 a second region, or lines fetched from the other core's cache, would show.
  on.parallel(shares.of_pixels * shares.of_columns, 1, [=, &kernels](int64_t begin, int64_t end) {
    // What a tap outside the image reads: the bits of +1, or those of -1. Pad value 0 reads -1 too, and `base` gives
    // back what that -1 took away; it depends on which taps are outside, hence on the class of the pixel's row and
    // column.
    std::vector<uint32_t> outside(size_t(words), 0);
    for (int64_t c = 0; c < channels && v.pad_value > 0; c++) outside[size_t(c / 32)] |= uint32_t(1) << (c % 32);
    const Classes rows(zeros ? v.out_h : 1, v.height, v.kernel_h, v.stride_h, v.pad_h, v.dilation_h);
    const Classes places(zeros ? v.out_w : 1, v.width, v.kernel_w, v.stride_w, v.pad_w, v.dilation_w);
    for (int64_t share = begin; share < end; share++) {
      const int64_t part = share / shares.of_columns, group = share % shares.of_columns;
      const int64_t start = pixel_steps * part / shares.of_pixels * kPixelStep;
      const int64_t stop = std::min(pixels, pixel_steps * (part + 1) / shares.of_pixels * kPixelStep);
      const int64_t from = group * column_blocks / shares.of_columns;
      const int64_t blocks = (group + 1) * column_blocks / shares.of_columns - from, columns = blocks * kColumns;

      Scratch<uint32_t> arranged(w.blocks ? 0 : row * columns), gathered(kPixels * row);
      for (int64_t b = 0; b < blocks && !w.blocks; b++) {
        Blocks::arrange(kernels, w, from + b, arranged.get() + b * row * kColumns);
      }
      const uint32_t* arrangement = w.blocks ? w.blocks + from * row * kColumns : arranged.get();
      const auto valid = [&](int64_t b) { return columns_in(w.n, from + b); };
      // base[class][column]: at most as many numbers as one image of the int32 result
      Scratch<int32_t> base(rows.size() * places.size() * columns);
      std::fill_n(base.get(), rows.size() * places.size() * columns, k);
      for (int64_t b = 0; b < blocks && zeros; b++) {
        take_off_outside(kernels, v, arrangement + b * row * kColumns, words, channels, valid(b), rows, places,
                         base.get() + b * kColumns, columns);
      }
      std::unique_ptr<Compiled> compiled;
      if (thresholds) {
        compiled = std::make_unique<Compiled>(thresholds->threshold + from * kColumns,
                                              thresholds->direction + from * kColumns,
                                              std::min(columns, w.n - from * kColumns), kFlipInt, true);
      }

      // A row of this im2col is kh·kw·words words of bits, not kh·kw·channels floats.
      const int32_t* pixel_base[kPixels];
      for (int64_t first = start; first < stop; first += kPixels) {
        const int64_t count = std::min(kPixels, stop - first);
        Pixel at(v, first);
        gather_pixels(x, v, in_words, words, at, count, outside.data(), gathered.get());
        for (int64_t i = 0; i < count; i++, at.step(v)) {
          pixel_base[i] =
              base.get() + (zeros ? rows.of[size_t(at.y)] * places.size() + places.of[size_t(at.x)] : 0) * columns;
        }
        if (thresholds && group == 0) clear_tails(bits + first * out_words, count, w.n);
        for (int64_t b = 0; b < blocks; b++) {
          const uint32_t* block = arrangement + b * row * kColumns;
          if (thresholds) {
            kernels.xnor_sign(gathered.get(), row, count, block, row, pixel_base, compiled->from(b * kColumns),
                              bits + first * out_words + (from + b) * 2, out_words, valid(b));
          } else {
            kernels.xnor(gathered.get(), row, count, block, row, pixel_base, sums + first * w.n + (from + b) * kColumns,
                         w.n, valid(b), stream);
          }
          for (int64_t i = 0; i < count; i++) pixel_base[i] += kColumns;
        }
      }
    }
    finish_stores(stream);
  });
}

}  // namespace qbench
