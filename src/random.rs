//! Random draws that are the same on every machine, also where an address has 32 bits, as on the page.

/// A stream of random numbers, the same for the same seed.
pub(crate) struct Rng(fastrand::Rng);

impl Rng {
    pub(crate) fn with_seed(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// A stream of its own, which the draws that follow do not change.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.0.fork())
    }

    /// A number of 0 to 1, without 1.
    pub(crate) fn f32(&mut self) -> f32 {
        self.0.f32()
    }

    /// A number of 0 to 1, without 1.
    pub(crate) fn f64(&mut self) -> f64 {
        self.0.f64()
    }

    /// A number below `n`; 0 if `n` is 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        // Drawn as 64 bits: a `usize` takes other bits of the stream on the page than on the command line.
        let drawn = if n == 0 { 0 } else { self.0.u64(..n as u64) };
        usize::try_from(drawn).unwrap_or(0)
    }

    /// Puts a slice in a random order.
    pub(crate) fn shuffle<T>(&mut self, slice: &mut [T]) {
        for at in 1..slice.len() {
            slice.swap(at, self.below(at + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_those_of_64_bits_everywhere() {
        let mut order: Vec<usize> = (0..10).collect();
        Rng::with_seed(1).shuffle(&mut order);
        let mut expected: Vec<usize> = (0..10).collect();
        let mut bits = fastrand::Rng::with_seed(1);
        (1..10).for_each(|at| expected.swap(at, bits.u64(..=at as u64) as usize));
        assert_eq!(order, expected);
        assert_eq!((Rng::with_seed(1).below(0), Rng::with_seed(1).below(1)), (0, 0));
    }
}
