// The functions of two values.
override OP: u32 = OP_NONE;

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

fn combine(v: vec4<f32>, s: vec4<f32>) -> vec4<f32> {
  let none = vec4<f32>(0.0);
  let one = vec4<f32>(1.0);
  if (OP == OP_ADD) { return v + s; }
  if (OP == OP_SUB) { return v - s; }
  if (OP == OP_SUB_FROM) { return s - v; }
  if (OP == OP_MUL) { return v * s; }
  if (OP == OP_DIV) { return v / s; }
  if (OP == OP_DIV_INTO) { return s / v; }
  if (OP == OP_MIN) { return min(v, s); }
  if (OP == OP_MAX) { return max(v, s); }
  if (OP == OP_POW) { return power(v, s); }
  if (OP == OP_POW_OF) { return power(s, v); }
  if (OP == OP_GREATER) { return select(none, one, v > s); }
  if (OP == OP_LESS) { return select(none, one, s > v); }
  if (OP == OP_EQUAL) { return select(none, one, v == s); }
  if (OP == OP_KEEP) { return select(v, none, s == none); }
  if (OP == OP_KEEP_OTHER) { return select(s, none, v == none); }
  return v;
}
