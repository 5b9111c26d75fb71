//! Every kernel of the register with every code of its override constants, validated by naga: no GPU is needed.

use naga::back::pipeline_constants::process_overrides;
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, TypeInner};

use super::kernels::{ACT, Kernel, Specialisation};
use super::params::Field;

fn parsed(kernel: Kernel) -> Module {
    let source = kernel.source().unwrap();
    naga::front::wgsl::parse_str(&source).unwrap_or_else(|e| panic!("{kernel:?}: {}", e.emit_to_string(&source)))
}

fn validated(module: &Module, what: &dyn std::fmt::Debug) -> ModuleInfo {
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
    validator.validate(module).unwrap_or_else(|e| panic!("{what:?}: {e:?}"))
}

/// All combinations of all codes, the activations only with one of them.
fn specialisations(kernel: Kernel) -> Vec<Specialisation> {
    let knobs = kernel.entry().knobs;
    let mut all = vec![Specialisation::new(kernel)];
    for &knob in knobs.iter().filter(|&&knob| knob != ACT) {
        all = all.into_iter().flat_map(|s| knob.codes.iter().map(move |&code| s.clone().with(knob, code))).collect();
    }
    if knobs.contains(&ACT) {
        let first = all[0].clone();
        all.extend(ACT.codes.iter().map(|&code| first.clone().with(ACT, code)));
    }
    all
}

#[test]
fn every_specialisation_of_every_kernel_is_valid() {
    let mut checked = 0;
    for kernel in Kernel::all() {
        let module = parsed(kernel);
        let info = validated(&module, &kernel);
        for spec in specialisations(kernel) {
            spec.check().unwrap();
            let values = spec.constants.iter().map(|&(knob, v)| (knob.name.to_owned(), f64::from(v))).collect();
            let entry = Some((naga::ShaderStage::Compute, "main"));
            let resolved = process_overrides(&module, &info, entry, &values);
            let (module, _) = resolved.unwrap_or_else(|e| panic!("{spec:?}: {e}"));
            validated(&module, &spec);
            checked += 1;
        }
    }
    assert!(checked > 800, "only {checked} specialisations");
}

#[test]
fn the_register_and_the_shaders_have_the_same_override_constants() {
    for kernel in Kernel::all() {
        let module = parsed(kernel);
        let mut found: Vec<&str> = module.overrides.iter().filter_map(|(_, o)| o.name.as_deref()).collect();
        let mut registered: Vec<&str> = kernel.entry().knobs.iter().map(|knob| knob.name).collect();
        found.sort_unstable();
        registered.sort_unstable();
        // A name that the shader does not have is an error in a browser.
        assert_eq!(found, registered, "{kernel:?}");
    }
}

#[test]
fn parameters_lie_alike_in_rust_and_in_the_shaders() {
    for kernel in Kernel::all() {
        let module = parsed(kernel);
        let mut layouter = naga::proc::Layouter::default();
        layouter.update(module.to_ctx()).unwrap();
        let block = module.global_variables.iter().find(|(_, v)| v.space == AddressSpace::Uniform).unwrap().1;
        let TypeInner::Struct { members, span } = &module.types[block.ty].inner else { panic!("{kernel:?}") };
        assert!(*span as usize <= super::params::PARAMS_BYTES, "{kernel:?}: {span} bytes");
        let found: Vec<_> = members
            .iter()
            .map(|m| (m.name.as_deref().unwrap(), m.offset as usize, layouter[m.ty].size as usize))
            .collect();
        let declared: Vec<_> = kernel.entry().fields.iter().map(|f: &Field| (f.name, f.offset, f.size)).collect();
        assert_eq!(found, declared, "{kernel:?}");
    }
}

#[test]
fn a_code_that_is_not_registered_is_refused() {
    let unknown = Specialisation::new(Kernel::Elementwise).with(ACT, ACT.codes.len() as u32);
    assert!(unknown.check().unwrap_err().contains("ACT"));
    let misplaced = Specialisation::new(Kernel::Copy).with(ACT, 0u32);
    assert!(misplaced.check().is_err());
    let tile = Specialisation::new(Kernel::Conv { pixels: 3, outputs: 1 });
    assert!(tile.check().unwrap_err().contains("tile"));
}
