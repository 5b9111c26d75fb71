//! The heads' vector-Jacobian products against candle's automatic differentiation, which shares no code with them.

use candle_core::{Device, Tensor, Var};
use famlens::Result;
use famlens::fam::head::{Activation, Head, Layer};

fn values(seed: u32, count: usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn linear(seed: u32, inputs: usize, outputs: usize) -> Layer {
    Layer::Linear { inputs, weight: values(seed, inputs * outputs), bias: values(seed + 1, outputs) }
}

/// `d . head(x)` differentiated by `x`, by candle.
fn by_candle(head: &Head, x: &[f32], d: &[f32]) -> candle_core::Result<(Vec<f32>, Vec<f32>)> {
    let device = Device::Cpu;
    let input = Var::from_tensor(&Tensor::from_slice(x, (1, x.len()), &device)?)?;
    let mut y = input.as_tensor().clone();
    for layer in head.layers() {
        y = match layer {
            Layer::Linear { inputs, weight, bias } => {
                let weight = Tensor::from_slice(weight, (bias.len(), *inputs), &device)?;
                y.matmul(&weight.t()?)?.broadcast_add(&Tensor::from_slice(bias, (1, bias.len()), &device)?)?
            }
            Layer::Scale { scale, shift } => {
                let shape = (1, scale.len());
                let scale = Tensor::from_slice(scale, shape, &device)?;
                y.broadcast_mul(&scale)?.broadcast_add(&Tensor::from_slice(shift, shape, &device)?)?
            }
            Layer::Activation(Activation::Relu) => y.relu()?,
            Layer::Activation(Activation::Gelu) => y.gelu_erf()?,
            Layer::Activation(Activation::Silu) => y.silu()?,
            Layer::Activation(Activation::Tanh) => y.tanh()?,
            Layer::Activation(Activation::Sigmoid) => y.neg()?.exp()?.affine(1.0, 1.0)?.recip()?,
            Layer::Activation(Activation::Clip(lo, hi)) => y.clamp(*lo, *hi)?,
            Layer::Activation(Activation::LeakyRelu(slope)) => (y.relu()? - (y.neg()?.relu()? * f64::from(*slope))?)?,
        };
    }
    let direction = Tensor::from_slice(d, (1, d.len()), &device)?;
    let gradients = (&y * &direction)?.sum_all()?.backward()?;
    let gradient = gradients.get(&input).expect("the input has a gradient");
    Ok((y.flatten_all()?.to_vec1()?, gradient.flatten_all()?.to_vec1()?))
}

#[test]
fn heads_and_their_derivatives_equal_candles() -> Result<()> {
    let activations = [
        Activation::Relu,
        Activation::Gelu,
        Activation::Silu,
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::Clip(-0.5, 0.75),
        Activation::LeakyRelu(0.1),
    ];
    for activation in activations {
        let scale = Layer::Scale { scale: values(5, 9), shift: values(6, 9) };
        let layers = vec![linear(1, 7, 9), scale, Layer::Activation(activation), linear(3, 9, 4)];
        let head = Head::new(layers)?;
        for seed in [10, 20, 30] {
            let (x, d) = (values(seed, 7), values(seed + 1, 4));
            let (y, gradient) = by_candle(&head, &x, &d).expect("candle computes it");
            let (found, back) = (head.forward(&x)?, head.pull_back(&x, &d)?);
            let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 2e-5);
            assert!(close(&found, &y), "{activation:?}: {found:?} and not {y:?}");
            assert!(close(&back, &gradient), "{activation:?}: {back:?} and not {gradient:?}");
        }
    }
    Ok(())
}

#[test]
fn layers_that_do_not_fit_are_refused_by_name() {
    let misfit = Head::new(vec![linear(1, 7, 9), linear(3, 8, 4)]).map(|_| ()).map_err(|e| e.to_string());
    assert!(misfit.is_err_and(|m| m.contains("layer 1") && m.contains("takes 8")));
    let head = Head::new(vec![linear(1, 7, 9)]).expect("one layer fits");
    assert!(head.forward(&[0.0; 6]).is_err_and(|e| e.to_string().contains("7 features")));
    assert!(head.pull_back(&[0.0; 7], &[0.0; 3]).is_err());
}
