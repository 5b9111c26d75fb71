// Matrix product in any layout: one invocation per output value, iterated as in strided.wgsl; a and b also have a step
// along the summed dimension. Linear layers whose rows are no multiple of four run here too, with their bias as c.
struct Params {
  a: u32, b: u32, c: u32, y: u32,
  total: u32, row: u32, limit: u32, count: u32,
  a_step: u32, b_step: u32, act_a: f32, act_b: f32,
  dims0: vec4<u32>, dims1: vec4<u32>,
  a0: vec4<u32>, a1: vec4<u32>,
  b0: vec4<u32>, b1: vec4<u32>,
  c0: vec4<u32>, c1: vec4<u32>,
  y0: vec4<u32>, y1: vec4<u32>,
}

override BIAS: bool = false;
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
  var v = 0.0;
  if (i5 < p.limit) {
    let a = p.a + dot(lo, p.a0) + dot(hi, p.a1);
    let b = p.b + dot(lo, p.b0) + dot(hi, p.b1);
    for (var k = 0u; k < p.count; k++) { v += arena[a + k * p.a_step] * arena[b + k * p.b_step]; }
    if (BIAS) { v += arena[p.c + dot(lo, p.c0) + dot(hi, p.c1)]; }
    v = activate(vec4<f32>(v), p.act_a, p.act_b).x;
  }
  arena[p.y + dot(lo, p.y0) + dot(hi, p.y1)] = v;
}
