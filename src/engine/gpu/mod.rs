//! The GPU engine, on wgpu. The only room that names wgpu.

/// Activation maps in a buffer of the GPU engine.
#[derive(Clone, Debug)]
pub struct Resident {}
