// The element-wise functions of graph::Activation; the numbers are those of Activate in pipelines.rs.
override ACT: u32 = 0u;

// Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: within 1.5e-7, which is enough where one is added.
fn erf_beside_one4(v: vec4<f32>) -> vec4<f32> {
  let x = abs(v);
  let t = 1.0 / (1.0 + 0.3275911 * x);
  let p = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return sign(v) * (1.0 - p * exp(-min(x * x, vec4<f32>(80.0))));
}

// Near zero its series, in which nothing cancels.
fn erf4(v: vec4<f32>) -> vec4<f32> {
  let s = v * v;
  let p = ((((s * (-1.0 / 1320.0) + 1.0 / 216.0) * s - 1.0 / 42.0) * s + 0.1) * s - 1.0 / 3.0) * s + 1.0;
  return select(erf_beside_one4(v), 1.1283792 * v * p, abs(v) < vec4<f32>(0.5));
}

// e^v - 1: near zero its series, in which nothing cancels.
fn exp_m1_4(v: vec4<f32>) -> vec4<f32> {
  let p = (((((v / 5040.0 + 1.0 / 720.0) * v + 1.0 / 120.0) * v + 1.0 / 24.0) * v + 1.0 / 6.0) * v + 0.5) * v + 1.0;
  return select(exp(v) - 1.0, v * p, abs(v) < vec4<f32>(0.34));
}

fn softplus4(v: vec4<f32>) -> vec4<f32> {
  return max(v, vec4<f32>(0.0)) + log(1.0 + exp(-min(abs(v), vec4<f32>(80.0))));
}

// Not the built-in one, which may cancel near zero.
fn tanh4(v: vec4<f32>) -> vec4<f32> {
  let e = exp_m1_4(2.0 * clamp(v, vec4<f32>(-20.0), vec4<f32>(20.0)));
  return e / (e + 2.0);
}

// x ^ y, also of negative numbers, for which WGSL's own is not defined.
fn power(x: vec4<f32>, y: vec4<f32>) -> vec4<f32> {
  let size = pow(abs(x), y);
  let odd = floor(y * 0.5) * 2.0 != y;
  let whole = select(size, -size, odd & (x < vec4<f32>(0.0)));
  var v = select(pow(x, y), whole, (floor(y) == y) | (x >= vec4<f32>(0.0)));
  v = select(v, x, y == vec4<f32>(1.0));
  v = select(v, x * x, y == vec4<f32>(2.0));
  return select(v, vec4<f32>(1.0), y == vec4<f32>(0.0));
}

fn activate(v: vec4<f32>, a: f32, b: f32) -> vec4<f32> {
  if (ACT == 1u) { return max(v, vec4<f32>(0.0)); }
  if (ACT == 2u) { return min(max(v, vec4<f32>(a)), vec4<f32>(b)); }
  if (ACT == 3u) { return v * min(max(v / 6.0 + 0.5, vec4<f32>(0.0)), vec4<f32>(1.0)); }
  if (ACT == 4u) { return min(max(v * a + b, vec4<f32>(0.0)), vec4<f32>(1.0)); }
  // The argument is bounded, since an implementation may assume that nothing overflows.
  if (ACT == 5u) { return 1.0 / (1.0 + exp(min(-v, vec4<f32>(80.0)))); }
  if (ACT == 6u) { return v / (1.0 + exp(min(-v, vec4<f32>(80.0)))); }
  if (ACT == 7u) { return max(v, vec4<f32>(0.0)) + a * min(v, vec4<f32>(0.0)); }
  if (ACT == 8u) { return tanh4(v); }
  if (ACT == 9u) { return v / (1.0 + exp(min(-a * v, vec4<f32>(80.0)))); }
  if (ACT == 10u) { return 0.5 * v * (1.0 + erf_beside_one4(v * 0.70710678)); }
  if (ACT == 11u) { return 0.5 * v * (1.0 + tanh4(0.79788456 * (v + 0.044715 * v * v * v))); }
  if (ACT == 12u) { return select(a * exp_m1_4(min(v, vec4<f32>(0.0))), v, v > vec4<f32>(0.0)); }
  if (ACT == 13u) { return softplus4(v); }
  if (ACT == 14u) { return v * tanh4(softplus4(v)); }
  if (ACT == 15u) { return select(vec4<f32>(0.0), v, v > vec4<f32>(a)); }
  if (ACT == 16u) { return erf4(v); }
  if (ACT == 17u) { return exp(v); }
  if (ACT == 18u) { return log(v); }
  if (ACT == 19u) { return sqrt(v); }
  if (ACT == 20u) { return abs(v); }
  if (ACT == 21u) { return floor(v); }
  if (ACT == 22u) { return round(v); }
  return v;
}

// Zeroes the lanes of channel group c4 that are beyond the last channel: padding never leaks.
fn keep_channels(v: vec4<f32>, c4: u32, channels: u32) -> vec4<f32> {
  let c = vec4<u32>(4u * c4) + vec4<u32>(0u, 1u, 2u, 3u);
  return select(vec4<f32>(0.0), v, c < vec4<u32>(channels));
}
