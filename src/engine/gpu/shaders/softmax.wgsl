// Softmax along one axis: one invocation walks the axis at one place of the other dimensions.
struct Params {
  a: u32, y: u32, total: u32, row: u32,
  limit: u32, count: u32, a_step: u32, y_step: u32,
  padded: u32, unused0: u32, unused1: u32, unused2: u32,
  dims0: vec4<u32>, dims1: vec4<u32>,
  a0: vec4<u32>, a1: vec4<u32>,
  y0: vec4<u32>, y1: vec4<u32>,
}

override WG: u32 = 64u;

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
  let a = p.a + dot(lo, p.a0) + dot(hi, p.a1);
  let y = p.y + dot(lo, p.y0) + dot(hi, p.y1);
  let inside = i5 < p.limit;
  var top = -3.4e38;
  for (var i = 0u; i < p.count; i++) { top = max(top, arena[a + i * p.a_step]); }
  var sum = 0.0;
  for (var i = 0u; i < p.count; i++) { sum += exp(arena[a + i * p.a_step] - top); }
  for (var i = 0u; i < p.padded; i++) {
    var v = 0.0;
    if (inside && i < p.count) { v = exp(arena[a + i * p.a_step] - top) / sum; }
    arena[y + i * p.y_step] = v;
  }
}
