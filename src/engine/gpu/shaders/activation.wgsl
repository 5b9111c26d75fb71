// The element-wise functions of graph::Activation.
override ACT: u32 = ACT_NONE;

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

fn activate(v: vec4<f32>, a: f32, b: f32) -> vec4<f32> {
  if (ACT == ACT_RELU) { return max(v, vec4<f32>(0.0)); }
  if (ACT == ACT_CLIP) { return min(max(v, vec4<f32>(a)), vec4<f32>(b)); }
  if (ACT == ACT_HARD_SWISH) { return v * min(max(v / 6.0 + 0.5, vec4<f32>(0.0)), vec4<f32>(1.0)); }
  if (ACT == ACT_HARD_SIGMOID) { return min(max(v * a + b, vec4<f32>(0.0)), vec4<f32>(1.0)); }
  // The argument is bounded, since an implementation may assume that nothing overflows.
  if (ACT == ACT_SIGMOID) { return 1.0 / (1.0 + exp(min(-v, vec4<f32>(80.0)))); }
  if (ACT == ACT_SILU) { return v / (1.0 + exp(min(-v, vec4<f32>(80.0)))); }
  if (ACT == ACT_LEAKY_RELU) { return max(v, vec4<f32>(0.0)) + a * min(v, vec4<f32>(0.0)); }
  if (ACT == ACT_TANH) { return tanh4(v); }
  if (ACT == ACT_SWISH) { return v / (1.0 + exp(min(-a * v, vec4<f32>(80.0)))); }
  if (ACT == ACT_GELU) { return 0.5 * v * (1.0 + erf_beside_one4(v * 0.70710678)); }
  if (ACT == ACT_GELU_TANH) { return 0.5 * v * (1.0 + tanh4(0.79788456 * (v + 0.044715 * v * v * v))); }
  if (ACT == ACT_ELU) { return select(a * exp_m1_4(min(v, vec4<f32>(0.0))), v, v > vec4<f32>(0.0)); }
  if (ACT == ACT_SOFTPLUS) { return softplus4(v); }
  if (ACT == ACT_MISH) { return v * tanh4(softplus4(v)); }
  if (ACT == ACT_THRESHOLD) { return select(vec4<f32>(0.0), v, v > vec4<f32>(a)); }
  if (ACT == ACT_ERF) { return erf4(v); }
  if (ACT == ACT_EXP) { return exp(v); }
  if (ACT == ACT_LOG) { return log(v); }
  if (ACT == ACT_SQRT) { return sqrt(v); }
  if (ACT == ACT_ABS) { return abs(v); }
  if (ACT == ACT_FLOOR) { return floor(v); }
  if (ACT == ACT_ROUND) { return round(v); }
  return v;
}
