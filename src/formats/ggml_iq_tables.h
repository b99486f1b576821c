#pragma once

// The grids of ggml's IQ types: the points that a group of 8 (or 4) elements
// can take. Each grid is a set in ascending order, so a bitmap of the set is
// all that is stored; the tables are made from it by the compiler.

#include <array>
#include <cstddef>
#include <cstdint>

namespace assay::ggml {

template <size_t Points, size_t Width>
using Grid = std::array<std::array<int8_t, Width>, Points>;

extern const Grid<256, 8> kGridIq2Xxs;
extern const Grid<512, 8> kGridIq2Xs;
extern const Grid<1024, 8> kGridIq2S;
extern const Grid<256, 4> kGridIq3Xxs;
extern const Grid<512, 4> kGridIq3S;
extern const Grid<2048, 8> kGridIq1;  ///< IQ1_S and IQ1_M

}  // namespace assay::ggml
