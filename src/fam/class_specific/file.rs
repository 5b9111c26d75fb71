//! The file of [`Statistics`]: correlations as 16-bit integers, everything else as it is.
//!
//! All numbers little endian:
//!
//! | bytes | content |
//! |---|---|
//! | 8 | `FAMSTAT1` |
//! | 4 | `H`, a multiple of 4 |
//! | `H` | [`Origin`] as JSON, padded with spaces |
//! | `4 C` | `mu`, f32 |
//! | `4 C` | standard deviations `sigma_j = sqrt(Sigma_jj)`, f32; 0 for a channel that never changes |
//! | `C (C - 1)` | `round(32767 Sigma_jk / (sigma_j sigma_k))`, i16, the strictly lower triangle row by row |
//! | `4 D` | the head's mean cell, f32, if the header names a head |
//!
//! The shrinkage is not in the file: it is applied when statistics are used, so files can be merged. 110 kB for 320
//! channels with a head of 1280; the evidence moves by less than 1e-5 against f64 (by 1e-4 with half floats, 1e-2 with
//! int8).

use super::statistics::{Origin, Statistics, triangle};
use crate::error::{Error, Result};

const MAGIC: &[u8; 8] = b"FAMSTAT1";
const STEPS: f64 = 32767.0;
/// More channels than this would be a covariance of half a gigabyte: no such layer is whitened.
const MOST_CHANNELS: usize = 16384;

impl Statistics {
    /// The bytes of a statistics file.
    ///
    /// # Errors
    /// [`Error::Argument`] if the header cannot be written, which no statistics make it.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let header = serde_json::to_string(&self.origin).map_err(|e| refused(e.to_string()))?;
        let length = header.len().next_multiple_of(4);
        let mut bytes = MAGIC.to_vec();
        bytes.extend((length as u32).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.resize(12 + length, b' ');
        let floats = |values: &[f64]| values.iter().flat_map(|&v| (v as f32).to_le_bytes()).collect::<Vec<_>>();
        bytes.extend(floats(&self.mean));
        let deviations: Vec<f64> = (0..self.mean.len()).map(|j| self.covariance(j, j).max(0.0).sqrt()).collect();
        bytes.extend(floats(&deviations));
        for (j, sj) in deviations.iter().enumerate() {
            for (k, sk) in deviations.iter().take(j).enumerate() {
                let scale = sj * sk;
                let r = if scale > 0.0 { (STEPS * self.covariance(j, k) / scale).round_ties_even() } else { 0.0 };
                bytes.extend((r.clamp(-STEPS, STEPS) as i16).to_le_bytes());
            }
        }
        bytes.extend(floats(&self.head_mean));
        Ok(bytes)
    }

    /// Reads a statistics file.
    ///
    /// # Errors
    /// [`Error::Argument`] naming what is wrong with it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut rest = bytes.strip_prefix(MAGIC).ok_or_else(|| {
            refused("it does not begin with FAMSTAT1; `famlens statistics` and `lens.adaptStatistics` write such files")
        })?;
        let length = u32::from_le_bytes(take::<4>(&mut rest)?) as usize;
        let (header, body) = rest.split_at_checked(length).ok_or_else(short)?;
        let header = str::from_utf8(header).map_err(|e| refused(format!("its header is not text: {e}")))?;
        let origin: Origin =
            serde_json::from_str(header.trim_end()).map_err(|e| refused(format!("its header: {e}")))?;
        let (channels, head) = (origin.channels, origin.head.as_ref().map_or(0, |h| h.channels));
        if !(1..=MOST_CHANNELS).contains(&channels) || head > MOST_CHANNELS {
            return Err(refused(format!(
                "{channels} channels and {head} of the head are not within 1 to {MOST_CHANNELS}"
            )));
        }
        if origin.width == 0 || origin.height == 0 || origin.images == 0 || origin.cells < 2 {
            return Err(refused("its header counts no images or no pixels"));
        }
        let expected = 8 * channels + channels * (channels - 1) + 4 * head;
        if body.len() != expected {
            return Err(refused(format!("{} bytes follow its header, and {expected} should", body.len())));
        }
        rest = body;
        let mean = floats(&mut rest, channels)?;
        let deviations = floats(&mut rest, channels)?;
        if deviations.iter().any(|&s| s < 0.0) {
            return Err(refused("a standard deviation is negative"));
        }
        let mut covariance = Vec::with_capacity(triangle(channels));
        for (j, sj) in deviations.iter().enumerate() {
            for sk in deviations.iter().take(j) {
                covariance.push(sj * sk * f64::from(i16::from_le_bytes(take::<2>(&mut rest)?)) / STEPS);
            }
            covariance.push(sj * sj);
        }
        let head_mean = floats(&mut rest, head)?;
        Ok(Self { origin, mean, covariance, head_mean })
    }
}

fn refused(reason: impl Into<String>) -> Error {
    Error::argument("statistics file", reason)
}

fn short() -> Error {
    refused("it ends too early")
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N]> {
    let (first, after) = rest.split_first_chunk::<N>().ok_or_else(short)?;
    *rest = after;
    Ok(*first)
}

fn floats(rest: &mut &[u8], n: usize) -> Result<Vec<f64>> {
    let finite =
        |v: f32| if v.is_finite() { Ok(f64::from(v)) } else { Err(refused("it holds values that are not finite")) };
    (0..n).map(|_| finite(f32::from_le_bytes(take::<4>(rest)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Accumulator;
    use super::*;
    use crate::tensor::Tensor;

    fn statistics() -> Statistics {
        let mut sums = Accumulator::new();
        // The third channel never changes.
        let data = vec![1.0, -2.0, 0.5, 4.0, 0.0, 3.0, -1.0, 5.0, 7.0, 7.0, 7.0, 7.0];
        sums.add(&Tensor::new([1, 3, 2, 2], data).unwrap(), Some(("head", &[0.25, 0.5]))).unwrap();
        sums.finish("layer", (64, 32), "four cells").unwrap()
    }

    #[test]
    fn a_file_holds_what_was_written() -> Result<()> {
        let (written, read) = (statistics(), Statistics::from_bytes(&statistics().to_bytes()?)?);
        assert_eq!((read.origin(), read.head_mean()), (written.origin(), written.head_mean()));
        assert_eq!(written.mean(), read.mean());
        for j in 0..3 {
            for k in 0..3 {
                assert!((written.covariance(j, k) - read.covariance(j, k)).abs() < 1e-3, "{j} {k}");
            }
        }
        assert_eq!((read.covariance(2, 2), read.covariance(2, 0)), (0.0, 0.0));
        Ok(())
    }

    #[test]
    fn every_shortened_or_lengthened_file_is_refused() -> Result<()> {
        let bytes = statistics().to_bytes()?;
        for n in 0..bytes.len() {
            assert!(Statistics::from_bytes(&bytes[..n]).is_err(), "{n} bytes");
        }
        assert!(Statistics::from_bytes(&[&bytes[..], &[0]].concat()).is_err_and(|e| e.to_string().contains("should")));
        Ok(())
    }

    #[test]
    fn what_is_wrong_is_named() -> Result<()> {
        let bytes = statistics().to_bytes()?;
        let message = |bytes: &[u8]| Statistics::from_bytes(bytes).map(|_| ()).map_err(|e| e.to_string());
        assert!(message(b"PNG").is_err_and(|m| m.contains("FAMSTAT1")));
        let mut nan = bytes.clone();
        let at = nan.len() - 4;
        nan[at..].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(message(&nan).is_err_and(|m| m.contains("finite")));
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(text.contains(r#""channels":3"#));
        let header = bytes.windows(12).position(|w| w == br#""channels":3"#).unwrap();
        let mut other = bytes.clone();
        other[header + 11] = b'2';
        assert!(message(&other).is_err_and(|m| m.contains("should")));
        other[header + 11] = b'0';
        assert!(message(&other).is_err_and(|m| m.contains("channels")));
        Ok(())
    }
}
