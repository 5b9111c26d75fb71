// The element-wise functions of graph::Activation; the numbers are those of Activate in pipelines.rs.
override ACT: u32 = 0u;

fn activate(v: vec4<f32>, a: f32, b: f32) -> vec4<f32> {
  if (ACT == 1u) { return max(v, vec4<f32>(0.0)); }
  if (ACT == 2u) { return min(max(v, vec4<f32>(a)), vec4<f32>(b)); }
  if (ACT == 3u) { return v * min(max(v / 6.0 + 0.5, vec4<f32>(0.0)), vec4<f32>(1.0)); }
  if (ACT == 4u) { return min(max(v * a + b, vec4<f32>(0.0)), vec4<f32>(1.0)); }
  // The argument is bounded, since an implementation may assume that nothing overflows.
  if (ACT == 5u) { return 1.0 / (1.0 + exp(min(-v, vec4<f32>(80.0)))); }
  if (ACT == 6u) { return v / (1.0 + exp(min(-v, vec4<f32>(80.0)))); }
  if (ACT == 7u) { return max(v, vec4<f32>(0.0)) + a * min(v, vec4<f32>(0.0)); }
  if (ACT == 8u) { return tanh(clamp(v, vec4<f32>(-20.0), vec4<f32>(20.0))); }
  return v;
}

// Zeroes the lanes of channel group c4 that are beyond the last channel: padding never leaks.
fn keep_channels(v: vec4<f32>, c4: u32, channels: u32) -> vec4<f32> {
  let c = vec4<u32>(4u * c4) + vec4<u32>(0u, 1u, 2u, 3u);
  return select(vec4<f32>(0.0), v, c < vec4<u32>(channels));
}
