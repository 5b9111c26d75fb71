// The three bindings of every kernel, for kernels that address single values.
@group(0) @binding(0) var<storage, read_write> arena: array<f32>;
@group(0) @binding(1) var<storage, read> weights: array<u32>;
@group(0) @binding(2) var<uniform> p: Params;

// One value, and up to four that are `step` apart, of which `left` are there; the rest are zero.
fn value(at: u32) -> f32 {
  return arena[at];
}

fn four(at: u32, step: u32, left: u32) -> vec4<f32> {
  var v = vec4<f32>(arena[at], 0.0, 0.0, 0.0);
  if (left > 1u) { v.y = arena[at + step]; }
  if (left > 2u) { v.z = arena[at + 2u * step]; }
  if (left > 3u) { v.w = arena[at + 3u * step]; }
  return v;
}

fn put_four(at: u32, step: u32, left: u32, v: vec4<f32>) {
  arena[at] = v.x;
  if (left > 1u) { arena[at + step] = v.y; }
  if (left > 2u) { arena[at + 2u * step] = v.z; }
  if (left > 3u) { arena[at + 3u * step] = v.w; }
}
