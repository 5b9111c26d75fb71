//! The kernels against plain loops, for every instruction set of this machine. Sizes are those at which kernels change
//! their ways: below, at and above whole vectors, panels, tiles and blocks. Small enough for Miri, which runs them too
//! (`cargo xtask miri`) and sees the portable kernels only.

use super::*;
use crate::engine::cpu::weights::WeightStore;
use crate::graph::PoolKind;

const ALL: [f32; 2] = [f32::NEG_INFINITY, f32::INFINITY];

/// Values in -1..1 that repeat late.
fn values(seed: usize, len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.0 - 1.0).collect()
}

fn close(found: &[f32], expected: &[f64], limit: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (&a, &b)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(a) - b).abs() <= limit, "{what}: value {i} is {a}, and should be {b}");
    }
}

/// `[m, n]` of `x W^T + b + r`, clamped.
fn product(m: usize, [n, k]: [usize; 2], x: &[f32], w: &[f64], bias: &[f32], r: &[f32], clamp: [f32; 2]) -> Vec<f64> {
    let cell = |row: usize, o: usize| {
        let sum: f64 = (0..k).map(|i| f64::from(x[row * k + i]) * w[o * k + i]).sum();
        let y = sum + f64::from(bias[o]) + f64::from(r[row * n + o]);
        y.max(clamp[0].into()).min(clamp[1].into())
    };
    (0..m * n).map(|i| cell(i / n, i % n)).collect()
}

const PRODUCTS: &[(usize, usize, usize)] =
    &[(1, 1, 1), (1, 3, 5), (2, 4, 8), (5, 9, 7), (6, 17, 4), (7, 33, 12), (13, 40, 3), (50, 5, 6), (3, 64, 31)];

/// Miri takes its time.
fn products() -> &'static [(usize, usize, usize)] {
    if cfg!(miri) { &PRODUCTS[..6] } else { PRODUCTS }
}

#[test]
fn products_of_every_size() {
    let store = WeightStore::default();
    for isa in Isa::available() {
        for &(m, n, k) in products() {
            let (x, w, bias, r) = (values(1, m * k), values(2, n * k), values(3, n), values(4, m * n));
            let wide: Vec<f64> = w.iter().map(|&w| w.into()).collect();
            let dense = Dense::pack(isa, &store, [n, k], &w, &bias).unwrap();
            let mut y = vec![9.0; m * n];
            let rows = |stride| Rows { start: 0, stride };
            dense.apply(m, &x, rows(k), &mut y, rows(n), Some(&r), [-0.5, 0.75]).unwrap();
            let expected = product(m, [n, k], &x, &wide, &bias, &r, [-0.5, 0.75]);
            close(&y, &expected, 1e-5, &format!("{} {m} {n} {k}", isa.name()));
            // Without a bias, from the other side, in memory that had another product.
            let mut packed = Dense::new(isa);
            packed.repack([k, n], &w, true).unwrap();
            packed.repack([n, k], &w, false).unwrap();
            packed.apply(m, &x, rows(k), &mut y, rows(n), None, ALL).unwrap();
            let expected = product(m, [n, k], &x, &wide, &vec![0.0; n], &vec![0.0; m * n], ALL);
            close(&y, &expected, 1e-5, &format!("repacked, {} {m} {n} {k}", isa.name()));
        }
    }
}

#[test]
fn products_in_sixteen_bits_of_every_size() {
    let store = WeightStore::default();
    for isa in Isa::available() {
        for &(m, n, k) in products() {
            let (x, bias, r) = (values(1, m * k), values(3, n), values(4, m * n));
            let w: Vec<i8> = (0..n * k).map(|i| (i * 37 % 255) as u8 as i8).collect();
            let scales: Vec<f32> = (0..n).map(|o| (1 + o % 3) as f32 / 300.0).collect();
            let wide: Vec<f64> = (0..n * k).map(|i| f64::from(w[i]) * f64::from(scales[i / k])).collect();
            let fixed = Fixed::pack(isa, &store, [n, k], &w, &scales, &bias).unwrap();
            let (mut y, mut quantized) = (vec![9.0; m * n], Quantized::default());
            fixed.reserve(&mut quantized).unwrap();
            let rows = |stride| Rows { start: 0, stride };
            fixed.apply(m, &x, rows(k), &mut y, rows(n), Some(&r), &mut quantized, ALL).unwrap();
            let expected = product(m, [n, k], &x, &wide, &bias, &r, ALL);
            close(&y, &expected, 2e-3, &format!("{} {m} {n} {k}", isa.name()));
        }
    }
}

#[test]
fn rows_of_a_product_may_be_apart() {
    let store = WeightStore::default();
    for isa in Isa::available() {
        let (w, x) = (values(2, 3 * 2), values(1, 30));
        let dense = Dense::pack(isa, &store, [3, 2], &w, &[0.0; 3]).unwrap();
        let mut y = vec![7.0; 20];
        let (from, to) = (Rows { start: 1, stride: 7 }, Rows { start: 2, stride: 5 });
        dense.apply(4, &x, from, &mut y, to, None, ALL).unwrap();
        for (i, &y) in y.iter().enumerate() {
            let inside = i >= 2 && (i - 2) % 5 < 3;
            let (row, o) = (i.saturating_sub(2) / 5, i.saturating_sub(2) % 5);
            let expected = if inside { (0..2).map(|k| x[1 + row * 7 + k] * w[o * 2 + k]).sum() } else { 7.0 };
            assert!((y - expected).abs() < 1e-6, "{} at {i}: {y} and not {expected}", isa.name());
        }
        // One value less, and the last row would leave.
        assert!(dense.apply(4, &x[..24], from, &mut y, to, None, ALL).is_ok());
        assert!(dense.apply(4, &x[..23], from, &mut y, to, None, ALL).is_err());
        assert!(dense.apply(4, &x, from, &mut y[..19], to, None, ALL).is_err());
    }
}

/// Kernel, stride, dilation, pad before and input cells, along both axes.
type Window = ([usize; 2], [usize; 2], [usize; 2], [usize; 2], [usize; 2]);

const WINDOWS: &[Window] = &[
    ([1, 1], [1, 1], [1, 1], [0, 0], [3, 4]),
    ([3, 3], [1, 1], [1, 1], [1, 1], [5, 11]),
    ([3, 3], [2, 2], [1, 1], [0, 0], [7, 15]),
    ([5, 5], [1, 1], [1, 1], [2, 2], [6, 12]),
    ([5, 5], [2, 2], [1, 1], [2, 1], [6, 13]),
    ([3, 3], [1, 1], [2, 2], [2, 2], [6, 7]),
    ([3, 3], [2, 3], [3, 2], [1, 4], [9, 9]),
    ([2, 3], [1, 1], [1, 1], [0, 2], [2, 1]),
    ([3, 3], [1, 1], [5, 5], [5, 5], [2, 2]),
];

/// The axes of a window that reaches as far behind the input as before it.
fn axes((kernel, strides, dilations, pads, input): Window) -> [Axis; 2] {
    let output = [0, 1].map(|i| (input[i] + 2 * pads[i] - (kernel[i] - 1) * dilations[i] - 1) / strides[i] + 1);
    Axis::both([input, output], kernel, strides, dilations, [pads[0], pads[1], pads[0], pads[1]]).unwrap()
}

/// The input cell under each tap of an output cell, `None` in the padding, by the definition of a window.
fn taps((kernel, strides, dilations, pads, input): Window, oy: usize, ox: usize) -> Vec<Option<usize>> {
    let at = |i: usize, o: usize, tap: usize| (o * strides[i] + tap * dilations[i]).checked_sub(pads[i]);
    let inside = |i: usize, o: usize, tap: usize| at(i, o, tap).filter(|&p| p < input[i]);
    let cell = |tap: usize| {
        let (y, x) = (inside(0, oy, tap / kernel[1])?, inside(1, ox, tap % kernel[1])?);
        Some(y * input[1] + x)
    };
    (0..kernel[0] * kernel[1]).map(cell).collect()
}

#[test]
fn depthwise_windows_of_every_kind() {
    let store = WeightStore::default();
    for isa in Isa::available() {
        for &window in WINDOWS {
            // Miri takes its time, and its vectors are of four.
            for &channels in if cfg!(miri) { &[5][..] } else { &[1, 4, 5, 16, 19] } {
                let axes = axes(window);
                let count = axes[0].kernel() * axes[1].kernel();
                let [cells, out] = [axes[0].input() * axes[1].input(), axes[0].output() * axes[1].output()];
                let (x, w) = (values(1, cells * channels), values(2, channels * count));
                let (bias, r) = (values(3, channels), values(4, out * channels));
                let depthwise = Depthwise::pack(isa, &store, channels, axes, &w, &bias).unwrap();
                let mut y = vec![9.0; out * channels];
                depthwise.apply(&x, &mut y, Some(&r), [-1.5, 1.5]).unwrap();
                let value = |i: usize| {
                    let (cell, c) = (i / channels, i % channels);
                    let taps = taps(window, cell / axes[1].output(), cell % axes[1].output());
                    let term = |(tap, at): (usize, Option<usize>)| {
                        at.map_or(0.0, |at| f64::from(x[at * channels + c]) * f64::from(w[c * count + tap]))
                    };
                    let sum: f64 = taps.into_iter().enumerate().map(term).sum();
                    (sum + f64::from(bias[c]) + f64::from(r[i])).clamp(-1.5, 1.5)
                };
                let expected: Vec<f64> = (0..out * channels).map(value).collect();
                close(&y, &expected, 1e-5, &format!("{} {window:?} {channels}", isa.name()));
                assert!(depthwise.apply(&x[1..], &mut y, None, ALL).is_err());
                assert!(depthwise.apply(&x, &mut y[1..], None, ALL).is_err());
            }
        }
    }
}

/// Channels of input and output, cells of the input, padding before, of tiles of four and of two.
const TILED: &[([usize; 2], [usize; 2], [usize; 2])] = &[
    ([16, 16], [4, 4], [1, 1]),
    ([17, 35], [9, 6], [1, 1]),
    ([19, 16], [6, 13], [0, 0]),
    ([20, 24], [5, 4], [2, 1]),
    ([16, 33], [29, 30], [1, 2]),
    ([131, 130], [7, 5], [1, 1]),
    ([240, 70], [6, 8], [0, 2]),
];

#[test]
fn convolutions_by_minimal_filtering() {
    let store = WeightStore::default();
    let mut tiles = Tiles::default();
    for isa in Isa::available() {
        // Miri takes its time.
        for &([c, o], input, pads) in if cfg!(miri) { &TILED[..1] } else { TILED } {
            let window = ([3, 3], [1, 1], [1, 1], pads, input);
            let axes = axes(window);
            let [cells, out] = [input[0] * input[1], axes[0].output() * axes[1].output()];
            let (x, w) = (values(1, cells * c), values(2, o * c * 9));
            let (bias, r) = (values(3, o), values(4, out * o));
            assert!(Winograd::suits(axes, [c, o]));
            let convolution = Winograd::pack(isa, &store, [c, o], axes, &w, &bias).unwrap();
            convolution.reserve(&mut tiles).unwrap();
            let mut y = vec![9.0; out * o];
            convolution.apply(&x, &mut y, Some(&r), &mut tiles, [-9.5, 7.5]).unwrap();
            let value = |i: usize| {
                let (cell, o) = (i / o, i % o);
                let taps = taps(window, cell / axes[1].output(), cell % axes[1].output()).into_iter().enumerate();
                let inside = taps.filter_map(|(tap, at)| Some((tap, at?)));
                let of_channel = |(tap, at): (usize, usize), i: usize| {
                    f64::from(x[at * c + i]) * f64::from(w[(o * c + i) * 9 + tap])
                };
                let sum: f64 = inside.map(|place| (0..c).map(|i| of_channel(place, i)).sum::<f64>()).sum();
                (sum + f64::from(bias[o]) + f64::from(r[i])).clamp(-9.5, 7.5)
            };
            let expected: Vec<f64> = (0..out * o).map(value).collect();
            // Of sums of up to a thousand terms of either sign.
            close(&y, &expected, 4e-5, &format!("{} {window:?} {c} {o}", isa.name()));
            assert!(convolution.apply(&x[1..], &mut y, None, &mut tiles, ALL).is_err());
            assert!(convolution.apply(&x, &mut y[1..], None, &mut tiles, ALL).is_err());
            assert!(convolution.apply(&x, &mut y, None, &mut Tiles::default(), ALL).is_err());
        }
    }
}

#[test]
fn pools_of_every_kind() {
    for isa in Isa::available() {
        for &window in WINDOWS {
            for (channels, kind) in [
                (1, PoolKind::Max),
                (18, PoolKind::Max),
                (5, PoolKind::Average { count_include_pad: true }),
                (16, PoolKind::Average { count_include_pad: false }),
            ] {
                let axes = axes(window);
                let [cells, out] = [axes[0].input() * axes[1].input(), axes[0].output() * axes[1].output()];
                let x = values(1, cells * channels);
                let mut y = vec![9.0; out * channels];
                pool(isa, kind, channels, axes, &x, &mut y).unwrap();
                let value = |i: usize| {
                    let (cell, c) = (i / channels, i % channels);
                    let all = taps(window, cell / axes[1].output(), cell % axes[1].output());
                    let some: Vec<f64> = all.iter().flatten().map(|at| x[at * channels + c].into()).collect();
                    match kind {
                        PoolKind::Max => some.into_iter().fold(f64::NEG_INFINITY, f64::max),
                        PoolKind::Average { count_include_pad: true } => some.iter().sum::<f64>() / all.len() as f64,
                        PoolKind::Average { .. } => some.iter().sum::<f64>() / some.len().max(1) as f64,
                    }
                };
                let expected: Vec<f64> = (0..out * channels).map(value).collect();
                close(&y, &expected, 1e-5, &format!("{} {window:?} {channels} {kind:?}", isa.name()));
            }
        }
    }
}

/// Windows whose every derived index is near the end of what a `usize` holds, or past it.
#[test]
fn windows_at_the_end_of_memory_are_computed_or_refused() {
    let store = WeightStore::default();
    let half = usize::MAX / 2;
    let (mut refused, mut computed) = (0, 0);
    for isa in Isa::available() {
        for dilation in [half - 1, half, half + 1, usize::MAX - 1, usize::MAX] {
            for pad in [0, 1, half - 1, half, usize::MAX - 4, usize::MAX] {
                for kernel in [2, 3] {
                    let input = [4, 4];
                    let axes = Axis::both([input, [1, 4]], [1, kernel], [1, 1], [1, dilation], [0, pad, 0, 0]);
                    let Ok(axes) = axes else {
                        refused += 1;
                        continue;
                    };
                    computed += 1;
                    let (x, w) = (values(1, 16 * 5), values(2, 5 * kernel));
                    let depthwise = Depthwise::pack(isa, &store, 5, axes, &w, &[0.25; 5]).unwrap();
                    let mut y = vec![9.0; 4 * 5];
                    depthwise.apply(&x, &mut y, None, ALL).unwrap();
                    let value = |i: usize| {
                        let (ox, c) = (i / 5, i % 5);
                        let at = |tap: usize| ox as i128 + tap as i128 * dilation as i128 - pad as i128;
                        let term = |tap: usize| match usize::try_from(at(tap)) {
                            Ok(ix) if ix < 4 => f64::from(x[ix * 5 + c]) * f64::from(w[c * kernel + tap]),
                            _ => 0.0,
                        };
                        0.25 + (0..kernel).map(term).sum::<f64>()
                    };
                    let expected: Vec<f64> = (0..20).map(value).collect();
                    close(&y, &expected, 1e-6, &format!("{} {axes:?}", isa.name()));
                    pool(isa, PoolKind::Max, 5, axes, &x, &mut y).unwrap();
                }
            }
        }
    }
    assert!(refused > 0 && computed > 0, "{refused} refused, {computed} computed");
}

#[test]
fn rows_are_normalised_and_shared_out() {
    for isa in Isa::available() {
        for n in [1, 7, 16, 35] {
            let (x, scale, bias) = (values(1, 3 * n), values(2, n), values(3, n));
            let mut y = vec![9.0; 3 * n];
            layer_norm(isa, [&scale, &bias], 1e-3, &x, &mut y).unwrap();
            for (row, y) in x.chunks(n).zip(y.chunks(n)) {
                let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / n as f64;
                let variance = row.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n as f64;
                let normal = |i: usize| (f64::from(row[i]) - mean) / (variance + 1e-3).sqrt();
                let expected: Vec<f64> = (0..n).map(|i| normal(i) * f64::from(scale[i]) + f64::from(bias[i])).collect();
                close(y, &expected, 1e-5, &format!("{} {n}", isa.name()));
            }
            let mut shares = x.clone();
            softmax(isa, n, 2.0, Some((&bias, &|_| (0, 1))), &mut shares).unwrap();
            for (row, y) in x.chunks(n).zip(shares.chunks(n)) {
                let all: Vec<f64> =
                    row.iter().zip(&bias).map(|(&v, &b)| (2.0 * f64::from(v) + f64::from(b)).exp()).collect();
                let total: f64 = all.iter().sum();
                close(y, &all.iter().map(|e| e / total).collect::<Vec<_>>(), 1e-6, &format!("{} {n}", isa.name()));
            }
            assert!(softmax(isa, n, 1.0, Some((&bias, &|_| (1, 1))), &mut shares).is_err(), "a mask that ends early");
            assert!(softmax(isa, n, 1.0, Some((&bias, &|_| (usize::MAX, 1))), &mut shares).is_err());
        }
    }
}
