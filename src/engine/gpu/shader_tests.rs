//! Every shader in every specialisation that lowering can ask for, validated by naga: no GPU is needed.

use naga::back::pipeline_constants::process_overrides;
use naga::valid::{Capabilities, ValidationFlags, Validator};

use super::pipelines::{Kernel, Specialisation};

/// The override constants of a kernel, each with the values that are used.
fn constants(kernel: Kernel) -> Vec<(&'static str, u32)> {
    match kernel {
        Kernel::Pointwise { .. } | Kernel::Conv { .. } | Kernel::Depthwise { .. } => {
            vec![("ACT", 9), ("RESIDUAL", 2), ("INT8", 2), ("CONVERT", 2)]
        }
        Kernel::ConvScalar => vec![("ACT", 9), ("RESIDUAL", 2)],
        Kernel::Pool => vec![("MAX", 2), ("COUNT_PAD", 2)],
        Kernel::Elementwise => vec![("ACT", 23), ("OP", 11), ("SECOND", 3)],
        Kernel::Strided => vec![("OP", 8), ("PAD", 2)],
        Kernel::Reduce => vec![("KIND", 5)],
        Kernel::MatMul => vec![("ACT", 9), ("BIAS", 2)],
        Kernel::MixPool | Kernel::MixEmbed => vec![("POOLING", 3)],
        Kernel::MixWeights => vec![("GATE", 3), ("NORMALISE", 2)],
        Kernel::CellsEnergy => vec![("FACTOR", 2)],
        Kernel::CellsShare => vec![("SHARE", 2)],
        Kernel::Softmax | Kernel::MixNorm | Kernel::MixMaps | Kernel::MixSum => Vec::new(),
        Kernel::CellsPool | Kernel::CellsRadius | Kernel::CellsScore => Vec::new(),
    }
}

fn kernels() -> Vec<Kernel> {
    let mut all = vec![
        Kernel::ConvScalar,
        Kernel::Pool,
        Kernel::Elementwise,
        Kernel::Strided,
        Kernel::Reduce,
        Kernel::Softmax,
        Kernel::MatMul,
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

/// All combinations of the values below each count.
fn specialisations(kernel: Kernel) -> Vec<Specialisation> {
    let mut all = vec![Specialisation::new(kernel)];
    for (name, count) in constants(kernel) {
        all = all.into_iter().flat_map(|s| (0..count).map(move |v| s.clone().with(name, v))).collect();
    }
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
    assert!(checked > 1000, "only {checked} specialisations");
}
