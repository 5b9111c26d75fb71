// The three bindings of every kernel, for kernels that move four channels at a time.
@group(0) @binding(0) var<storage, read_write> arena: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(2) var<uniform> p: Params;

// One value, and four neighbours of which the first is at a multiple of four, by their place in floats.
fn value(at: u32) -> f32 {
  return arena[at / 4u][at % 4u];
}

fn four(at: u32, step: u32, left: u32) -> vec4<f32> {
  return arena[at / 4u];
}

fn put_four(at: u32, step: u32, left: u32, v: vec4<f32>) {
  arena[at / 4u] = v;
}

fn float_weights(at: u32) -> vec4<f32> {
  return bitcast<vec4<f32>>(weights[at]);
}

// Zeroes the lanes of channel group c4 that are beyond the last channel: padding never leaks.
fn keep_channels(v: vec4<f32>, c4: u32, channels: u32) -> vec4<f32> {
  let c = vec4<u32>(4u * c4) + vec4<u32>(0u, 1u, 2u, 3u);
  return select(vec4<f32>(0.0), v, c < vec4<u32>(channels));
}
