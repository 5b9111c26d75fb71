// The general way: out[i] = op(a[..], b[..]) over up to six dimensions in the order of the output's memory, every
// operand with its own strides (0 broadcasts, permuted ones transpose, a layout is converted by giving both layouts).
// In the last dimension, indices from `limit` on are channel padding and become zero.
struct Params {
  a: u32, b: u32, y: u32, total: u32,
  row: u32, limit: u32, outside: f32, pick_stride: u32,
  dims0: vec4<u32>, dims1: vec4<u32>,
  a0: vec4<u32>, a1: vec4<u32>,
  b0: vec4<u32>, b1: vec4<u32>,
  y0: vec4<u32>, y1: vec4<u32>,
  // For PAD only: how far a starts within the output, and its own dimensions.
  before0: vec4<u32>, before1: vec4<u32>,
  size0: vec4<u32>, size1: vec4<u32>,
}

// 0: a, 1: a + b, 2: a - b, 3: a * b, 4: a / b, 5: min, 6: max, 7: a ^ b, 8: a at the index that b lists,
// 13: a > b, 15: a = b, 16: a where b is not 0
override OP: u32 = 0u;
override PAD: bool = false;
override WG: u32 = 64u;

fn dot_product(a0: vec4<u32>, a1: vec4<u32>, b0: vec4<u32>, b1: vec4<u32>) -> u32 {
  return dot(a0, b0) + dot(a1, b1);
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x + id.y * p.row;
  if (t >= p.total) { return; }
  var rest = t;
  let i5 = rest % p.dims1.y; rest /= p.dims1.y;
  let i4 = rest % p.dims1.x; rest /= p.dims1.x;
  let i3 = rest % p.dims0.w; rest /= p.dims0.w;
  let i2 = rest % p.dims0.z; rest /= p.dims0.z;
  let i1 = rest % p.dims0.y; rest /= p.dims0.y;
  let lo = vec4<u32>(rest, i1, i2, i3);
  let hi = vec4<u32>(i4, i5, 0u, 0u);
  var v = 0.0;
  if (i5 < p.limit) {
    if (PAD) {
      // Unsigned: an index before the start wraps round to a large one.
      let from_lo = lo - p.before0;
      let from_hi = hi - p.before1;
      v = p.outside;
      if (all(from_lo < p.size0) && all(from_hi < p.size1)) {
        v = arena[p.a + dot_product(from_lo, from_hi, p.a0, p.a1)];
      }
    } else {
      v = arena[p.a + dot_product(lo, hi, p.a0, p.a1)];
    }
    if (OP != 0u) {
      let s = arena[p.b + dot_product(lo, hi, p.b0, p.b1)];
      if (OP == 1u) { v = v + s; }
      if (OP == 2u) { v = v - s; }
      if (OP == 3u) { v = v * s; }
      if (OP == 4u) { v = v / s; }
      if (OP == 5u) { v = min(v, s); }
      if (OP == 6u) { v = max(v, s); }
      if (OP == 8u) { v = arena[p.a + dot_product(lo, hi, p.a0, p.a1) + u32(s) * p.pick_stride]; }
      if (OP == 13u) { v = select(0.0, 1.0, v > s); }
      if (OP == 15u) { v = select(0.0, 1.0, v == s); }
      if (OP == 16u) { v = select(v, 0.0, s == 0.0); }
      if (OP == 7u) { v = power(vec4<f32>(v), vec4<f32>(s)).x; }
    }
  }
  arena[p.y + dot_product(lo, hi, p.y0, p.y1)] = v;
}
