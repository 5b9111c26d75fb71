//! The values of an activation that calibration sees, and the 256 levels that follow from them.

use crate::choice::choice;
use crate::error::{Error, Result};

/// Bins on each side of zero: a step of 8 bits over the whole range is at least sixteen of them.
const BINS: usize = 4096;

/// How the range that 256 levels cover follows from the values that an activation took.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RangeMethod {
    /// The one with the least squared error.
    #[default]
    SquaredError,
    /// From the least to the largest value.
    MinMax,
    /// Without the most extreme values.
    Percentile,
}

choice!(RangeMethod, "range", {
    SquaredError: "mse", "Least squared error",
        "Shrinks each end of the range as long as clipping outliers costs less than coarser steps for all other values would.",
        "Nagel et al., arXiv 2106.08295, section 3.1", "";
    MinMax: "min-max", "Least to largest",
        "Covers every value that was seen, so that one outlier makes all steps coarser.",
        "Krishnamoorthi, arXiv 1806.08342, section 2.4", "";
    Percentile: "percentile", "99.99 % of the values",
        "Leaves the 0.01 % of the values at each end out of the range, whatever that costs.",
        "Wu et al., arXiv 2004.09602, section 5.2", "";
});

/// The type of quantised activations; both have 256 levels and a zero point, and lose the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LevelType {
    /// 0 to 255.
    #[default]
    Unsigned,
    /// -128 to 127.
    Signed,
}

choice!(LevelType, "activations", {
    Unsigned: "uint8", "uint8", "Activations are whole numbers from 0 to 255, as most runtimes have them.", "ONNX QuantizeLinear", "";
    Signed: "int8", "int8", "Activations are whole numbers from -128 to 127, as some accelerators want them.", "ONNX QuantizeLinear", "";
});

impl LevelType {
    /// The least and the largest level.
    pub fn ends(self) -> [i32; 2] {
        match self {
            Self::Unsigned => [0, 255],
            Self::Signed => [-128, 127],
        }
    }
}

/// Scale and zero point of an activation: `x` is `(q - zero) * scale`.
#[derive(Clone, Copy, PartialEq, Debug, serde::Serialize)]
pub struct Levels {
    /// The step between two levels; positive.
    pub scale: f32,
    /// The level of 0.
    pub zero: i32,
}

impl Levels {
    /// The levels that cover a range, widened to hold 0, which is then a level itself (padding and ReLU need it to be).
    ///
    /// ```
    /// use famlens::quant::{LevelType, Levels};
    /// let levels = Levels::new(0.0, 6.0, LevelType::Unsigned);
    /// assert_eq!((levels.scale, levels.zero), (6.0 / 255.0, 0));
    /// ```
    pub fn new(low: f32, high: f32, kind: LevelType) -> Self {
        let (low, high) = (f64::from(low.min(0.0)), f64::from(high.max(0.0)));
        let [least, largest] = kind.ends();
        let scale = ((high - low) / f64::from(largest - least)) as f32;
        // What is always 0 needs a scale that can be divided by.
        let scale = if scale.is_normal() { scale } else { 1.0 };
        let zero = (f64::from(least) - low / f64::from(scale)).round_ties_even();
        Self { scale, zero: (zero as i32).clamp(least, largest) }
    }

    /// The value of the level next to `x`.
    fn round(self, x: f32, [least, largest]: [i32; 2]) -> f32 {
        let q = ((x / self.scale).round_ties_even() + self.zero as f32).clamp(least as f32, largest as f32);
        (q - self.zero as f32) * self.scale
    }
}

/// The values that an activation took over some images: their ends, and a histogram that widens as they do.
#[derive(Clone, PartialEq, Debug)]
pub struct Observer {
    low: f32,
    high: f32,
    /// How many values, zeros included; those are in no bin, since 0 is always a level.
    count: u64,
    /// The bins lie within `-reach..reach`; a power of two, 0 while nothing but zeros was seen.
    reach: f32,
    bins: Vec<u64>,
}

impl Default for Observer {
    fn default() -> Self {
        Self { low: 0.0, high: 0.0, count: 0, reach: 0.0, bins: Vec::new() }
    }
}

impl Observer {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts values.
    ///
    /// # Errors
    /// [`Error::Argument`] if one is not finite.
    pub fn add(&mut self, values: &[f32]) -> Result<()> {
        let (mut low, mut high) = (self.low, self.high);
        for &v in values {
            if !v.is_finite() {
                return Err(Error::argument("activation", format!("it took the value {v}, which no range can hold")));
            }
            low = low.min(v);
            high = high.max(v);
        }
        (self.low, self.high) = (low, high);
        self.count += values.len() as u64;
        self.widen(high.max(-low));
        if self.reach > 0.0 {
            let per_bin = BINS as f32 / self.reach;
            for &v in values.iter().filter(|v| **v != 0.0) {
                let bin = (v * per_bin).floor() + BINS as f32;
                self.bins[(bin as usize).min(2 * BINS - 1)] += 1;
            }
        }
        Ok(())
    }

    /// Makes room for values up to `largest`: each pair of bins becomes one as the reach doubles.
    fn widen(&mut self, largest: f32) {
        if largest == 0.0 {
            return;
        }
        if self.bins.is_empty() {
            self.bins = vec![0; 2 * BINS];
            self.reach = f32::MIN_POSITIVE.max(2f32.powi(largest.log2().floor() as i32));
        }
        // The largest float has no power of two above it.
        while self.reach <= largest && self.reach < f32::MAX / 2.0 {
            let pairs: Vec<u64> = self.bins.as_chunks::<2>().0.iter().map(|[a, b]| a + b).collect();
            self.bins.fill(0);
            self.bins[BINS / 2..BINS / 2 + BINS].copy_from_slice(&pairs);
            self.reach *= 2.0;
        }
    }

    /// The least and the largest value, 0 included.
    pub fn ends(&self) -> [f32; 2] {
        [self.low, self.high]
    }

    /// The range that the levels should cover; it holds 0.
    pub fn range(&self, method: RangeMethod, kind: LevelType) -> [f32; 2] {
        match method {
            RangeMethod::MinMax => [self.low, self.high],
            RangeMethod::Percentile => self.percentile(1e-4),
            RangeMethod::SquaredError => self.least_squared_error(kind),
        }
    }

    /// Occupied bins: the middle of each, and how many values.
    fn occupied(&self) -> impl DoubleEndedIterator<Item = (f32, u64)> {
        let middle = |i: usize| (i as f32 + 0.5 - BINS as f32) / BINS as f32 * self.reach;
        self.bins.iter().enumerate().filter(|(_, n)| **n > 0).map(move |(i, &n)| (middle(i), n))
    }

    /// The range without at most that part of the values at each end.
    fn percentile(&self, part: f64) -> [f32; 2] {
        let may_go = (self.count as f64 * part) as u64;
        let half = self.reach / (2 * BINS) as f32;
        fn end(mut bins: impl Iterator<Item = (f32, u64)>, may_go: u64) -> Option<f32> {
            let mut gone = 0;
            let stays = |(_, n): &(f32, u64)| {
                gone += n;
                gone > may_go
            };
            bins.find(stays).map(|(x, _)| x)
        }
        let low = end(self.occupied(), may_go).map_or(0.0, |x| x - half);
        let high = end(self.occupied().rev(), may_go).map_or(0.0, |x| x + half);
        [low.clamp(self.low, 0.0), high.clamp(0.0, self.high)]
    }

    /// The range whose levels miss the values by the least sum of squares: one end after the other is tried at steps of
    /// 1/64 of what was seen, twice, since the best place of one depends a little on that of the other.
    fn least_squared_error(&self, kind: LevelType) -> [f32; 2] {
        let seen: Vec<(f32, u64)> = self.occupied().collect();
        let error = |[low, high]: [f32; 2]| {
            let (levels, ends) = (Levels::new(low, high, kind), kind.ends());
            seen.iter().map(|&(x, n)| f64::from(levels.round(x, ends) - x).powi(2) * n as f64).sum::<f64>()
        };
        let mut best = [self.low, self.high];
        let mut least = error(best);
        for end in [1, 0, 1, 0] {
            let whole = [self.low, self.high][end];
            if whole == 0.0 {
                continue;
            }
            for step in 8..=64u8 {
                let mut tried = best;
                tried[end] = whole * f32::from(step) / 64.0;
                let found = error(tried);
                if found < least {
                    (best, least) = (tried, found);
                }
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sum of squared errors of values rounded to the levels of a range, without any histogram.
    fn squared_error(values: &[f32], [low, high]: [f32; 2]) -> f64 {
        let kind = LevelType::Unsigned;
        let levels = Levels::new(low, high, kind);
        values.iter().map(|&x| f64::from(levels.round(x, kind.ends()) - x).powi(2)).sum()
    }

    /// About normal: the sum of twelve uniform values, with one outlier.
    fn bell() -> Vec<f32> {
        let mut state = 1u32;
        let mut uniform = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32
        };
        let mut values: Vec<f32> = (0..200_000).map(|_| (0..12).map(|_| uniform()).sum::<f32>() - 6.0).collect();
        values.push(7.0);
        values
    }

    #[test]
    fn levels_hold_zero_and_both_ends() {
        for (low, high) in [(-1.0, 3.0), (0.5, 2.0), (-7.0, -2.0), (0.0, 0.0), (-1e-30, 1e30)] {
            for kind in [LevelType::Unsigned, LevelType::Signed] {
                let levels = Levels::new(low, high, kind);
                assert_eq!(levels.round(0.0, kind.ends()), 0.0);
                for end in [low, high] {
                    let off = (levels.round(end, kind.ends()) - end).abs();
                    assert!(off <= 0.51 * levels.scale, "{low}..{high} {kind}: {end} is off by {off}");
                }
            }
        }
    }

    #[test]
    fn the_histogram_widens_without_losing_a_value() -> Result<()> {
        let mut observer = Observer::new();
        observer.add(&[0.0, 0.001, -0.002])?;
        observer.add(&[3.0, 100.0, -0.4])?;
        assert_eq!(observer.ends(), [-0.4, 100.0]);
        assert_eq!((observer.reach, observer.bins.iter().sum::<u64>(), observer.count), (128.0, 5, 6));
        observer.add(&[f32::MAX])?;
        assert_eq!(observer.bins.iter().sum::<u64>(), 6);
        assert!(observer.add(&[f32::NAN]).is_err_and(|e| e.to_string().contains("NaN")));
        Ok(())
    }

    #[test]
    fn an_outlier_costs_min_max_more_than_the_others() -> Result<()> {
        let values = bell();
        let mut observer = Observer::new();
        values.chunks(777).try_for_each(|part| observer.add(part))?;
        let range = |method| observer.range(method, LevelType::Unsigned);
        let [whole, most, best] = [RangeMethod::MinMax, RangeMethod::Percentile, RangeMethod::SquaredError].map(range);
        assert_eq!(whole, observer.ends());
        assert!(most[1] > 3.0 && most[1] < 5.0, "{most:?}: the outlier is one value of 200001");
        let error = [whole, most, best].map(|range| squared_error(&values, range));
        assert!(error[2] < error[0] && error[2] < error[1], "{error:?}");
        // No other pair of ends is much better than the pair that was found one end after the other.
        let others = (0..9).flat_map(|i| (0..9).map(move |j| [-3.4 - 0.3 * i as f32, 3.4 + 0.3 * j as f32]));
        let least = others.map(|ends| squared_error(&values, ends)).fold(f64::INFINITY, f64::min);
        assert!(error[2] < 1.03 * least, "{} against {least}", error[2]);
        Ok(())
    }

    #[test]
    fn what_is_always_zero_has_levels() {
        let observer = Observer::new();
        for method in [RangeMethod::MinMax, RangeMethod::Percentile, RangeMethod::SquaredError] {
            let [low, high] = observer.range(method, LevelType::Signed);
            assert_eq!(Levels::new(low, high, LevelType::Signed), Levels { scale: 1.0, zero: -128 });
        }
    }
}
