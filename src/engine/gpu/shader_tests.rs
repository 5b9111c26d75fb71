//! Every shader in every specialisation that lowering can ask for, validated by naga: no GPU is needed.

use naga::back::pipeline_constants::process_overrides;
use naga::valid::{Capabilities, ValidationFlags, Validator};

use super::pipelines::{Kernel, Specialisation};

/// The override constants of a kernel, each with the values that are used; and how many activations it ends with.
fn constants(kernel: Kernel) -> (Vec<(&'static str, u32)>, u32) {
    const ALL: u32 = 23;
    match kernel {
        Kernel::Pointwise { .. } | Kernel::Conv { .. } | Kernel::Depthwise { .. } => {
            (vec![("RESIDUAL", 2), ("INT8", 2), ("CONVERT", 2)], ALL)
        }
        Kernel::ConvScalar => (vec![("RESIDUAL", 2)], ALL),
        Kernel::Pool => (vec![("MAX", 2), ("COUNT_PAD", 2)], 0),
        Kernel::Elementwise => (vec![("OP", 13), ("SECOND", 3)], ALL),
        Kernel::Strided => (vec![("OP", 9), ("PAD", 2)], 0),
        Kernel::Reduce => (vec![("KIND", 5)], 0),
        Kernel::MatMul => (vec![("BIAS", 2)], ALL),
        Kernel::Attention { .. } => (vec![("MASK", 2)], 0),
        Kernel::Norm => (vec![("LINE", 2)], 0),
        Kernel::MixPool | Kernel::MixEmbed => (vec![("POOLING", 4)], 0),
        Kernel::MixWeights => (vec![("GATE", 3), ("NORMALISE", 2)], 0),
        Kernel::CellsEnergy => (vec![("FACTOR", 2)], 0),
        Kernel::CellsShare => (vec![("SHARE", 2)], 0),
        Kernel::CellsPool | Kernel::CellsRadius | Kernel::CellsScore => (Vec::new(), 0),
        Kernel::Batched
        | Kernel::Copy
        | Kernel::Softmax
        | Kernel::MixShares
        | Kernel::MixNorm
        | Kernel::MixMaps
        | Kernel::MixSum => (Vec::new(), 0),
    }
}

fn kernels() -> Vec<Kernel> {
    let mut all = vec![
        Kernel::ConvScalar,
        Kernel::Pool,
        Kernel::Elementwise,
        Kernel::Strided,
        Kernel::Copy,
        Kernel::Reduce,
        Kernel::Softmax,
        Kernel::MatMul,
        Kernel::Batched,
        Kernel::Attention { fours: true },
        Kernel::Attention { fours: false },
        Kernel::Norm,
        Kernel::MixShares,
        Kernel::MixPool,
        Kernel::MixEmbed,
        Kernel::MixNorm,
        Kernel::MixWeights,
        Kernel::MixMaps,
        Kernel::MixSum,
        Kernel::CellsPool,
        Kernel::CellsEnergy,
        Kernel::CellsRadius,
        Kernel::CellsShare,
        Kernel::CellsScore,
        Kernel::Depthwise { width: 1, stride: 1, pixels: 1, lines: 1 },
    ];
    for pixels in [1, 2, 4, 8] {
        for outputs in [1, 2] {
            all.push(Kernel::Pointwise { pixels, outputs });
            all.push(Kernel::Conv { pixels: pixels.min(4), outputs });
        }
        for (width, stride) in [(3, 1), (3, 2), (5, 1), (5, 2)] {
            let pixels = pixels.min(4);
            all.extend((1..=2).map(|lines| Kernel::Depthwise { width, stride, pixels, lines }));
        }
    }
    all.sort_by_key(|k| format!("{k:?}"));
    all.dedup();
    all
}

/// All combinations of the values below each count, and every activation with one of them.
fn specialisations(kernel: Kernel) -> Vec<Specialisation> {
    let (constants, activations) = constants(kernel);
    let mut all = vec![Specialisation::new(kernel)];
    for (name, count) in constants {
        all = all.into_iter().flat_map(|s| (0..count).map(move |v| s.clone().with(name, v))).collect();
    }
    let first = all[0].clone();
    all.extend((0..activations).map(|act| first.clone().with("ACT", act)));
    all
}

#[test]
fn every_specialisation_of_every_shader_is_valid() {
    let mut checked = 0;
    for kernel in kernels() {
        let source = kernel.source().unwrap();
        let module = naga::front::wgsl::parse_str(&source)
            .unwrap_or_else(|e| panic!("{kernel:?}: {}", e.emit_to_string(&source)));
        let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
        let info = validator.validate(&module).unwrap_or_else(|e| panic!("{kernel:?}: {}", e.emit_to_string(&source)));
        let names: Vec<&str> = module.overrides.iter().filter_map(|(_, o)| o.name.as_deref()).collect();
        for spec in specialisations(kernel) {
            // A name that the shader does not have is an error in a browser.
            spec.constants.iter().for_each(|(name, _)| assert!(names.contains(name), "{kernel:?} has no {name}"));
            let values = spec.constants.iter().map(|&(name, v)| (name.to_owned(), f64::from(v))).collect();
            let entry = Some((naga::ShaderStage::Compute, "main"));
            let resolved = process_overrides(&module, &info, entry, &values);
            let (module, _) = resolved.unwrap_or_else(|e| panic!("{spec:?}: {e}"));
            validator.reset();
            validator.validate(&module).unwrap_or_else(|e| panic!("{spec:?}: {e:?}"));
            checked += 1;
        }
    }
    assert!(checked > 800, "only {checked} specialisations");
}
