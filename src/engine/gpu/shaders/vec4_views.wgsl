// The three bindings of every kernel, for kernels that move four channels at a time.
@group(0) @binding(0) var<storage, read_write> arena: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(2) var<uniform> p: Params;

fn float_weights(at: u32) -> vec4<f32> {
  return bitcast<vec4<f32>>(weights[at]);
}

// The four signed bytes of a word, lowest first. (unpack4xI8 is not in every browser.)
fn signed_bytes(word: u32) -> vec4<f32> {
  return vec4<f32>((vec4<i32>(i32(word)) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u));
}
